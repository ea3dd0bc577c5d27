// Arrays from Python, and the arithmetic of one pixel.

/** Reads an array that `mkpn.ui.explorer.packing` has packed: its numbers in one typed array, and its shape. */
function unpack({ type, shape, data, low, span }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  if (type === "u1") return { shape, data: bytes };
  if (type === "<f4") return { shape, data: new Float32Array(bytes.buffer) };
  const levels = new Uint16Array(bytes.buffer);
  return { shape, data: Float32Array.from(levels, (level) => low + (level / 65535) * span) };
}

/** Reads all arrays of a probed pixel, in place. */
function unpackProbe(answer) {
  if (answer.fused) answer.kernels.fused = answer.fused;
  for (const kernel of Object.values(answer.kernels)) kernel.weights = unpack(kernel.weights);
  for (const size of Object.keys(answer.factors)) answer.factors[size] = unpack(answer.factors[size]);
  // Of a single size the mean is that size.
  answer.kernels.fused ??= Object.values(answer.kernels)[0];
  answer.values = unpack(answer.values);
  return answer;
}

/** One kernel [K,K] of kernels [N,K,K]. */
function kernelOf(weights, frame) {
  const size = weights.shape[1];
  return { size, data: weights.data.subarray(frame * size * size, (frame + 1) * size * size) };
}

/** The noisy values [K,K] that a kernel of one size reads in one frame and channel. */
function valuesOf(values, frame, channel, size) {
  const [, channels, largest] = values.shape;
  const edge = (largest - size) / 2;
  const out = new Float32Array(size * size);
  for (let row = 0; row < size; row += 1) {
    const from = ((frame * channels + channel) * largest + row + edge) * largest + edge;
    out.set(values.data.subarray(from, from + size), row * size);
  }
  return out;
}

/** Every term of Eq. 2 in the order it is added: frame by frame, size by size. */
function termsOf(answer) {
  const sizes = Object.keys(answer.kernels).filter((name) => name !== "fused").map(Number).sort((a, b) => a - b);
  const frames = answer.kernels.fused.sum.length;
  const terms = [];
  for (let frame = 0; frame < frames; frame += 1) for (const size of sizes) terms.push({ frame, size });
  return terms;
}

/** Weights times values over the number of terms, and their sum; in double precision. */
function contribution(answer, term, channel, count) {
  const { data } = kernelOf(answer.kernels[term.size].weights, term.frame);
  const values = valuesOf(answer.values, term.frame, channel, term.size);
  const products = new Float64Array(data.length);
  let sum = 0;
  for (let i = 0; i < data.length; i += 1) {
    products[i] = (data[i] * values[i]) / count;
    sum += products[i];
  }
  return { products, values, weights: data, sum };
}

/** The sums after 0, 1, ... all terms. */
function runningSums(answer, channel) {
  const terms = termsOf(answer);
  const sums = [0];
  for (const term of terms) sums.push(sums[sums.length - 1] + contribution(answer, term, channel, terms.length).sum);
  return sums;
}

function largestMagnitude(values) {
  let top = 0;
  for (const value of values) if (Math.abs(value) > top) top = Math.abs(value);
  return top;
}
