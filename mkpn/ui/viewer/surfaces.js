// What a pane shows: its own pixels with their tone, or its error against the reference.

const COLOR_STEPS = 1024;

/** Returns the colours of a scale as words, from its low end to its high one. */
function colorWords(map) {
  const words = new Uint32Array(COLOR_STEPS);
  for (let i = 0; i < COLOR_STEPS; i += 1) words[i] = packRgb(colorAt(map, i / (COLOR_STEPS - 1)));
  return words;
}

function paintError(pair, words, kind, top, out) {
  const last = COLOR_STEPS - 1;
  for (let i = 0; i < out.length; i += 1) {
    const place = scalePlace(kind, errorAt(pair, 4 * i), top) * last + 0.5;
    out[i] = words[place < 0 ? 0 : place > last ? last : place | 0];
  }
}

/** Makes and caches the pictures of all panes: one for the image view and one for the error view, so that E is instant. */
function createSurfaces(app) {
  const cache = new Map();
  const serials = new WeakMap();
  let serial = 0;
  let scratch = null;
  let table = { key: null };

  function idOf(object) {
    if (!serials.has(object)) serials.set(object, ++serial);
    return serials.get(object);
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
    const { ev, contrast, gamma, channel, falseColor, colors } = app.state;
    const surface = slotOf(pane, "image");
    const key = [idOf(image), ev, contrast, gamma, channel, falseColor && colors.magnitude].join("|");
    if (surface.key === key) return surface;
    if (isPlain(app.state)) {
      surface.write(key, new ImageData(image.data, image.width, image.height));
      return surface;
    }
    const target = scratchFor(image.width, image.height);
    paintTone(image, app.state, colors.magnitude, new Uint32Array(target.data.buffer));
    surface.write(key, target);
    return surface;
  }

  /** Returns what an error is taken from (`errorAt`), or a sentence saying why there is none. */
  function errorPair(pane, kind) {
    const reference = app.imageOf(app.state.reference);
    const image = app.imageOf(pane.id);
    if (!image) return { note: app.noteOf(pane) };
    if (!reference) return { note: "no reference yet" };
    if (reference.width !== image.width || reference.height !== image.height) return { note: "size differs" };
    if (kind !== "ssim") return { lut: errorLut(kind), data: image.data, reference: reference.data, image, source: reference };
    const map = app.similarity.map(image, reference);
    return map.values ? { values: map.dissimilarity, image, source: map } : map;
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
      const map = app.mapOf(errorKind);
      const surface = slotOf(pane, "error");
      const key = `${errorKind}|${map}|${top}|${idOf(image)}|${idOf(pair.source)}`;
      if (surface.key === key) return surface;
      const words = cachedTable(`colors|${map}`, () => colorWords(map));
      const target = scratchFor(image.width, image.height);
      paintError(pair, words, errorKind, top, new Uint32Array(target.data.buffer));
      surface.write(key, target);
      return surface;
    },
    forgetAllBut(ids) {
      for (const name of cache.keys()) if (!ids.has(name.slice(name.indexOf(":") + 1))) cache.delete(name);
    },
  };
}
