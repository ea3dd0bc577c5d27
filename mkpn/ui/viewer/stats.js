// Statistics of a rectangle from the 8-bit pixels, as mkpn.metrics defines them but with no border removed.

const BINS = 32;

/**
 * Returns mean and standard deviation (population) over all colour values in [0,1], PSNR against the reference in dB
 * (from the mean squared error over the colour channels), and a histogram of the colour values.
 */
function regionStatistics(image, reference, { x, y, w, h }) {
  const { data, width } = image;
  const other = reference && reference.width === width && reference.height === image.height ? reference.data : null;
  const histogram = new Uint32Array(BINS);
  let sum = 0;
  let squares = 0;
  let error = 0;
  for (let row = y; row < y + h; row += 1) {
    for (let at = 4 * (row * width + x), end = at + 4 * w; at < end; at += 4) {
      for (let k = at; k < at + 3; k += 1) {
        const value = data[k];
        sum += value;
        squares += value * value;
        histogram[value >> 3] += 1;
        if (other) error += (value - other[k]) ** 2;
      }
    }
  }
  const count = 3 * w * h;
  const mean = sum / count;
  return {
    mean: mean / 255,
    sd: Math.sqrt(Math.max(0, squares / count - mean * mean)) / 255,
    psnr: other ? (error === 0 ? Infinity : -10 * Math.log10(error / count / 255 ** 2)) : null,
    histogram,
  };
}
