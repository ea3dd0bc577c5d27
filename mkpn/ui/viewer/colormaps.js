// Colour maps as 32-bit RGBA words, ready to be written into a canvas.

// Magma (Smith and van der Walt, CC0): every fifth of its 256 entries; linear in between is close to one level.
const MAGMA_ANCHORS =
  "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c5a167e6219806a1c81721f81" +
  "792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75ca3e72d2426fd9466be04c67e75263ec5860f1605df4695c" +
  "f7725cf97b5dfb8560fc8e64fd9869fea16efeaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf";

// Viridis and inferno by the same authors, cividis (Nunez, Anderton and Renslow 2018); the same entries, CC0 as well.
const VIRIDIS_ANCHORS =
  "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31" +
  "688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7" +
  "793dbc7446c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725";
const INFERNO_ANCHORS =
  "00000402020c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e61136e69166e71196e78" +
  "1c6d801f6c88226a902568982766a02a63a82e5fb0315bb73557bf3952c63d4dcc4248d34743d94d3ddf5337e45a31e9612bed69" +
  "25f1711ff47918f78212f98b0bfa9407fb9d07fca60cfcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4";
const CIVIDIS_ANCHORS =
  "00224e002656002a5f002d68003070083370163770203a6f273e6e2e416d34456c3a486c3f4c6c444f6c49536c4e566c535a6d57" +
  "5d6d5c616e60646f656870696b716d6f727272747676767a7a787e7d788381798885788d8878928c789690779b9476a09875a59c" +
  "74aaa073afa471b5a86fbaac6dbfb06bc4b468c9b965cfbd62d4c15fdac65bdfca57e5cf52ead34cf0d846f6dd3ffce236fee838";

// Blue for "darker than the reference", red for "brighter", light grey for equal: told apart without red-green vision.
const BLUE_RED_ANCHORS = "053061" + "2f79b5" + "8ec2dd" + "f2f2f2" + "f7a889" + "ca4741" + "67001f";
const PURPLE_ORANGE_ANCHORS = "2d004b" + "6b4ca3" + "b9aed8" + "f2f2f2" + "f9b96e" + "c8670f" + "7f3b08";

function anchorsOf(hex) {
  const rows = [];
  for (let i = 0; i < hex.length; i += 6) {
    rows.push([0, 2, 4].map((k) => parseInt(hex.slice(i + k, i + k + 2), 16)));
  }
  return rows;
}

const COLOR_MAPS = {
  magma: anchorsOf(MAGMA_ANCHORS),
  viridis: anchorsOf(VIRIDIS_ANCHORS),
  inferno: anchorsOf(INFERNO_ANCHORS),
  cividis: anchorsOf(CIVIDIS_ANCHORS),
  grey: anchorsOf("000000" + "ffffff"),
  "blue to red": anchorsOf(BLUE_RED_ANCHORS),
  "purple to orange": anchorsOf(PURPLE_ORANGE_ANCHORS),
};

/** The maps for magnitudes, and those for errors with a sign; the first of each is what the viewer opens with. */
const MAGNITUDE_MAPS = ["magma", "viridis", "inferno", "cividis", "grey"];
const SIGNED_MAPS = ["blue to red", "purple to orange"];

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
