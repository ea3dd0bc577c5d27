// SSIM in the page, as mkpn.metrics defines it: Wang et al. 2004, Gaussian 11x11 of sigma 1.5, population covariance,
// K1 0.01 and K2 0.03, mirrored beyond the rim, mean of the colour channels. A test compares it with Python.

const SSIM_WINDOW = 11;
const SSIM_RADIUS = 5;
const SSIM_WEIGHTS = (() => {
  const weights = Array.from({ length: SSIM_RADIUS + 1 }, (_, i) => Math.exp(-(i * i) / (2 * 1.5 * 1.5)));
  const total = weights.reduce((sum, weight, i) => sum + (i ? 2 : 1) * weight, 0);
  return weights.map((weight) => weight / total);
})();

/** Blurs a plane of values, first along the rows and then along the columns. */
function gaussianBlur(plane, width, height) {
  const [w0, w1, w2, w3, w4, w5] = SSIM_WEIGHTS;
  const rows = new Float64Array(plane.length);
  const out = new Float64Array(plane.length);
  const line = new Float64Array(width + 2 * SSIM_RADIUS);
  for (let y = 0; y < height; y += 1) {
    const base = y * width;
    line.set(plane.subarray(base, base + width), SSIM_RADIUS);
    for (let k = 1; k <= SSIM_RADIUS; k += 1) {
      line[SSIM_RADIUS - k] = plane[base + k - 1];
      line[SSIM_RADIUS + width - 1 + k] = plane[base + width - k];
    }
    for (let x = 0, c = SSIM_RADIUS; x < width; x += 1, c += 1) {
      rows[base + x] =
        w0 * line[c] +
        w1 * (line[c - 1] + line[c + 1]) +
        w2 * (line[c - 2] + line[c + 2]) +
        w3 * (line[c - 3] + line[c + 3]) +
        w4 * (line[c - 4] + line[c + 4]) +
        w5 * (line[c - 5] + line[c + 5]);
    }
  }
  const mirrored = (y) => (y < 0 ? -y - 1 : y >= height ? 2 * height - 1 - y : y) * width;
  for (let y = 0; y < height; y += 1) {
    const base = y * width;
    for (let k = 0; k <= SSIM_RADIUS; k += 1) {
      const [above, below, weight] = [mirrored(y - k), mirrored(y + k), k ? SSIM_WEIGHTS[k] : SSIM_WEIGHTS[0] / 2];
      for (let x = 0; x < width; x += 1) out[base + x] += weight * (rows[above + x] + rows[below + x]);
    }
  }
  return out;
}

function channelPlane(image, channel) {
  const plane = new Float64Array(image.width * image.height);
  for (let i = 0, k = channel; i < plane.length; i += 1, k += 4) plane[i] = image.data[k] / 255;
  return plane;
}

/** Adds a third of one channel's local SSIM to `values`. */
function addChannelSimilarity(values, image, reference, channel) {
  const { width, height } = image;
  const [x, y] = [channelPlane(image, channel), channelPlane(reference, channel)];
  const product = (a, b) => gaussianBlur(a.map((value, i) => value * b[i]), width, height);
  const [ux, uy, xx, yy, xy] = [gaussianBlur(x, width, height), gaussianBlur(y, width, height), product(x, x), product(y, y), product(x, y)];
  const [c1, c2] = [0.01 ** 2, 0.03 ** 2];
  for (let i = 0; i < values.length; i += 1) {
    const [mx, my] = [ux[i], uy[i]];
    const above = (2 * mx * my + c1) * (2 * (xy[i] - mx * my) + c2);
    const below = (mx * mx + my * my + c1) * (xx[i] - mx * mx + yy[i] - my * my + c2);
    values[i] += above / below / 3;
  }
}

/** Returns the mean SSIM of a rectangle over the windows that lie within it; null where none does. */
function meanSimilarity(values, width, { x, y, w, h }) {
  if (Math.min(w, h) < SSIM_WINDOW) return null;
  let sum = 0;
  for (let row = y + SSIM_RADIUS; row < y + h - SSIM_RADIUS; row += 1) {
    for (let at = row * width + x + SSIM_RADIUS, end = at + w - 2 * SSIM_RADIUS; at < end; at += 1) sum += values[at];
  }
  return sum / (w - 2 * SSIM_RADIUS) / (h - 2 * SSIM_RADIUS);
}

/** Keeps the maps that were asked for; each is made once, one channel at a time, so that the page stays responsive. */
function createSimilarity(app) {
  const maps = new WeakMap();
  const queue = [];
  let timer = 0;

  function work() {
    timer = 0;
    const job = queue[0];
    if (!job) return;
    // What was asked for against another reference, or of a picture that is gone, is not needed any more.
    if (!app.state.panes.some((pane) => app.imageOf(pane.id) === job.image) || app.imageOf(app.state.reference) !== job.reference) {
      maps.get(job.image).delete(job.reference);
      queue.shift();
    } else {
      addChannelSimilarity(job.sum, job.image, job.reference, job.channel);
      job.channel += 1;
      if (job.channel === 3) {
        queue.shift();
        job.entry.values = job.sum;
        job.entry.dissimilarity = job.sum.map((value) => Math.min(1, Math.max(0, 1 - value)));
        delete job.entry.note;
        app.refresh({ region: true });
      }
    }
    next();
  }

  function next() {
    if (queue.length && !timer) timer = setTimeout(work, 0);
  }

  return {
    /** Returns `{values, dissimilarity}` of two pictures of one size, or `{note}` while it is being made. */
    map(image, reference) {
      if (Math.min(image.width, image.height) < SSIM_WINDOW) return { note: "too small for SSIM" };
      if (!maps.has(image)) maps.set(image, new WeakMap());
      const known = maps.get(image);
      if (!known.has(reference)) {
        const entry = { note: "measuring SSIM \u2026" };
        known.set(reference, entry);
        queue.push({ image, reference, entry, channel: 0, sum: new Float32Array(image.width * image.height) });
        next();
      }
      return known.get(reference);
    },
  };
}
