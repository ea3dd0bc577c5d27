// Error measures between the 8-bit pixels of two pictures: pure numbers, no canvas.

// tev's constant: the relative measures stay finite where the reference is black.
const RELATIVE_FLOOR = 0.01;

/**
 * Every measure per colour value in [0,1], `a` of the picture and `b` of the reference; a pixel's error is the mean of
 * its channels. The relative ones are those of tev (applyMetric in tev's ImageCanvas).
 */
const ERROR_KINDS = {
  absolute: { label: "Absolute", low: 0.01, top: 0.2, digits: 3, of: (a, b) => Math.abs(a - b) },
  squared: { label: "Squared", low: 0.0005, top: 0.02, digits: 4, of: (a, b) => (a - b) ** 2 },
  signed: { label: "Signed", low: 0.01, top: 0.2, digits: 3, signed: true, of: (a, b) => a - b },
  relative: { label: "Relative absolute", low: 0.01, top: 1, digits: 3, of: (a, b) => Math.abs(a - b) / (b + RELATIVE_FLOOR) },
  "relative-squared": {
    label: "Relative squared",
    low: 0.0005,
    top: 0.2,
    digits: 4,
    of: (a, b) => (a - b) ** 2 / (b * b + RELATIVE_FLOOR),
  },
  ssim: { label: "1 \u2212 SSIM", low: 0.05, top: 1, digits: 3, of: null },
};

const errorLuts = new Map();

/** Returns the error of two 8-bit values at `a << 8 | b`: there are only 65,536 pairs. */
function errorLut(kind) {
  if (!errorLuts.has(kind)) {
    const lut = new Float32Array(65536);
    const { of } = ERROR_KINDS[kind];
    for (let i = 0; i < 65536; i += 1) lut[i] = of((i >> 8) / 255, (i & 255) / 255);
    errorLuts.set(kind, lut);
  }
  return errorLuts.get(kind);
}

/** Returns the error of the pixel whose red byte lies at `at`. */
function errorAt({ lut, data, reference, values }, at) {
  if (values) return values[at >> 2];
  const r = lut[(data[at] << 8) | reference[at]];
  const g = lut[(data[at + 1] << 8) | reference[at + 1]];
  return (r + g + lut[(data[at + 2] << 8) | reference[at + 2]]) / 3;
}

/** Returns the place 0..1 of an error on a colour scale that ends at `top`. */
function scalePlace(kind, value, top) {
  return ERROR_KINDS[kind].signed ? (value / top + 1) / 2 : value / top;
}

/** What every number removes from the rim of a whole image (mkpn.metrics), where enough is left. */
const METRIC_BORDER = 8;

function withoutBorder(width, height) {
  const border = Math.min(width, height) - 2 * METRIC_BORDER >= SSIM_WINDOW ? METRIC_BORDER : 0;
  return { x: border, y: border, w: width - 2 * border, h: height - 2 * border };
}

/** Returns the error below which a share of all inner pixels lies, over the pairs given: one scale then fits all. */
function commonTop(kind, pairs, share) {
  const steps = 8192;
  const highest = Math.max(...pairs.map((pair) => quantile(pair, share, steps)));
  return Math.min(1, Math.max(ERROR_KINDS[kind].low, Number(highest.toPrecision(2))));
}

function quantile(pair, share, steps) {
  const { width, height } = pair.image;
  const { x, y, w, h } = withoutBorder(width, height);
  const counts = new Uint32Array(steps + 1);
  for (let row = y; row < y + h; row += 1) {
    for (let at = 4 * (row * width + x), end = at + 4 * w; at < end; at += 4) {
      // Steps of the root: small errors are common and need fine ones. Beyond 1 no scale reaches.
      counts[Math.min(steps, Math.round(Math.sqrt(Math.abs(errorAt(pair, at))) * steps))] += 1;
    }
  }
  let left = w * h * (1 - share);
  let step = steps;
  while (step > 0 && left >= counts[step]) left -= counts[step--];
  return (step / steps) ** 2;
}
