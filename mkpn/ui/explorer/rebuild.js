// One pixel added up before the eyes: weight times value, term by term, until it is the network's number.

const PLAY_MS = 350;

function createRebuild(app) {
  const { ui, state, signal } = app;
  const play = ui("play");
  let timer = 0;
  let hovered = null; // the marked tap, by pointer or keys

  const terms = () => termsOf(app.answer);

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.setAttribute("aria-pressed", "false");
    setText(play, "Play");
  }

  function go(step, keep) {
    if (!app.answer) return;
    if (!keep) stop();
    state.step = Math.min(terms().length, Math.max(0, step));
    hovered = null;
    app.remember();
    draw();
  }

  function squareSide() {
    const trio = ui("trio");
    return Math.max(70, Math.min(Math.max(150, 0.36 * trio.parentElement.clientHeight), Math.floor((trio.clientWidth - 60) / 3)));
  }

  function drawSquare(canvas, size, colors, marked) {
    const side = squareSide();
    const context = prepare(canvas, side, side);
    const tap = side / size;
    enlarge(context, smallPicture(size, size, colors), 0, 0, side, side);
    if (marked !== null) {
      for (const [color, wide] of [["#000", 3], ["#fff", 1.2]]) {
        context.strokeStyle = color;
        context.lineWidth = wide;
        context.strokeRect((marked % size) * tap, Math.floor(marked / size) * tap, tap, tap);
      }
    }
  }

  function drawRunning(sums) {
    const canvas = ui("running");
    const width = canvas.parentElement.clientWidth - 2;
    const font = parseFloat(getComputedStyle(app.root).fontSize);
    const height = Math.max(110, Math.min(25 * font, canvas.parentElement.clientHeight - squareSide() - 16 * font));
    const context = prepare(canvas, width, height);
    const ink = inkOf(app.root);
    const truth = app.answer.truth[state.channel];
    const output = app.answer.output[state.channel];
    const values = [...sums, truth, output, 0];
    const low = Math.min(...values);
    const high = Math.max(...values);
    const [left, right, upper, lower] = [2.9 * font, width - 8, 1.6 * font, height - 1.6 * font];
    const atX = (i) => left + ((right - left) * i) / (sums.length - 1);
    const atY = (v) => lower - ((lower - upper) * (v - low)) / (high - low || 1);
    context.font = `${0.92 * font}px sans-serif`;
    context.textBaseline = "middle";
    context.lineWidth = 1;
    for (const [value, text, dash] of [[0, "0", []], [output, output.toFixed(2), [6, 3]]]) {
      context.strokeStyle = ink.line;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(left, atY(value));
      context.lineTo(right, atY(value));
      context.stroke();
      context.fillStyle = ink.soft;
      context.textAlign = "right";
      context.fillText(text, left - 4, atY(value));
    }
    context.setLineDash([2, 4]);
    context.strokeStyle = ink.mark;
    context.beginPath();
    context.moveTo(left, atY(truth));
    context.lineTo(right, atY(truth));
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "left";
    const legends = ["sum so far, intensity 0 to 1; dashed: the network's number; dotted: the truth", "dashed: the network's number; dotted: the truth", "dashed: network; dotted: truth"];
    context.fillText(legends.find((text) => context.measureText(text).width < right - left) ?? "", left, 0.6 * font);
    context.strokeStyle = ink.accent;
    context.lineWidth = 2;
    context.beginPath();
    sums.slice(0, state.step + 1).forEach((v, i) => context[i ? "lineTo" : "moveTo"](atX(i), atY(v)));
    context.stroke();
    context.fillStyle = ink.accent;
    context.beginPath();
    context.arc(atX(state.step), atY(sums[state.step]), 4, 0, 7);
    context.fill();
    context.fillStyle = ink.soft;
    context.textAlign = "center";
    const each = (sums.length - 1) / app.answer.kernels.fused.sum.length;
    for (let frame = 0; frame < app.answer.kernels.fused.sum.length; frame += 1) {
      context.fillText(`frame ${frame}`.slice(each * (right - left) / (sums.length - 1) < 4 * font ? 6 : 0), atX((frame + 0.5) * each), height - 0.6 * font);
    }
  }

  function draw() {
    const answer = app.answer;
    if (!answer) return;
    const list = terms();
    state.step = Math.min(state.step, list.length);
    const sums = runningSums(answer, state.channel);
    const term = list[Math.max(0, state.step - 1)];
    if (hovered >= term.size ** 2) hovered = null; // it was of a larger kernel
    const now = contribution(answer, term, state.channel, list.length);
    const weightTop = largestMagnitude(now.weights);
    const productTop = largestMagnitude(now.products);
    const grey = (v) => Array(3).fill(Math.round(255 * Math.min(1, Math.max(0, v))));
    drawSquare(ui("rebuild-weights"), term.size, (i) => colorAt("blue to red", onScale("", now.weights[i], weightTop)), hovered);
    drawSquare(ui("rebuild-values"), term.size, (i) => grey(now.values[i]), hovered);
    drawSquare(ui("rebuild-products"), term.size, (i) => colorAt("blue to red", onScale("", now.products[i], productTop)), hovered);
    const frames = answer.kernels.fused.sum.length;
    const slider = ui("step");
    slider.max = list.length;
    slider.value = state.step;
    const number = (v, digits) => v.toFixed(digits).replace("-", "\u2212");
    setText(ui("step-text"), state.step
      ? `Step ${state.step} of ${list.length}: frame ${term.frame}, ${term.size}\u00d7${term.size} adds ${number(now.sum, 5)}; the sum is ${number(sums[state.step], 5)}.`
      : `Nothing added yet. Below: the first of ${list.length} kernels (${frames} frames times ${list.length / frames} size${list.length > frames ? "s" : ""}), not yet added.`);
    setText(ui("tap"), hovered === null
      ? `Weights end at \u00b1${shortText(weightTop)}, contributions at \u00b1${shortText(productTop)}. Point at a weight, or use the arrow keys here, to see what it adds.`
      : `${placeOf(hovered, term.size)}: ${number(now.weights[hovered], 4)} \u00d7 ${number(now.values[hovered], 4)} / ${list.length} = ${number(now.products[hovered], 6)}`);
    const sum = sums[sums.length - 1];
    const output = answer.output[state.channel];
    const truth = answer.truth[state.channel];
    const result = ui("rebuild-result");
    result.dataset.difference = Math.abs(sum - output);
    setText(result, state.step < list.length
      ? `The network's number is ${number(output, 5)}, the truth ${number(truth, 5)}.`
      : `Sum ${number(sum, 6)}, the network's number ${number(output, 6)}: difference ${Math.abs(sum - output).toExponential(1).replace("-", "\u2212")}. The truth is ${number(truth, 5)}; the error ${signedText(output - truth, 4)}.`);
    drawRunning(sums);
  }

  /** Where a tap reads, from the pixel. */
  function placeOf(tap, size) {
    const half = (size - 1) / 2;
    return `x ${signedText((tap % size) - half)}, y ${signedText(Math.floor(tap / size) - half)}`;
  }

  /** The keys move the mark by one tap, from the kernel's centre on. */
  function steer(event) {
    if (!app.answer || event.ctrlKey || event.metaKey || event.altKey) return;
    const { size } = terms()[Math.max(0, state.step - 1)];
    const centre = (size * size - 1) / 2;
    const by = (dx, dy) => {
      if (hovered === null) return centre;
      const within = (at) => Math.min(size - 1, Math.max(0, at));
      return within(Math.floor(hovered / size) + dy) * size + within((hovered % size) + dx);
    };
    const keys = {
      ArrowLeft: () => by(-1, 0), ArrowRight: () => by(1, 0), ArrowUp: () => by(0, -1), ArrowDown: () => by(0, 1),
      Home: () => 0, End: () => size * size - 1,
    };
    if (keys[event.key]) hovered = keys[event.key]();
    else if (event.key === "Escape" && hovered !== null) hovered = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
    draw();
  }

  function hover(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas || !app.answer) return;
    const box = canvas.getBoundingClientRect();
    const { size } = terms()[Math.max(0, state.step - 1)];
    const column = Math.min(size - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * size)));
    const row = Math.min(size - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * size)));
    hovered = row * size + column;
    draw();
  }

  ui("trio").addEventListener("pointermove", hover, { signal });
  ui("trio").addEventListener("pointerdown", hover, { signal });
  ui("trio").addEventListener("pointerleave", () => ((hovered = null), draw()), { signal });
  ui("trio").addEventListener("keydown", steer, { signal });
  // Said aloud only here: while Play runs, or the pointer, each change would be said otherwise.
  ui("trio").addEventListener("focus", () => ui("tap").setAttribute("aria-live", "polite"), { signal });
  ui("trio").addEventListener("blur", () => ui("tap").setAttribute("aria-live", "off"), { signal });
  ui("first").addEventListener("click", () => go(0), { signal });
  ui("previous").addEventListener("click", () => go(state.step - 1), { signal });
  ui("next").addEventListener("click", () => go(state.step + 1), { signal });
  ui("last").addEventListener("click", () => go(terms().length), { signal });
  ui("step").addEventListener("input", () => go(Number(ui("step").value)), { signal });
  ui("channel").addEventListener("change", () => ((state.channel = Number(ui("channel").value)), draw()), { signal });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (state.step >= terms().length) go(0);
    play.setAttribute("aria-pressed", "true");
    setText(play, "Pause");
    timer = setInterval(() => {
      go(state.step + 1, true);
      if (state.step >= terms().length) stop();
    }, PLAY_MS);
  }, { signal });

  return { draw, leave: stop, reset: stop };
}
