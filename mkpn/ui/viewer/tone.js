// How the levels of a picture are shown: exposure and contrast. Nothing that is measured passes through here.

/** The tone curve: exposure in stops, then contrast about mid-grey. */
function toneTable(ev, contrast) {
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v += 1) table[v] = (((v / 255) * 2 ** ev - 0.5) * contrast + 0.5) * 255;
  return table;
}
