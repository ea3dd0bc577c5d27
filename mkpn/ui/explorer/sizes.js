// PSNR against kernel size: by region, by gain, over seeds, with the oracle line; drawn where the models differ.

const BASELINES = ["kpn-l1", "kpn-l3", "kpn-l5", "kpn-l7", "kpn-l9", "kpn-l11", "kpn-l13", "kpn-l25"];
const SIZE_OF = Object.fromEntries(BASELINES.map((name) => [name, Number(name.slice(5))]));
const GAIN_STYLES = { 1: "#0072b2", 2: "#009e73", 4: "#b8860b", 8: "#d55e00", run: "#0072b2" };
const SCRUB_MS = 250;
const WHERE_TEXT = { whole: "whole image", square: "the square", flat: "flat third", edge: "edges", texture: "texture" };

function createSizes(app) {
  const { ui, state, signal } = app;
  const results = new Map();
  let gains = new Set();
  let running = null;
  let scrubbed = null; // the gain that the slider has chosen, with the run's own seed alone
  let settle = 0;
  let note = ""; // why the button has measured nothing
  let guess = null;
  let plot = null;
  let square = "";
  let regions = null;
  let shaded = null;
  let renewing = null;
  const again = new Set(); // what was measured in the square before, and is asked for anew

  const type = () => parseFloat(getComputedStyle(app.root).fontSize) / 13;
  const own = () => (state.value.gain === null ? "run" : String(state.value.gain));
  const where = () => ui("where").value;
  const seedsWanted = () => Array.from({ length: scrubbed === null ? Number(ui("seeds").value) : 1 }, (_, i) => state.value.seed + i);
  const names = () => (state.value.gain === null ? ["run", "1", "2", "4", "8"] : ["1", "2", "4", "8"]);
  const measured = (gain) => app.models().every((pane) => results.has(keyOf(gain, state.value.seed, pane.id)));
  const keyOf = (gain, seed, model) => `${gain} ${seed} ${model}`;

  function tellGain() {
    const gain = names()[Number(ui("scrub").value)];
    const text = gain === "run" ? "this run's noise" : `gain ${gain}`;
    ui("scrub").setAttribute("aria-valuetext", text);
    const how = measured(gain) ? "" : running?.running || renewing?.running ? ", being measured" : ", not all measured";
    setText(ui("scrub-text"), [scrubbed === null ? "" : `${text}, seed ${state.value.seed}${how}`, note].filter(Boolean).join(". "));
    setText(ui("sweep"), scrubbed === null ? "Measure" : "Measure all gains");
  }

  function buttons() {
    replaceKept(ui("gains"), "data-gain", names().map((gain) => {
      const button = make("button", { type: "button", "data-gain": gain, "aria-pressed": String(gains.has(gain)) }, gain === "run" ? "this run" : `gain ${gain}`);
      button.addEventListener("click", () => {
        scrubbed = null;
        note = "";
        if (!gains.delete(gain)) gains.add(gain);
        button.setAttribute("aria-pressed", gains.has(gain));
        if (gains.has(own())) fill(); // costs nothing: the run's own pictures are there
        app.remember();
        app.redraw();
      });
      return button;
    }));
  }

  async function one(gain, seed, model, ask = (question) => app.ask({ ...question, what: "measure" })) {
    const key = keyOf(gain, seed, model);
    if (results.has(key)) return true;
    const measuredIn = square;
    const found = await ask({ gain, seed, model });
    if (!found) return false;
    // A late answer is of the square that was there when it was asked for; the errors behind it are kept by Python.
    if (square !== measuredIn) return one(gain, seed, model, ask);
    results.set(key, model === "oracle" ? found.oracle : found.psnr);
    return true;
  }

  /** What the run itself has shown: no network runs for it. */
  async function fill() {
    for (const pane of app.models()) {
      if (!(await one(own(), state.value.seed, pane.id))) return;
      app.redraw();
    }
    await one(own(), state.value.seed, "oracle");
    app.redraw();
    renew();
  }

  /** Measures in the new square what was measured in the one before. */
  async function renew() {
    if (renewing?.running || !again.size) return;
    const mine = (renewing = app.sweep());
    for (const key of again) {
      const [gain, seed, model] = key.split(" ");
      if (!(await one(gain, Number(seed), model, mine.ask))) mine.running = false;
      if (!mine.running) return;
      again.delete(key);
      app.redraw();
    }
    mine.running = false;
    tellGain();
  }

  /** The slider: the curve of one gain at a time, at one seed; what is not measured yet is measured where it rests. */
  function scrub() {
    scrubbed = names()[Number(ui("scrub").value)];
    gains = new Set([scrubbed]);
    note = "";
    buttons();
    app.remember();
    app.redraw();
    clearTimeout(settle);
    if (measured(scrubbed)) return;
    stop();
    settle = setTimeout(() => scrubbed !== null && !running?.running && sweep([scrubbed]), SCRUB_MS);
  }

  /** What is to be measured of some gains and is not yet. */
  function missing(wanted) {
    const models = [...app.models().map((pane) => pane.id), "oracle"];
    return wanted.flatMap((gain) => seedsWanted().flatMap((seed) => models.map((model) => [gain, seed, model]))).filter((job) => !results.has(keyOf(...job)));
  }

  /** The button: it says so where nothing is left to do. */
  function measure() {
    const wanted = scrubbed === null ? [...gains] : names();
    note = !wanted.length ? "Choose a gain first." : missing(wanted).length ? "" : "Everything is measured already.";
    tellGain();
    if (!note) sweep(wanted);
  }

  async function sweep(wanted) {
    const mine = (running = app.sweep());
    const jobs = missing(wanted);
    const bar = ui("sweep-progress");
    swapButtons(ui("sweep"), ui("sweep-stop"), () => {
      ui("sweep").disabled = true;
      ui("sweep-stop").hidden = false;
    });
    bar.classList.remove("idle");
    bar.max = jobs.length;
    for (const [index, job] of jobs.entries()) {
      bar.value = index;
      if (!mine.running || !(await one(...job, mine.ask))) break;
      app.redraw();
    }
    mine.running = false;
    if (running !== mine) return; // another one has begun meanwhile
    swapButtons(ui("sweep-stop"), ui("sweep"), () => {
      ui("sweep").disabled = false;
      ui("sweep-stop").hidden = true;
    });
    bar.classList.add("idle");
    app.redraw();
  }

  const stop = () => (running?.stop(), renewing?.stop());

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
      for (const key of results.keys()) again.add(key);
      results.clear();
    }
    if (!gains.size) gains.add(own());
    ui("scrub").max = names().length - 1;
    ui("scrub").value = names().indexOf(scrubbed ?? own());
    tellGain();
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

  function series(list = [...gains].sort()) {
    return list.map((gain) => ({
      gain,
      points: BASELINES.map((name) => ({ name, size: SIZE_OF[name], ...over(gain, name) })).filter((p) => p.mean !== undefined),
      mkpn: over(gain, "mkpn"),
      full: over(gain, "kpn"),
      oracle: BASELINES.map((name) => ({ size: SIZE_OF[name], ...over(gain, "oracle", String(SIZE_OF[name])) })).filter((p) => p.mean !== undefined),
    })).filter((one) => one.points.length || one.mkpn || one.full);
  }

  /** The heights that are shown: where the models differ. Small kernels that lie far below the others are cut off and marked. */
  function rangeOf(list) {
    const values = list.flatMap((one) => near(one).flatMap((p) => [p.low, p.high]));
    const low = Math.min(...values);
    const high = Math.max(...values);
    const pad = Math.max(0.15, 0.12 * (high - low));
    return [low - pad, high + pad];
  }

  /** The networks of one gain without those that lie further below the rest than three times what the rest spans. */
  function near({ points, mkpn, full }) {
    const all = [...points, mkpn, full].filter(Boolean);
    const core = all.filter((p) => !(p.size < 5) && p !== full);
    if (core.length < 3) return all;
    const low = Math.min(...core.map((p) => p.mean));
    const span = Math.max(...core.map((p) => p.mean)) - low;
    return all.filter((p) => p.mean >= low - 3 * Math.max(span, 0.1));
  }

  /** While the slider moves, a decibel has the same height at every gain: that of the gain whose models differ most. */
  function rangeWhileScrubbing(list) {
    const [low, high] = rangeOf(list);
    const spans = series(names()).filter((one) => one.points.length > 1).map((one) => rangeOf([one])).map((range) => range[1] - range[0]);
    const missing = Math.max(high - low, ...spans) - (high - low);
    return [low - missing, high];
  }

  function draw() {
    const canvas = ui("chart");
    const panel = canvas.parentElement;
    const list = series();
    const secret = guess && !guess.revealed;
    tellGain();
    if (list.length) {
      words(list, secret);
      table(list, secret);
    }
    const width = panel.clientWidth - 4;
    // What stands above and below the chart has its lines; the chart takes the rest. On a phone the page scrolls.
    const gap = parseFloat(getComputedStyle(panel).rowGap) || 0;
    const others = [...panel.children].filter((node) => node !== canvas && node.offsetHeight);
    const rest = panel.clientHeight - 6 - others.reduce((sum, node) => sum + node.offsetHeight + gap, 0);
    const height = getComputedStyle(panel).overflowY === "visible" ? 320 : Math.max(190 * type(), Math.min(560 * type(), rest));
    const context = prepare(canvas, width, height);
    const ink = inkOf(app.root);
    if (!list.length) {
      context.fillStyle = ink.soft;
      context.font = `${13 * type()}px sans-serif`;
      const text = [...gains].some(measured) ? "This picture has no such pixels." : "Nothing measured yet: choose gains and press Measure.";
      context.fillText(text, 10, 40);
      ui("sizes-table").replaceChildren();
      setText(ui("sizes-words"), "");
      plot = null;
      return;
    }
    const [low, high] = scrubbed === null ? rangeOf(list) : rangeWhileScrubbing(list);
    context.font = `${12 * type()}px sans-serif`;
    const aside = Math.max(...["truly aligned", "MKPN 30.00"].map((text) => context.measureText(text).width));
    const [left, right, upper, lower] = [22 + 34 * type(), width - aside - 6, 12, height - 26 - 14 * type()];
    const atX = (size) => left + 14 + ((right - left - 28) * BASELINES.indexOf(`kpn-l${size}`)) / (BASELINES.length - 1);
    const atY = (value) => lower - ((lower - upper) * (value - low)) / (high - low);
    plot = { atX, atY, low, high, lower, upper };
    axes(context, ink, { left, right, upper, lower, width, height, low, high, atX, atY });
    const alone = list.length === 1;
    const colored = secret ? [] : list.map((one) => ({ ...one, color: alone ? ink.accent : GAIN_STYLES[one.gain] }));
    const area = { left, right, upper, lower, low, high, atX, atY };
    const labels = createLabels(context, ink, type(), area);
    for (const one of colored) curve(context, ink, one, area, labels, alone);
    // After all lines, so that no label stands under one; MKPN's first, which are to stand beside theirs.
    context.font = `${12 * type()}px sans-serif`;
    for (const { mkpn } of colored) if (mkpn) labels.write(`MKPN ${mkpn.mean.toFixed(2)}`, right + 3, atY(mkpn.mean), ink.text);
    for (const one of colored) values(context, ink, one, area, labels, alone);
    if (guess) drawGuess(context, ink);
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
    for (const name of BASELINES) context.fillText(String(SIZE_OF[name]), atX(SIZE_OF[name]), lower + 10 * type());
    context.fillText("side of the kernel in pixels (KPN L1 to L25)", (left + right) / 2, height - 7 * type());
    context.save();
    context.translate(8 * type(), (upper + lower) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("PSNR in dB", 0, 0);
    context.restore();
  }

  /** Draws the lines and marks of one gain. */
  function curve(context, ink, { points, mkpn, full, oracle, color }, { left, right, lower, low, high, atX, atY }, labels, alone) {
    const through = (list) => {
      context.beginPath();
      list.forEach((p, i) => context[i ? "lineTo" : "moveTo"](atX(p.size), atY(p.mean)));
      context.stroke();
      labels.curve(list.map((p) => [atX(p.size), atY(p.mean)]));
    };
    context.setLineDash([2, 4]);
    context.strokeStyle = alone ? ink.soft : color;
    context.lineWidth = 1.5;
    through(oracle.filter((p) => p.mean >= low && p.mean <= high));
    context.setLineDash([]);
    context.strokeStyle = color;
    context.lineWidth = 2.2;
    through(points.filter((p) => p.mean >= low));
    if (mkpn) {
      context.setLineDash([8, 4]);
      context.beginPath();
      context.moveTo(left, atY(mkpn.mean));
      context.lineTo(right, atY(mkpn.mean));
      context.stroke();
      context.setLineDash([]);
      labels.level(atY(mkpn.mean));
    }
    if (full) {
      const [x, y] = placeOfFull(full, { lower, low, atX, atY });
      context.fillStyle = ink.paper;
      context.lineWidth = 2;
      shape(context, x, y, [[0, -6], [6, 0], [0, 6], [-6, 0]]);
      context.fill();
      context.stroke();
      labels.curve([[x, y]]);
    }
    context.fillStyle = color;
    for (const p of points) {
      const x = atX(p.size);
      if (p.mean < low) {
        shape(context, x, lower, [[-5, -9], [5, -9], [0, 0]]);
        context.fill();
        continue;
      }
      if (p.high > p.low) {
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(x, atY(p.low));
        context.lineTo(x, atY(p.high));
        context.stroke();
        labels.curve([[x, atY(p.low)], [x, atY(p.high)]]);
      }
      context.beginPath();
      context.arc(x, atY(p.mean), 4, 0, 7);
      context.fill();
    }
  }

  function shape(context, x, y, corners) {
    context.beginPath();
    for (const [dx, dy] of corners) context.lineTo(x + dx, y + dy);
    context.closePath();
  }

  const placeOfFull = (full, { lower, low, atX, atY }) => [atX(5), full.mean < low ? lower - 8 : atY(full.mean)];

  /** Writes the values of one gain and what its marks are. */
  function values(context, ink, { gain, points, full, oracle, color }, area, labels, alone) {
    const { right, upper, lower, low, high, atX, atY } = area;
    if (alone && oracle.length) {
      const last = oracle[oracle.length - 1];
      if (last.mean >= low && last.mean <= high) labels.write("truly aligned", right + 3, atY(last.mean), ink.soft);
      else {
        const below = last.mean < low;
        context.fillStyle = ink.soft;
        context.textAlign = "left";
        context.fillText("truly aligned", right + 3, below ? lower - 22 * type() : upper + 4);
        context.fillText(`${last.mean.toFixed(2)} ${below ? "\u2193" : "\u2191"}`, right + 3, below ? lower - 7 * type() : upper + 4 + 15 * type());
      }
    }
    if (!alone && points.length) labels.write(`gain ${gain}`, right + 3, Math.min(lower, atY(points[points.length - 1].mean) + 14), color);
    if (alone && full) {
      const [x, y] = placeOfFull(full, area);
      labels.write(`full 5\u00d75 ${full.mean.toFixed(1)}${full.mean < low ? " \u2193" : ""}`, x + 9, y, ink.soft);
    }
    const inside = points.filter((p) => p.mean >= low);
    const crowded = atX(3) - atX(1) < 34 * type();
    const best = points.reduce((a, b) => (b.mean > (a?.mean ?? -1) ? b : a), null);
    for (const p of points) {
      const x = atX(p.size);
      if (p.mean < low) {
        labels.write(p.mean.toFixed(1), crowded ? x - 8 * type() : x + 7, crowded ? lower - 18 * type() : lower - 7 * type(), color);
        continue;
      }
      // On a phone, and of several gains, the table holds the values; the chart those of the best and of the ends.
      if ((crowded || !alone) && p !== best && p !== inside[0] && p !== inside[inside.length - 1]) continue;
      const text = p.mean.toFixed(2);
      labels.write(text, Math.min(x - 16 * type(), right - context.measureText(text).width), atY(p.mean) - 13 * type(), color, 20 * type());
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

  /** Whether all that have run are measured, over the same seeds: before, another may be the best. */
  function complete({ points, mkpn, full }) {
    const found = [...points, mkpn, full].filter(Boolean);
    return found.length === app.models().length && found.every((p) => p.values.length === found[0].values.length);
  }

  const gainText = (gain) => (gain === "run" ? "This run" : `Gain ${gain}`);

  /** One sentence per gain; a model ties with the best if it leads in one of the seeds. */
  function words(list, secret) {
    if (secret) return setText(ui("sizes-words"), "Draw where you expect the curve of KPN L1 to L25: drag in the chart, or focus it and use the arrow keys. Then press Reveal.");
    if (app.lesson.withholds()) setText(ui("sizes-words"), "The lesson asks what the curve says. Press Reveal in it, and the sentence stands here.");
    else sentences(list);
    setText(ui("sizes-note"), `Dotted: mean of the truly aligned frames within reach, without a network; no bound, since a network may also average neighbours. Diamond: full 5\u00d75. Dashed: MKPN. At the lower edge: what lies further below, with its value. Bars: lowest and highest over the seeds. ${where() === "whole" ? state.value.metric.split(";")[0] : where() === "square" ? "Of the square no border is removed." : state.value.rule}`);
  }

  function sentences(list) {
    const each = list.map((one) => {
      const { gain, points, mkpn } = one;
      if (!complete(one)) return `${gainText(gain)}, ${WHERE_TEXT[where()]}: not all models are measured.`;
      if (points.length < 2) return "";
      const best = points.reduce((a, b) => (b.mean > a.mean ? b : a));
      const worst = points.filter((p) => p.size > 1).reduce((a, b) => (b.mean < a.mean ? b : a), best);
      const seeds = Math.min(...points.map((p) => p.values.length));
      const leaders = new Set();
      for (let i = 0; i < seeds; i += 1) leaders.add(points.reduce((a, b) => (b.values[i] > a.values[i] ? b : a)).size);
      const alike = points.filter((p) => asShown(p.mean) === asShown(best.mean)).map((p) => `L${p.size}`);
      const who = leaders.size > 1 ? `a tie over ${seeds} seeds between ${[...leaders].sort((a, b) => a - b).map((s) => `L${s}`).join(" and ")}` : `KPN ${alike.join(" and ")} ${alike.length > 1 ? "are" : "is"} best of the single sizes (${best.mean.toFixed(2)} dB)`;
      const spread = best.size === worst.size ? "" : `, L${worst.size} is ${shownDifference(best.mean, worst.mean).toFixed(2)} dB below`;
      const others = mkpn ? `; MKPN ${signedText(shownDifference(mkpn.mean, best.mean), 2)} dB` : "";
      return `${gainText(gain)}, ${WHERE_TEXT[where()]}: ${who}${spread}${others}.`;
    });
    const off = guess && Object.keys(guess.values).length ? ` Your curve was off by ${guessError(list[0]).toFixed(2)} dB on average.` : "";
    setText(ui("sizes-words"), each.join(" ") + overGains() + off);
  }

  /** What moving the gain has shown so far. */
  function overGains() {
    const each = scrubbed === null ? [] : series(names()).filter(({ gain, points }) => gain !== "run" && points.length > 2 && measured(gain));
    if (each.length < 2) return "";
    const parts = each.map(({ gain, points }) => {
      const from3 = points.filter((p) => p.size > 1);
      const best = from3.reduce((a, b) => (b.mean > a.mean ? b : a));
      return `gain ${gain}: L${best.size}, ${shownDifference(best.mean, Math.min(...from3.map((p) => p.mean))).toFixed(2)} dB`;
    });
    return ` Best single size, and how far the worst from L3 up lies below it, ${parts.join("; ")} (one seed).`;
  }

  function guessError(one) {
    const differences = one.points.filter((p) => guess.values[p.name] !== undefined).map((p) => Math.abs(p.mean - guess.values[p.name]));
    return differences.reduce((a, b) => a + b, 0) / Math.max(1, differences.length);
  }

  function table(list, secret) {
    if (secret) return ui("sizes-table").replaceChildren();
    const shown = list[0]?.gain;
    if (scrubbed !== null) list = series(names());
    const heads = ["dB", ...BASELINES.map((name) => `L${SIZE_OF[name]}`), "5\u00d75", "MKPN"];
    const rows = list.map((one) => {
      const { gain, points, full, mkpn } = one;
      const values = [...BASELINES.map((name) => points.find((p) => p.name === name)), full, mkpn];
      const best = complete(one) && !app.lesson.withholds() ? Math.max(...values.map((v) => asShown(v?.mean ?? -1))) : null;
      return make("tr", { class: scrubbed !== null && gain === shown ? "now" : "" }, make("th", { scope: "row" }, gainText(gain).toLowerCase()), ...values.map((v) => make("td", { class: v && asShown(v.mean) === best ? "best" : "" }, v ? v.mean.toFixed(2) : "\u2013")));
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
    app.say("");
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
  ui("where").addEventListener("change", () => (app.remember(), app.redraw()), { signal });
  ui("seeds").addEventListener("change", () => ((scrubbed = null), (note = ""), app.remember(), app.redraw()), { signal });
  ui("sweep").addEventListener("click", measure, { signal });
  ui("scrub").addEventListener("input", scrub, { signal });
  ui("sweep-stop").addEventListener("click", stop, { signal });
  ui("predict").addEventListener("click", predict, { signal });

  return {
    show,
    draw,
    fill,
    /** What of this view stands in the address, and how it is read from there. */
    link: () => ({ where: where() === "whole" ? null : where(), gain: scrubbed }),
    open(fields) {
      if (fields.get("where") in WHERE_TEXT) ui("where").value = fields.get("where");
      if (!names().includes(fields.get("gain"))) return;
      ui("scrub").value = names().indexOf(fields.get("gain"));
      scrub();
    },
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
    leave: () => ((note = ""), clearTimeout(settle), stop()),
    reset: () => ((note = ""), (regions = shaded = null), results.clear(), again.clear(), (gains = new Set()), (scrubbed = null), clearTimeout(settle), stop(), (guess = null), setText(ui("predict"), "Predict")),
  };
}
