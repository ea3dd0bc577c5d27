// What a pane shows: its own pixels with exposure and contrast, or its error against the reference.
// Errors are exact integers of the 8-bit pixels, so every map is one table look-up per pixel.

const ERROR_KINDS = {
  absolute: { label: "Absolute", map: "magma", size: 766, offset: 0, unit: 765, low: 0.01, top: 0.2 },
  squared: { label: "Squared", map: "magma", size: 195076, offset: 0, unit: 195075, low: 0.0005, top: 0.02 },
  signed: { label: "Signed", map: "diverging", size: 1531, offset: 765, unit: 765, low: 0.01, top: 0.2 },
  ssim: { label: "1 \u2212 SSIM", map: "magma", size: 256, offset: 0, unit: 255, low: 0.05, top: 1 },
};

/** Returns the integer error of one pixel: sums over the three colour channels, or the grey level of an SSIM map. */
function errorLevel(kind, data, reference, at) {
  if (kind === "ssim") return data[at];
  const r = data[at] - reference[at];
  const g = data[at + 1] - reference[at + 1];
  const b = data[at + 2] - reference[at + 2];
  if (kind === "signed") return r + g + b;
  return kind === "squared" ? r * r + g * g + b * b : Math.abs(r) + Math.abs(g) + Math.abs(b);
}

function errorTable(kind, top) {
  const { size, offset, unit, map } = ERROR_KINDS[kind];
  const table = new Uint32Array(size);
  for (let i = 0; i < size; i += 1) {
    const value = (i - offset) / unit / top;
    table[i] = packRgb(colorAt(map, kind === "signed" ? (value + 1) / 2 : value));
  }
  return table;
}

// One loop per kind: this runs over fourteen million pixels when the scale of all panes moves.
function paintError(kind, table, a, b, out) {
  const count = out.length;
  if (kind === "ssim") {
    for (let i = 0, k = 0; i < count; i += 1, k += 4) out[i] = table[a[k]];
  } else if (kind === "absolute") {
    for (let i = 0, k = 0; i < count; i += 1, k += 4) {
      out[i] = table[Math.abs(a[k] - b[k]) + Math.abs(a[k + 1] - b[k + 1]) + Math.abs(a[k + 2] - b[k + 2])];
    }
  } else if (kind === "signed") {
    for (let i = 0, k = 0; i < count; i += 1, k += 4) {
      out[i] = table[765 + a[k] - b[k] + a[k + 1] - b[k + 1] + a[k + 2] - b[k + 2]];
    }
  } else {
    for (let i = 0, k = 0; i < count; i += 1, k += 4) {
      const r = a[k] - b[k];
      const g = a[k + 1] - b[k + 1];
      const c = a[k + 2] - b[k + 2];
      out[i] = table[r * r + g * g + c * c];
    }
  }
}

/** The tone curve: exposure in stops, then contrast about mid-grey. */
function toneTable(ev, contrast) {
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v += 1) table[v] = (((v / 255) * 2 ** ev - 0.5) * contrast + 0.5) * 255;
  return table;
}

/** Returns the level below which a share of all errors lies, over the panes given; it makes one scale fit all. */
function commonTop(kind, pairs, share) {
  const { size, unit, low } = ERROR_KINDS[kind];
  let highest = 0;
  for (const { data, reference } of pairs) {
    const counts = new Uint32Array(size);
    for (let at = 0; at < data.length; at += 4) counts[Math.abs(errorLevel(kind, data, reference, at))] += 1;
    let left = (data.length / 4) * (1 - share);
    let level = size - 1;
    while (level > 0 && left >= counts[level]) left -= counts[level--];
    highest = Math.max(highest, level / unit);
  }
  return Math.min(1, Math.max(low, Number(highest.toPrecision(2))));
}

/** Makes and caches the pictures of all panes: one for the image view and one for the error view, so that E is instant. */
function createSurfaces(app) {
  const cache = new Map();
  const serials = new WeakMap();
  let serial = 0;
  let scratch = null;
  let table = { key: null };

  function idOf(image) {
    if (!serials.has(image)) serials.set(image, ++serial);
    return serials.get(image);
  }

  function scratchFor(width, height) {
    if (!scratch || scratch.width !== width || scratch.height !== height) scratch = new ImageData(width, height);
    return scratch;
  }

  function cachedTable(key, make) {
    if (table.key !== key) table = { key, value: make() };
    return table.value;
  }

  function slotOf(pane, view) {
    const name = `${view}:${pane.id}`;
    if (!cache.has(name)) cache.set(name, createSurface());
    return cache.get(name);
  }

  function imageSurface(pane, image) {
    const { ev, contrast } = app.state;
    const surface = slotOf(pane, "image");
    const key = `${idOf(image)}|${ev}|${contrast}`;
    if (surface.key === key) return surface;
    if (ev === 0 && contrast === 1) {
      surface.write(key, new ImageData(image.data, image.width, image.height));
      return surface;
    }
    const tone = cachedTable(`tone|${ev}|${contrast}`, () => toneTable(ev, contrast));
    const target = scratchFor(image.width, image.height);
    const out = target.data;
    for (let k = 0; k < out.length; k += 4) {
      out[k] = tone[image.data[k]];
      out[k + 1] = tone[image.data[k + 1]];
      out[k + 2] = tone[image.data[k + 2]];
      out[k + 3] = 255;
    }
    surface.write(key, target);
    return surface;
  }

  /** Returns the two arrays an error is taken from, or a sentence saying why there is none. */
  function errorPair(pane, kind) {
    if (kind === "ssim") {
      const map = app.store.image(pane.ssimMap);
      return map ? { data: map.data, image: map } : { note: "no SSIM map" };
    }
    const reference = app.imageOf(app.state.reference);
    const image = app.imageOf(pane.id);
    if (!reference) return { note: "no reference yet" };
    if (reference.width !== image.width || reference.height !== image.height) return { note: "size differs" };
    return { data: image.data, reference: reference.data, image, against: reference };
  }

  return {
    errorPair,
    /** Returns what to draw for a pane; the reference itself stays a picture in the error view, to find one's way. */
    of(pane) {
      const image = app.imageOf(pane.id);
      if (!image) return null;
      const { errorOn, errorKind, reference } = app.state;
      if (!errorOn || pane.id === reference) return imageSurface(pane, image);
      const pair = errorPair(pane, errorKind);
      if (pair.note) return pair;
      const top = app.top();
      const surface = slotOf(pane, "error");
      const key = `${errorKind}|${top}|${idOf(pair.image)}|${pair.against ? idOf(pair.against) : 0}`;
      if (surface.key === key) return surface;
      const words = cachedTable(`error|${errorKind}|${top}`, () => errorTable(errorKind, top));
      const target = scratchFor(pair.image.width, pair.image.height);
      paintError(errorKind, words, pair.data, pair.reference, new Uint32Array(target.data.buffer));
      surface.write(key, target);
      return surface;
    },
    forgetAllBut(ids) {
      for (const name of cache.keys()) if (!ids.has(name.slice(name.indexOf(":") + 1))) cache.delete(name);
    },
  };
}
