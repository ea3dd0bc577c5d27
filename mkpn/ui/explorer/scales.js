// Colour scales: zero is the middle, the same colour distance means the same difference, or the same factor on a symmetric log scale.

const LOG_DECADES = 3;

/** Returns t in [0,1] for a value between -top and top. */
function onScale(kind, value, top) {
  if (top === 0) return 0.5;
  const share = value / top;
  if (kind !== "log") return 0.5 + share / 2;
  const magnitude = Math.max(0, 1 + Math.log10(Math.max(Math.abs(share), 1e-12)) / LOG_DECADES);
  return 0.5 + (Math.sign(share) * magnitude) / 2;
}

function cssColor([r, g, b], alpha = 1) {
  return `rgba(${r},${g},${b},${alpha})`;
}

const SCALE_TEXT = {
  shared: "one scale for all kernels",
  row: "each row has its own scale",
  frame: "each frame has its own scale",
  log: "one symmetric log scale, three decades",
};

/** Draws a numeric colour bar into a container: a canvas, and ticks [[t, text], ...]. */
function drawBar(container, map, ticks, label) {
  const canvas = make("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  for (let i = 0; i < 256; i += 1) {
    context.fillStyle = cssColor(typeof map === "function" ? map(i / 255) : colorAt(map, i / 255));
    context.fillRect(i, 0, 1, 1);
  }
  const marks = ticks.map(([t, text]) => {
    const side = t < 0.02 ? "start" : t > 0.98 ? "end" : "middle";
    return make("span", { class: `tick ${side}`, style: `left:${(100 * t).toFixed(2)}%` }, text);
  });
  container.replaceChildren(
    make("div", { class: "bar-track" }, canvas, ...marks),
    make("span", { class: "bar-label" }, label),
  );
}

/** Ticks of a zero-centred scale. */
function divergingTicks(kind, top) {
  if (kind !== "log") return [-1, -0.5, 0, 0.5, 1].map((share) => [0.5 + share / 2, signedShort(share * top)]);
  return [-1, -0.1, -0.01, 0, 0.01, 0.1, 1].map((share) => [onScale("log", share, 1), signedShort(share * top)]);
}

function signedShort(value) {
  if (value === 0) return "0";
  const text = String(Number(Math.abs(value).toPrecision(2)));
  return (value < 0 ? "\u2212" : "+") + text;
}

// Kernel sizes are an order, and so a ramp that grows lighter; the two other networks stand apart, also without red-green vision.
const MODEL_COLORS = {
  "kpn-l1": [68, 1, 84],
  "kpn-l3": [71, 45, 123],
  "kpn-l5": [59, 82, 139],
  "kpn-l7": [44, 114, 142],
  "kpn-l9": [33, 144, 141],
  "kpn-l11": [39, 173, 129],
  "kpn-l13": [93, 200, 99],
  "kpn-l25": [190, 223, 38],
  kpn: [250, 150, 212],
  mkpn: [230, 97, 0],
};
const TIE_COLOR = [136, 136, 136];
const VIRIDIS = ["kpn-l1", "kpn-l3", "kpn-l5", "kpn-l7", "kpn-l9", "kpn-l11", "kpn-l13", "kpn-l25"].map((name) => MODEL_COLORS[name]);

function viridisAt(t) {
  const place = Math.min(1, Math.max(0, t)) * (VIRIDIS.length - 1);
  const low = Math.min(VIRIDIS.length - 2, Math.floor(place));
  return VIRIDIS[low].map((from, k) => Math.round(from + (VIRIDIS[low + 1][k] - from) * (place - low)));
}

/** A picture of a few values, one pixel each, to be drawn enlarged: one call instead of hundreds of squares. */
function smallPicture(width, height, rgbAt) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    image.data.set(rgbAt(i), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  const canvas = newCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Draws a small picture enlarged, each of its pixels a square of one colour. */
function enlarge(context, picture, x, y, width, height, alpha = 1) {
  context.imageSmoothingEnabled = false;
  context.globalAlpha = alpha;
  context.drawImage(picture, x, y, width, height);
  context.globalAlpha = 1;
}

/** Prepares a canvas for drawing in CSS pixels on any screen. */
function prepare(canvas, width, height) {
  const unit = window.devicePixelRatio || 1;
  const w = Math.max(1, Math.round(width * unit));
  const h = Math.max(1, Math.round(height * unit));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(unit, 0, 0, unit, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The colours of the page, read where they are drawn with. */
function inkOf(root) {
  const style = getComputedStyle(root);
  const read = (name) => style.getPropertyValue(name).trim();
  return { text: read("--ink"), soft: read("--ink-soft"), line: read("--line"), accent: read("--accent"), paper: read("--paper"), mark: read("--mark") };
}
