// What the kernels do everywhere: one number for each 2x2 pixels, where the network predicts.

const MAP_WORDS = {
  dominant: "The size that carries most of the brightness: the largest magnitude of its kernels' sums, all frames together.",
  share: "How much of the brightness this size carries, of what all sizes carry.",
  radius: "Effective radius of the fused kernels in pixels: how far around its own centroid a frame's kernel gathers. Large where the network averages widely.",
  noise_gain: "Variance of the output's noise over that of one frame: 0.125 is the plain mean of eight frames, less means that neighbours are averaged, too.",
  reference: "How much of the weight lies on the reference frame; 12.5 % if all frames counted alike. High where the other frames do not fit.",
  frames: "Effective number of frames: 8 if all count alike, 1 if one counts alone. Low where frames disagree, for instance where they have moved far.",
};

function createMaps(app) {
  const { ui, state, signal } = app;
  let answer = null;
  let chosen = "dominant";
  let drawn = null;
  let asked = "";
  let pending = null;

  const kindOf = (name) => (name.startsWith("share-") ? "share" : name);

  /** Resolves when the maps of the chosen model are there; an answer for another model comes too late. */
  function show() {
    const key = `${state.value.token} ${state.model}`;
    if (!state.model || key === asked) return pending;
    reset();
    asked = key;
    setText(ui("map-words"), "Reading the kernels of every pixel \u2026");
    return (pending = load(key));
  }

  async function load(key) {
    const found = await app.ask({ what: "maps", model: state.model });
    if (key !== asked) return;
    if (!found) return reset();
    answer = { ...found, maps: Object.fromEntries(Object.entries(found.maps).map(([name, packed]) => [name, unpack(packed)])) };
    const several = answer.sizes.length > 1;
    const entries = [
      ...(several ? [["dominant", "dominant size"]] : []),
      ["radius", "effective radius"], ["noise_gain", "noise gain"], ["reference", "share of the reference"], ["frames", "agreement of the frames"],
      ...(several ? answer.sizes.map((size) => [`share-${size}`, `share of ${size}\u00d7${size}`]) : []),
    ];
    ui("map").replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
    if (!entries.some(([value]) => value === chosen)) chosen = entries[0][0];
    ui("map").value = chosen;
    paint();
    app.redraw();
  }

  /** What stands there is of another model, or of another run. */
  function reset() {
    answer = drawn = null;
    asked = "";
    for (const name of ["map-words", "map-here", "map-note", "map-bar", "map-table"]) ui(name).replaceChildren();
  }

  function valueAt(name, i) {
    if (name !== "dominant") return answer.maps[name].data[i];
    let best = 0;
    for (let k = 1; k < answer.sizes.length; k += 1) {
      if (answer.maps[`share-${answer.sizes[k]}`].data[i] > answer.maps[`share-${answer.sizes[best]}`].data[i]) best = k;
    }
    return best;
  }

  const sizeColor = (k) => viridisAt(answer.sizes.length > 1 ? k / (answer.sizes.length - 1) : 0);

  /** The colour scale ends where all but one in a hundred values lie, so that a few do not hide the others. */
  function rangeOf(name) {
    if (name.startsWith("share-") || name === "reference") return [0, 1];
    if (name === "frames") return [1, state.value.frames.length];
    const sorted = Float32Array.from(answer.maps[name].data).sort();
    return [0, sorted[Math.floor(0.99 * (sorted.length - 1))] || 1];
  }

  function paint() {
    const [height, width] = answer.maps.radius.shape;
    const data = new Uint8ClampedArray(4 * width * height);
    const range = chosen === "dominant" ? null : rangeOf(chosen);
    for (let i = 0; i < width * height; i += 1) {
      const value = valueAt(chosen, i);
      data.set(range ? viridisAt((value - range[0]) / (range[1] - range[0])) : sizeColor(value), 4 * i);
      data[4 * i + 3] = 255;
    }
    const canvas = newCanvas(width, height);
    canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
    drawn = canvas;
    setText(ui("map-words"), MAP_WORDS[kindOf(chosen)]);
    if (range) {
      const at = (t) => range[0] + t * (range[1] - range[0]);
      const percent = chosen === "reference" || chosen.startsWith("share-");
      const text = (v) => (percent ? `${Math.round(100 * v)} %` : chosen === "radius" ? `${shortText(v)} px` : shortText(v));
      drawBar(ui("map-bar"), viridisAt, [0, 0.25, 0.5, 0.75, 1].map((t) => [t, text(at(t))]), ui("map").selectedOptions[0].textContent + (percent || chosen === "frames" ? "" : " (the highest 1 % have the last colour)"));
    } else {
      const n = answer.sizes.length;
      drawBar(ui("map-bar"), (t) => sizeColor(Math.min(n - 1, Math.floor(t * n))), answer.sizes.map((size, k) => [(k + 0.5) / n, `${size}\u00d7${size}`]), "dominant size");
    }
    table();
  }

  function textOf(name, value) {
    if (value === null) return "\u2013";
    if (name === "dominant") return `${answer.sizes[value]}\u00d7${answer.sizes[value]}`;
    if (name === "reference" || name.startsWith("share-")) return `${(100 * value).toFixed(1)} %`;
    return name === "radius" ? `${value.toFixed(2)} px` : value.toFixed(name === "frames" ? 2 : 4);
  }

  function table() {
    const names = [...answer.sizes.map((size) => `share-${size}`).filter(() => answer.sizes.length > 1), "radius", "noise_gain", "reference", "frames"];
    const label = (name) => [...ui("map").options].find((option) => option.value === name)?.textContent ?? name;
    ui("map-table").replaceChildren(
      make("table", { class: "numbers" },
        make("thead", {}, make("tr", {}, ...["mean over", "flat third", "edges", "texture"].map((text) => make("th", { scope: "col" }, text)))),
        make("tbody", {}, ...names.map((name) => make("tr", { class: name === chosen ? "now" : "" }, make("th", { scope: "row" }, label(name)), ...answer.means[name].map((mean) => make("td", {}, textOf(name, mean)))))),
      ),
    );
    setText(ui("map-note"), `One value for each 2\u00d72 pixels: the network predicts kernels at half resolution and interpolates. ${state.value.rule}`);
  }

  function here() {
    if (!answer) return null;
    const [, width] = answer.maps.radius.shape;
    const value = valueAt(chosen, (state.y >> 1) * width + (state.x >> 1));
    return `${ui("map").selectedOptions[0].textContent} ${textOf(chosen, value)}`;
  }

  ui("map").addEventListener("change", () => {
    chosen = ui("map").value;
    app.remember();
    paint();
    app.redraw();
  }, { signal });
  ui("map-opacity").addEventListener("input", app.redraw, { signal });

  return {
    show,
    layer: app.picture.greyOf,
    hover: here,
    draw: () => answer && setText(ui("map-here"), here() ?? ""),
    over(context, place) {
      if (!drawn) return;
      context.imageSmoothingEnabled = false;
      context.globalAlpha = Number(ui("map-opacity").value);
      context.drawImage(drawn, place.originX, place.originY, 2 * drawn.width * place.scale, 2 * drawn.height * place.scale);
      context.globalAlpha = 1;
    },
    link: () => ({ map: chosen }),
    open(fields) {
      if (fields.get("map")) chosen = fields.get("map");
    },
    choose(name) {
      chosen = name;
      if (!answer) return;
      ui("map").value = name;
      paint();
    },
    means: (model) => (answer?.model === model ? answer.means : null),
    reset,
  };
}
