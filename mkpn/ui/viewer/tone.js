// How the levels of a picture are shown: exposure, contrast, gamma, one channel, false colour.
// Nothing that is measured passes through here.

const CHANNELS = { rgb: "RGB", r: "Red", g: "Green", b: "Blue", luma: "Luma" };
const PLAIN_TONE = { ev: 0, contrast: 1, gamma: 1, channel: "rgb", falseColor: false };

/** The tone curve: exposure in stops, then contrast about mid-grey, then gamma. */
function toneTable({ ev, contrast, gamma }) {
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v += 1) {
    const level = ((v / 255) * 2 ** ev - 0.5) * contrast + 0.5;
    table[v] = Math.min(1, Math.max(0, level)) ** (1 / gamma) * 255;
  }
  return table;
}

/** Returns the level 0..255 of one channel, Rec. 601 luma for `luma` and `rgb`, of the pixel at `at`. */
function channelLevel(data, at, channel) {
  const k = "rgb".indexOf(channel);
  if (channel.length === 1 && k >= 0) return data[at + k];
  return Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
}

function isPlain(tone) {
  return Object.entries(PLAIN_TONE).every(([name, value]) => tone[name] === value);
}

/** Names what was changed, for the chip under the pictures. */
function toneText({ ev, contrast, gamma, channel, falseColor }) {
  return [
    ev !== 0 && `exposure ${signedText(ev, 2)} EV`,
    contrast !== 1 && `contrast ${contrast.toFixed(1)}\u00d7`,
    gamma !== 1 && `gamma ${gamma.toFixed(1)}`,
    channel !== "rgb" && CHANNELS[channel].toLowerCase(),
    falseColor && "false colour",
  ]
    .filter(Boolean)
    .join(", ");
}

/** Returns the 256 words of the tone of a single level. */
function levelWords(tone, map) {
  const curve = toneTable(tone);
  return Uint32Array.from(curve, (v) => packRgb(tone.falseColor ? colorAt(map, v / 255) : [v, v, v]));
}

/** Writes a picture with its tone as words. */
function paintTone(image, tone, map, out) {
  const { data } = image;
  if (tone.channel === "rgb" && !tone.falseColor) {
    const curve = toneTable(tone);
    for (let i = 0, k = 0; i < out.length; i += 1, k += 4) {
      out[i] = (0xff000000 | (curve[data[k + 2]] << 16) | (curve[data[k + 1]] << 8) | curve[data[k]]) >>> 0;
    }
    return;
  }
  const words = levelWords(tone, map);
  for (let i = 0; i < out.length; i += 1) out[i] = words[channelLevel(data, 4 * i, tone.channel)];
}
