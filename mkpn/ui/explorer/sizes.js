// PSNR against kernel size: by region, by gain, over seeds, with the oracle line; drawn where the models differ.

const BASELINES = ["kpn-l1", "kpn-l3", "kpn-l5", "kpn-l7", "kpn-l9", "kpn-l11", "kpn-l13", "kpn-l25"];
const SIZE_OF = Object.fromEntries(BASELINES.map((name) => [name, Number(name.slice(5))]));
const GAIN_STYLES = { 1: "#0072b2", 2: "#009e73", 4: "#b8860b", 8: "#d55e00", run: "#0072b2" };
const WHERE_TEXT = { whole: "whole image", square: "the square", flat: "flat third", edge: "edges", texture: "texture" };

function createSizes(app) {
  const { ui, state, signal } = app;
  const results = new Map();
  let gains = new Set();
  let running = null;
  let guess = null;
  let plot = null;
  let square = "";
  let regions = null;
  let shaded = null;

  const type = () => parseFloat(getComputedStyle(app.root).fontSize) / 13;
  const own = () => (state.value.gain === null ? "run" : String(state.value.gain));
  const where = () => ui("where").value;
  const seedsWanted = () => Array.from({ length: Number(ui("seeds").value) }, (_, i) => state.value.seed + i);
  const keyOf = (gain, seed, model) => `${gain} ${seed} ${model}`;

  function buttons() {
    const names = state.value.gain === null ? ["run", "1", "2", "4", "8"] : ["1", "2", "4", "8"];
    ui("gains").replaceChildren(...names.map((gain) => {
      const button = make("button", { type: "button", "data-gain": gain, "aria-pressed": String(gains.has(gain)) }, gain === "run" ? "this run" : `gain ${gain}`);
      button.addEventListener("click", () => {
        if (!gains.delete(gain)) gains.add(gain);
        button.setAttribute("aria-pressed", gains.has(gain));
        if (gains.has(own())) fill(); // costs nothing: the run's own pictures are there
        app.redraw();
      });
      return button;
    }));
  }

  async function one(gain, seed, model, ask = (question) => app.ask({ ...question, what: "measure" })) {
    const key = keyOf(gain, seed, model);
    if (results.has(key)) return true;
    const found = await ask({ gain, seed, model });
    if (found) results.set(key, model === "oracle" ? found.oracle : found.psnr);
    return Boolean(found);
  }

  /** What the run itself has shown: no network runs for it. */
  async function fill() {
    for (const pane of app.models()) if (!(await one(own(), state.value.seed, pane.id))) return;
    await one(own(), state.value.seed, "oracle");
    app.redraw();
  }

  async function sweep() {
    const mine = (running = app.sweep());
    const models = [...app.models().map((pane) => pane.id), "oracle"];
    const jobs = [...gains].flatMap((gain) => seedsWanted().flatMap((seed) => models.map((model) => [gain, seed, model])));
    const bar = ui("sweep-progress");
    ui("sweep").disabled = true;
    ui("sweep-stop").hidden = bar.hidden = false;
    bar.max = jobs.length;
    for (const [index, job] of jobs.entries()) {
      bar.value = index;
      if (!mine.running || !(await one(...job, mine.ask))) break;
      app.redraw();
    }
    mine.running = false;
    ui("sweep").disabled = false;
    ui("sweep-stop").hidden = bar.hidden = true;
    app.redraw();
  }

  const stop = () => running?.stop();

  /** Dims what is not measured. */
  function shade() {
    const index = ["flat", "edge", "texture"].indexOf(where());
    if (index < 0 || !regions) return null;
    if (shaded?.index === index) return shaded.canvas;
    const [height, width] = regions.shape;
    const image = new ImageData(width, height);
    for (let i = 0; i < regions.data.length; i += 1) image.data[4 * i + 3] = regions.data[i] === index ? 0 : 175;
    const canvas = newCanvas(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    shaded = { index, canvas };
    return canvas;
  }

  async function learnRegions() {
    if (regions) return;
    const { token } = state.value;
    const found = await app.ask({ what: "regions" });
    if (found && state.value?.token === token) regions = unpack(found.regions);
    app.redraw();
  }

  function show() {
    learnRegions();
    const now = state.value.square.join(" ");
    if (now !== square) {
      // The square has moved: what was measured in the old one is measured anew, from kept errors.
      square = now;
      results.clear();
    }
    if (!gains.size) gains.add(own());
    buttons();
    fill();
  }

  /** Mean, lowest and highest over the seeds that are measured. */
  function over(gain, model, size) {
    const values = seedsWanted()
      .map((seed) => results.get(keyOf(gain, seed, model)))
      .map((found) => (size === undefined ? found : found?.[size])?.[where()])
      .filter((value) => typeof value === "number");
    if (!values.length) return null;
    return { mean: values.reduce((a, b) => a + b, 0) / values.length, low: Math.min(...values), high: Math.max(...values), values };
  }

  function series() {
    return [...gains].sort().map((gain) => ({
      gain,
      points: BASELINES.map((name) => ({ name, size: SIZE_OF[name], ...over(gain, name) })).filter((p) => p.mean !== undefined),
      mkpn: over(gain, "mkpn"),
      full: over(gain, "kpn"),
      oracle: BASELINES.map((name) => ({ size: SIZE_OF[name], ...over(gain, "oracle", String(SIZE_OF[name])) })).filter((p) => p.mean !== undefined),
    })).filter((one) => one.points.length || one.mkpn);
  }

  /** The heights that are shown: all networks from 3x3 up; what lies far below is cut off and marked. */
  function rangeOf(list) {
    const values = list.flatMap(({ points, mkpn, full }) => [
      ...points.filter((p) => p.size > 1 || points.length === 1).flatMap((p) => [p.low, p.high]),
      ...(mkpn ? [mkpn.low, mkpn.high] : []), ...(full ? [full.mean] : []),
    ]);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const pad = Math.max(0.15, 0.12 * (high - low));
    return [low - pad, high + pad];
  }

  function draw() {
    const canvas = ui("chart");
    const panel = canvas.parentElement;
    const list = series();
    const width = panel.clientWidth - 4;
    const height = Math.max(190, Math.min(360, panel.clientHeight - 210));
    const context = prepare(canvas, width, height);
    const ink = inkOf(app.root);
    if (!list.length) {
      context.fillStyle = ink.soft;
      context.font = `${13 * type()}px sans-serif`;
      context.fillText("Nothing measured yet: choose gains and press Measure.", 10, 40);
      ui("sizes-table").replaceChildren();
      setText(ui("sizes-words"), "");
      plot = null;
      return;
    }
    const [low, high] = rangeOf(list);
    const [left, right, upper, lower] = [56, width - 92 * type(), 12, height - 40];
    const atX = (size) => left + 14 + ((right - left - 28) * BASELINES.indexOf(`kpn-l${size}`)) / (BASELINES.length - 1);
    const atY = (value) => lower - ((lower - upper) * (value - low)) / (high - low);
    plot = { atX, atY, low, high, lower, upper };
    axes(context, ink, { left, right, upper, lower, width, height, low, high, atX, atY });
    const taken = [];
    const secret = guess && !guess.revealed;
    for (const one of list) {
      const color = list.length === 1 ? ink.accent : GAIN_STYLES[one.gain];
      if (!secret) curve(context, ink, one, color, { left, right, upper, lower, low, high, atX, atY }, taken, list.length === 1);
    }
    if (guess) drawGuess(context, ink);
    words(list, secret);
    table(list, secret);
  }

  function axes(context, ink, { left, right, upper, lower, height, low, high, atX, atY }) {
    context.font = `${12 * type()}px sans-serif`;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    const span = high - low;
    const step = span > 12 ? 4 : span > 6 ? 2 : span > 2.5 ? 1 : span > 1 ? 0.5 : 0.2;
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
      context.strokeStyle = ink.line;
      context.beginPath();
      context.moveTo(left, atY(value));
      context.lineTo(right, atY(value));
      context.stroke();
      context.fillStyle = ink.soft;
      context.textAlign = "right";
      context.fillText(value.toFixed(step < 1 ? 1 : 0), left - 5, atY(value));
    }
    context.textAlign = "center";
    for (const name of BASELINES) context.fillText(String(SIZE_OF[name]), atX(SIZE_OF[name]), lower + 12);
    context.fillText("side of the kernel in pixels (KPN L1 to L25)", (left + right) / 2, height - 10);
    context.save();
    context.translate(9, (upper + lower) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("PSNR in dB", 0, 0);
    context.restore();
  }

  function label(context, ink, text, x, y, color, taken) {
    const width = context.measureText(text).width;
    const box = (at) => ({ left: x - 2, right: x + width + 2, top: at - 8, bottom: at + 8 });
    const clash = (a) => taken.some((b) => a.left < b.right && a.right > b.left && a.top < b.bottom && a.bottom > b.top);
    let at = y;
    for (const shift of [0, -16, 16, -32, 32]) {
      at = y + shift;
      if (!clash(box(at))) break;
      if (shift === 32) return;
    }
    taken.push(box(at));
    context.textAlign = "left";
    context.lineWidth = 4;
    context.strokeStyle = ink.paper;
    context.strokeText(text, x, at);
    context.fillStyle = color;
    context.fillText(text, x, at);
  }

  function curve(context, ink, { gain, points, mkpn, full, oracle }, color, area, taken, alone) {
    const { left, right, upper, lower, low, high, atX, atY } = area;
    context.font = `${12 * type()}px sans-serif`;
    context.setLineDash([2, 4]);
    context.strokeStyle = alone ? ink.soft : color;
    context.lineWidth = 1.5;
    context.beginPath();
    const near = oracle.filter((p) => p.mean >= low && p.mean <= high);
    near.forEach((p, i) => context[i ? "lineTo" : "moveTo"](atX(p.size), atY(p.mean)));
    context.stroke();
    context.setLineDash([]);
    const inside = points.filter((p) => p.mean >= low);
    context.strokeStyle = color;
    context.lineWidth = 2.2;
    context.beginPath();
    inside.forEach((p, i) => context[i ? "lineTo" : "moveTo"](atX(p.size), atY(p.mean)));
    context.stroke();
    if (mkpn) {
      context.setLineDash([8, 4]);
      context.beginPath();
      context.moveTo(left, atY(mkpn.mean));
      context.lineTo(right, atY(mkpn.mean));
      context.stroke();
      context.setLineDash([]);
      label(context, ink, `MKPN ${mkpn.mean.toFixed(2)}`, right + 3, atY(mkpn.mean), ink.text, taken);
    }
    if (alone && oracle.length) {
      const last = oracle[oracle.length - 1];
      if (near.includes(last)) label(context, ink, "aligned mean", right + 3, atY(last.mean), ink.soft, taken);
      else {
        const below = last.mean < low;
        context.fillStyle = ink.soft;
        context.textAlign = "left";
        context.fillText(`aligned mean`, right + 3, below ? lower - 22 : upper + 4);
        context.fillText(`${last.mean.toFixed(2)} ${below ? "\u2193" : "\u2191"}`, right + 3, below ? lower - 7 : upper + 19);
      }
    }
    if (!alone && points.length) label(context, ink, `gain ${gain}`, right + 3, atY(points[points.length - 1].mean) + 14, color, taken);
    if (full) {
      const [x, y] = [atX(5), atY(full.mean)];
      context.fillStyle = ink.paper;
      context.strokeStyle = color;
      context.lineWidth = 2;
      context.beginPath();
      for (const [dx, dy] of [[0, -6], [6, 0], [0, 6], [-6, 0]]) context.lineTo(x + dx, y + dy);
      context.closePath();
      context.fill();
      context.stroke();
      if (alone) label(context, ink, "full 5\u00d75", x + 9, y + 4, ink.soft, taken);
    }
    for (const p of points) {
      const x = atX(p.size);
      if (p.mean < low) {
        context.fillStyle = color;
        context.beginPath();
        for (const [dx, dy] of [[-5, -9], [5, -9], [0, 0]]) context.lineTo(x + dx, lower + dy);
        context.fill();
        label(context, ink, `${p.mean.toFixed(1)}`, x + 7, lower - 7, color, taken);
        continue;
      }
      if (p.high > p.low) {
        context.strokeStyle = color;
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(x, atY(p.low));
        context.lineTo(x, atY(p.high));
        context.stroke();
      }
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, atY(p.mean), 4, 0, 7);
      context.fill();
      label(context, ink, p.mean.toFixed(2), x - 14, atY(p.mean) - 13, color, taken);
    }
  }

  function drawGuess(context, ink) {
    const { atX, atY } = plot;
    context.strokeStyle = ink.mark;
    context.fillStyle = ink.mark;
    context.lineWidth = 2.5;
    context.setLineDash([5, 4]);
    context.beginPath();
    const drawn = BASELINES.filter((name) => guess.values[name] !== undefined);
    drawn.forEach((name, i) => context[i ? "lineTo" : "moveTo"](atX(SIZE_OF[name]), atY(guess.values[name])));
    context.stroke();
    context.setLineDash([]);
    for (const name of drawn) {
      context.beginPath();
      context.arc(atX(SIZE_OF[name]), atY(guess.values[name]), 3.5, 0, 7);
      context.fill();
    }
  }

  const gainText = (gain) => (gain === "run" ? "This run" : `Gain ${gain}`);

  /** One sentence per gain; a model ties with the best if it leads in one of the seeds. */
  function words(list, secret) {
    if (secret) return setText(ui("sizes-words"), "Draw where you expect the curve of KPN L1 to L25: drag in the chart, or focus it and use the arrow keys. Then press Reveal.");
    const sentences = list.map(({ gain, points, mkpn }) => {
      if (points.length < 2) return "";
      const best = points.reduce((a, b) => (b.mean > a.mean ? b : a));
      const worst = points.filter((p) => p.size > 1).reduce((a, b) => (b.mean < a.mean ? b : a), best);
      const seeds = Math.min(...points.map((p) => p.values.length));
      const leaders = new Set();
      for (let i = 0; i < seeds; i += 1) leaders.add(points.reduce((a, b) => (b.values[i] > a.values[i] ? b : a)).size);
      const who = leaders.size > 1 ? `a tie over ${seeds} seeds between ${[...leaders].sort((a, b) => a - b).map((s) => `L${s}`).join(" and ")}` : `KPN L${best.size} is best of the single sizes (${best.mean.toFixed(2)} dB)`;
      const spread = best.size === worst.size ? "" : `, L${worst.size} is ${(best.mean - worst.mean).toFixed(2)} dB below`;
      const others = mkpn ? `; MKPN ${signedText(mkpn.mean - best.mean, 2)} dB` : "";
      return `${gainText(gain)}, ${WHERE_TEXT[where()]}: ${who}${spread}${others}.`;
    });
    const off = guess ? ` Your curve was off by ${guessError(list[0]).toFixed(2)} dB on average.` : "";
    setText(ui("sizes-words"), sentences.join(" ") + off);
    setText(ui("sizes-note"), `Dotted: mean of the truly aligned frames within reach, without a network; no bound, since a network may also average neighbours. Diamond: full 5\u00d75. Dashed: MKPN. Bars: lowest and highest over the seeds. ${where() === "whole" ? state.value.metric.split(";")[0] : state.value.rule}`);
  }

  function guessError(one) {
    const differences = one.points.filter((p) => guess.values[p.name] !== undefined).map((p) => Math.abs(p.mean - guess.values[p.name]));
    return differences.reduce((a, b) => a + b, 0) / Math.max(1, differences.length);
  }

  function table(list, secret) {
    if (secret) return ui("sizes-table").replaceChildren();
    const heads = ["dB", ...BASELINES.map((name) => `L${SIZE_OF[name]}`), "5\u00d75", "MKPN"];
    const rows = list.map(({ gain, points, full, mkpn }) => {
      const values = [...BASELINES.map((name) => points.find((p) => p.name === name)), full, mkpn];
      const best = Math.max(...values.map((v) => v?.mean ?? -1));
      return make("tr", {}, make("th", { scope: "row" }, gainText(gain).toLowerCase()), ...values.map((v) => make("td", { class: v && v.mean === best ? "best" : "" }, v ? v.mean.toFixed(2) : "\u2013")));
    });
    ui("sizes-table").replaceChildren(make("table", { class: "numbers" }, make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows)));
  }

  function predict() {
    const button = ui("predict");
    if (guess && !guess.revealed) {
      guess.revealed = true;
      setText(button, "Forget the guess");
    } else if (guess) {
      guess = null;
      setText(button, "Predict");
    } else {
      guess = { values: {}, revealed: false, at: 0 };
      setText(button, "Reveal");
    }
    const guessing = Boolean(guess && !guess.revealed);
    button.setAttribute("aria-pressed", guessing);
    const chart = ui("chart");
    setAttribute(chart, "tabindex", guessing ? 0 : null);
    setAttribute(chart, "role", guessing ? "application" : "img");
    chart.setAttribute("aria-label", guessing ? "Your guess: left and right choose a size, up and down move the guess" : "PSNR against kernel size; the numbers follow below");
    if (guessing) chart.focus({ preventScroll: true });
    app.redraw();
  }

  function drawAt(event) {
    if (!guess || guess.revealed || !plot || !event.buttons) return;
    const box = ui("chart").getBoundingClientRect();
    const x = event.clientX - box.left;
    const name = BASELINES.reduce((a, b) => (Math.abs(plot.atX(SIZE_OF[b]) - x) < Math.abs(plot.atX(SIZE_OF[a]) - x) ? b : a));
    const share = (plot.lower - (event.clientY - box.top)) / (plot.lower - plot.upper);
    guess.values[name] = plot.low + Math.min(1, Math.max(0, share)) * (plot.high - plot.low);
    app.redraw();
  }

  ui("chart").addEventListener("pointerdown", drawAt, { signal });
  ui("chart").addEventListener("pointermove", drawAt, { signal });
  ui("chart").addEventListener("keydown", (event) => {
    if (!guess || guess.revealed || !plot) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!moves[event.key]) return;
    const [dx, dy] = moves[event.key];
    guess.at = Math.min(BASELINES.length - 1, Math.max(0, guess.at + dx));
    const name = BASELINES[guess.at];
    guess.values[name] = Math.min(plot.high, Math.max(plot.low, (guess.values[name] ?? (plot.low + plot.high) / 2) + (dy * (plot.high - plot.low)) / 40));
    app.say(`L${SIZE_OF[name]}: ${guess.values[name].toFixed(1)} dB`);
    event.preventDefault();
    app.redraw();
  }, { signal });
  ui("where").addEventListener("change", app.redraw, { signal });
  ui("seeds").addEventListener("change", app.redraw, { signal });
  ui("sweep").addEventListener("click", sweep, { signal });
  ui("sweep-stop").addEventListener("click", stop, { signal });
  ui("predict").addEventListener("click", predict, { signal });

  return {
    show,
    draw,
    fill,
    /** PSNR of a model of this run in a region, for the lesson. */
    figure: (model, region) => results.get(keyOf(own(), state.value.seed, model))?.[region] ?? null,
    choose(region) {
      ui("where").value = region;
      app.redraw();
    },
    over(context, place) {
      const [width, height] = state.value.size;
      const [left, top, side] = state.value.square;
      if (where() === "square") {
        for (const [color, line] of [["#000", 4], ["#fff", 2]]) {
          context.strokeStyle = color;
          context.lineWidth = line;
          context.strokeRect(place.originX + left * place.scale, place.originY + top * place.scale, side * place.scale, side * place.scale);
        }
      }
      const canvas = shade();
      context.imageSmoothingEnabled = false;
      if (canvas) context.drawImage(canvas, place.originX, place.originY, width * place.scale, height * place.scale);
    },
    leave: stop,
    reset: () => ((regions = shaded = null), results.clear(), (gains = new Set()), stop(), (guess = null), setText(ui("predict"), "Predict")),
  };
}
