// Sizes and frames switched on and off: the picture from the kernels that are left, at once.

function createAblation(app) {
  const { ui, state, signal } = app;
  let on = null;
  let picture = null;
  let difference = null;
  let answer = null;
  let busy = false;
  let again = false;
  const TOP = 64;

  function config() {
    const pane = app.pane(state.model);
    return { sizes: pane?.sizes ?? [], frames: state.value.frames.length };
  }

  function toggles(container, entries, kept) {
    replaceKept(container, "data-value", entries.map(([value, text, title]) => {
      const button = make("button", { type: "button", "data-value": value, "aria-pressed": String(kept.has(value)), title }, text);
      button.addEventListener("click", () => {
        if (!kept.delete(value)) kept.add(value);
        changed();
      });
      return button;
    }));
  }

  function show() {
    if (!state.model) {
      for (const name of ["sizes-on", "frames-on"]) ui(name).replaceChildren();
      return setText(ui("ablation-words"), "No model has run yet.");
    }
    const { sizes, frames } = config();
    if (!on || on.model !== state.model || on.token !== state.value.token) {
      on = { model: state.model, token: state.value.token, sizes: new Set(sizes), frames: new Set(Array.from({ length: frames }, (_, i) => i)) };
      forget();
    }
    sync();
    request();
  }

  /** What stands there is of another model, or of another run. */
  function forget() {
    picture = difference = answer = null;
    for (const name of ["ablation-psnr", "ablation-bar"]) ui(name).replaceChildren();
  }

  function sync() {
    const { sizes, frames } = config();
    toggles(ui("sizes-on"), sizes.map((size) => [size, `${size}\u00d7${size}`, `Kernels of ${size} by ${size}`]), on.sizes);
    toggles(ui("frames-on"), Array.from({ length: frames }, (_, i) => {
      const [x, y] = state.value.offsets[i];
      return [i, i ? String(i) : "0 ref.", `Frame ${i}, moved x ${signedText(x)}, y ${signedText(y)} px`];
    }), on.frames);
  }

  function changed() {
    if (!on) return;
    sync();
    request();
  }

  async function request() {
    if (!on) return; // no model has run
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    if (!answer) setText(ui("ablation-words"), "Every frame is filtered by every size once \u2026");
    const started = performance.now();
    const { model } = on;
    const ordered = (kept) => [...kept].sort((a, b) => a - b);
    const question = { what: "ablate", model, sizes: ordered(on.sizes), frames: ordered(on.frames), renormalise: ui("renormalise").checked };
    const found = await app.ask(question);
    busy = false;
    if (found && model === on.model) {
      // What is said and drawn is what was asked for, not what has been switched since.
      answer = { ...found, asked: question };
      app.root.dataset.recomposed = (performance.now() - started).toFixed(1);
      decode(found);
      tell();
      app.redraw();
    }
    if (again) {
      again = false;
      request();
    }
  }

  /** Makes the picture, and its difference from the network's own output in 8-bit levels. */
  function decode({ picture: packed }) {
    const { shape: [height, width], data } = unpack(packed);
    picture = { width, height, data: new Uint8ClampedArray(4 * width * height) };
    for (let i = 0; i < width * height; i += 1) {
      for (let c = 0; c < 3; c += 1) picture.data[4 * i + c] = data[3 * i + c];
      picture.data[4 * i + 3] = 255;
    }
    difference = null;
  }

  function differenceOf() {
    if (!on) return null;
    const full = app.picture.imageOf(on.model);
    if (!full || !picture) return null;
    if (difference) return difference;
    difference = { width: picture.width, height: picture.height, data: new Uint8ClampedArray(picture.data.length) };
    const colors = Array.from({ length: 2 * 255 + 1 }, (_, i) => colorAt("blue to red", 0.5 + (i - 255) / (2 * TOP)));
    for (let i = 0; i < picture.data.length; i += 4) {
      let sum = 0;
      for (let c = 0; c < 3; c += 1) sum += picture.data[i + c] - full.data[i + c];
      const color = colors[Math.round(sum / 3) + 255];
      difference.data.set(color, i);
      difference.data[i + 3] = 255;
    }
    return difference;
  }

  function tell() {
    const change = answer.psnr === null || answer.full === null ? null : shownDifference(answer.psnr, answer.full);
    const { sizes, frames } = config();
    const { asked } = answer;
    const all = asked.sizes.length === sizes.length && asked.frames.length === frames;
    setText(ui("ablation-psnr"), `${figureText(answer.psnr, 2)} dB, ${app.label(on.model)} whole: ${figureText(answer.full, 2)} dB (${change === null ? "\u2013" : signedText(change, 2)})`);
    const stayed = answer.stayed > 0 ? ` In ${answer.stayed < 0.0005 ? "less than 0.1" : (100 * answer.stayed).toFixed(1)} % of the pixels too little weight is left to renormalise; they stay as they are.` : "";
    setText(ui("ablation-words"), all
      ? "Everything is on: this is the network's own picture."
      : `On: ${asked.sizes.map((s) => `${s}\u00d7${s}`).join(", ") || "no size"}; ${asked.frames.length === 1 ? "frame" : "frames"} ${asked.frames.join(", ") || "none"}.${stayed}`);
    drawBar(ui("ablation-bar"), "blue to red", [-TOP, -TOP / 2, 0, TOP / 2, TOP].map((v) => [0.5 + v / (2 * TOP), signedShort(v)]), "difference picture: levels of 255 against the whole model, mean of the colours");
  }

  ui("renormalise").addEventListener("change", request, { signal });
  ui("all-on").addEventListener("click", () => ((on = null), show()), { signal });
  function keepFrames(wanted) {
    if (on) on.frames = new Set(state.value.frames.map((_, i) => i).filter(wanted));
    changed();
  }
  ui("reference-only").addEventListener("click", () => keepFrames((i) => i === 0), { signal });
  ui("others-only").addEventListener("click", () => keepFrames((i) => i > 0), { signal });

  return {
    show,
    madeFrom: (id) => (id === "recomposed" || id === "difference" ? state.model : null),
    layers: () => [["recomposed", "recomposed picture"], ["difference", "difference from whole"]],
    // Until the first answer everything is on: that is the network's own picture.
    layer: (id) => (id === "recomposed" ? picture ?? app.picture.imageOf(state.model) : id === "difference" ? differenceOf() : null),
    draw() {
      const { model, sizes, frames, renormalise } = answer?.asked ?? {};
      app.root.dataset.ablated = answer ? `${model}; ${sizes}; ${frames}${renormalise ? "; renormalised" : ""}` : "";
    },
    reset() {
      on = null;
      again = false;
      forget();
    },
  };
}
