// Colour maps as 32-bit RGBA words, ready to be written into a canvas.

// Magma (Smith and van der Walt, CC0): every fifth of its 256 entries; linear in between is exact to one level.
const MAGMA_ANCHORS =
  "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c81721f81" +
  "792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f1605df4695c" +
  "f7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf";

// Blue for "darker than the reference", red for "brighter", light grey for equal: told apart without red-green vision.
const DIVERGING_ANCHORS = "053061" + "2f79b5" + "8ec2dd" + "f2f2f2" + "f7a889" + "ca4741" + "67001f";

function anchorsOf(hex) {
  const rows = [];
  for (let i = 0; i < hex.length; i += 6) {
    rows.push([0, 2, 4].map((k) => parseInt(hex.slice(i + k, i + k + 2), 16)));
  }
  return rows;
}

const COLOR_MAPS = { magma: anchorsOf(MAGMA_ANCHORS), diverging: anchorsOf(DIVERGING_ANCHORS) };

/** Returns [r, g, b] in 0..255 for t in [0,1]; values outside are clipped. */
function colorAt(map, t) {
  const anchors = COLOR_MAPS[map];
  const place = Math.min(1, Math.max(0, t)) * (anchors.length - 1);
  const low = Math.min(anchors.length - 2, Math.floor(place));
  return anchors[low].map((from, k) => Math.round(from + (anchors[low + 1][k] - from) * (place - low)));
}

function packRgb([r, g, b]) {
  // Canvas words are little-endian on every platform a browser runs on.
  return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
}
