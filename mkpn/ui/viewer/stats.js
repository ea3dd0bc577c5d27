// Numbers of a rectangle from the 8-bit pixels, as mkpn.metrics defines them but with no border removed.

/** Returns mean and standard deviation (population) over all colour values in [0,1]. */
function levelStatistics({ data, width }, { x, y, w, h }) {
  let sum = 0;
  let squares = 0;
  for (let row = y; row < y + h; row += 1) {
    for (let at = 4 * (row * width + x), end = at + 4 * w; at < end; at += 4) {
      for (let k = at; k < at + 3; k += 1) {
        sum += data[k];
        squares += data[k] * data[k];
      }
    }
  }
  const count = 3 * w * h;
  const mean = sum / count;
  return { mean: mean / 255, sd: Math.sqrt(Math.max(0, squares / count - mean * mean)) / 255 };
}

/**
 * Returns the errors of a rectangle against a reference: PSNR in dB, the means `mae`, `mse`, `relative` and
 * `relativeSquared` over all colour values, and `worst`, the pixel with the largest absolute error.
 */
function errorStatistics({ data, width }, { data: other }, { x, y, w, h }) {
  const [relative, relativeSquared] = [errorLut("relative"), errorLut("relative-squared")];
  const worst = { x, y, sum: -1 };
  let [absolute, squares, sumRelative, sumRelativeSquared] = [0, 0, 0, 0];
  for (let row = y; row < y + h; row += 1) {
    for (let column = x, at = 4 * (row * width + x); column < x + w; column += 1, at += 4) {
      let sum = 0;
      for (let k = at; k < at + 3; k += 1) {
        const difference = Math.abs(data[k] - other[k]);
        const pair = (data[k] << 8) | other[k];
        sum += difference;
        squares += difference * difference;
        sumRelative += relative[pair];
        sumRelativeSquared += relativeSquared[pair];
      }
      absolute += sum;
      if (sum > worst.sum) Object.assign(worst, { x: column, y: row, sum });
    }
  }
  const count = 3 * w * h;
  return {
    psnr: squares === 0 ? Infinity : -10 * Math.log10(squares / count / 255 ** 2),
    mae: absolute / count / 255,
    mse: squares / count / 255 ** 2,
    relative: sumRelative / count,
    relativeSquared: sumRelativeSquared / count,
    worst: { x: worst.x, y: worst.y, value: worst.sum / 3 / 255 },
  };
}
