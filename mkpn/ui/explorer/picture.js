// The picture at the left: one zoom for every layer, the pixel that is looked at, what its kernel reads.

const STEP = 1;
const LEAP = 8;
const TAP_SLACK = 4;

function createPicture(app) {
  const { root, ui, state, signal, view } = app;
  const stage = ui("stage");
  const canvas = ui("picture");
  const store = createImageStore(() => app.redraw());
  const surfaces = new Map();
  let greyed = null;

  /** The layers that can be chosen; a view that is entered shows its own first, else what is shown stays. */
  function layers(entering = false) {
    const select = ui("layer");
    if (!state.value) return;
    const own = app.parts?.[state.view].layers?.() ?? [];
    const frames = state.value.frames.map((_, i) => [`frame-${i}`, i === 0 ? "frame 0 (noisy, reference)" : `frame ${i}`]);
    const panes = state.value.panes.filter((pane) => pane.url && pane.id !== "noisy").map((pane) => [pane.id, app.label(pane.id)]);
    const group = (label, entries) => make("optgroup", { label }, ...entries.map(([id, text]) => make("option", { value: id }, text)));
    const hidden = app.parts?.[state.view].hidesNames;
    const groups = hidden ? [group("The burst", frames.slice(0, 1))] : [group("Pictures", panes), group("The burst", frames)];
    if (own.length) groups.unshift(group("This view", own));
    select.replaceChildren(...groups);
    const ids = [...select.options].map((option) => option.value);
    const first = own[0]?.[0] ?? "frame-0";
    const stays = ids.includes(state.layer) && !(entering && own.length);
    choose(stays ? state.layer : first);
  }

  function choose(id) {
    state.layer = id;
    ui("layer").value = id;
    store.request(sourceOf(id), true);
    app.redraw();
  }

  /** The address of what a layer is made from; a view's own layers may be made from a model's picture. */
  const sourceOf = (id) => urlOf(app.parts?.[state.view].madeFrom?.(id) ?? id);

  function urlOf(id) {
    const frame = /^frame-(\d)$/.exec(id)?.[1];
    return frame === undefined ? app.pane(id)?.url : state.value.frames[Number(frame)];
  }

  function imageOf(id) {
    const url = urlOf(id);
    store.request(url);
    return store.image(url);
  }

  /** A picture without its colours, below a map: mixed with them, a map's colours would not be those of the legend. */
  function greyOf(id) {
    const image = imageOf(id);
    if (!image) return null;
    if (greyed?.from !== image) {
      const data = new Uint8ClampedArray(image.data);
      for (let i = 0; i < data.length; i += 4) data[i] = data[i + 1] = data[i + 2] = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      greyed = { from: image, width: image.width, height: image.height, data };
    }
    return greyed;
  }

  function surfaceOf(id, image) {
    const surface = surfaces.get(id) ?? createSurface();
    surfaces.set(id, surface);
    if (surface.key !== image) surface.write(image, new ImageData(image.data, image.width, image.height));
    return surface;
  }

  /** Where the image lies on the canvas, in device pixels. */
  function slot() {
    const unit = window.devicePixelRatio || 1;
    return { width: Math.max(1, Math.round(stage.clientWidth * unit)), height: Math.max(1, Math.round(stage.clientHeight * unit)) };
  }

  function draw() {
    const pane = slot();
    if (canvas.width !== pane.width || canvas.height !== pane.height) Object.assign(canvas, pane);
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, pane.width, pane.height);
    const [width, height] = state.value.size;
    const place = view.place(pane);
    const part = app.parts[state.view];
    const own = part.layer?.(state.layer);
    const instead = urlOf(state.layer) ? state.layer : "frame-0";
    // Another picture must not stand under the name of one that the view cannot show yet.
    const missing = !own && (part.layers?.() ?? []).some(([id]) => id === state.layer);
    const image = missing ? null : own ?? imageOf(instead);
    if (image) {
      const surface = surfaceOf(own ? "own" : state.layer, image);
      // A map has one value for several pixels: nearest neighbour, so that no value is made up.
      const size = { width: image.width, height: image.height };
      const ratio = width / image.width;
      const at = { ...place, scale: place.scale * ratio };
      drawSurface(context, surface, size, at, pane, 0, pane.width);
    }
    part.over?.(context, place, pane);
    marks(context, place);
    root.dataset.layer = own ? state.layer : image ? instead : "";
    ui("fit").setAttribute("aria-pressed", view.state.fit);
  }

  function outline(context, place, x, y, side, style, wide) {
    const { scale, originX, originY } = place;
    const left = originX + (x - (side - 1) / 2) * scale;
    const top = originY + (y - (side - 1) / 2) * scale;
    const length = side * scale;
    for (const [color, line] of [["#000", wide + 2], [style, wide]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.strokeRect(left, top, length, length);
    }
  }

  function cross(context, place, x, y, style, name) {
    const unit = pixelUnit();
    const cx = place.originX + (x + 0.5) * place.scale;
    const cy = place.originY + (y + 0.5) * place.scale;
    for (const [color, line] of [["#000", 3.5 * unit], [style, 1.5 * unit]]) {
      context.strokeStyle = color;
      context.lineWidth = line;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(cx + dx * 5 * unit, cy + dy * 5 * unit);
        context.lineTo(cx + dx * 13 * unit, cy + dy * 13 * unit);
      }
      context.stroke();
    }
    if (!name) return;
    context.font = `bold ${12 * unit}px sans-serif`;
    context.lineWidth = 3 * unit;
    context.strokeStyle = "#000";
    context.fillStyle = "#fff";
    context.strokeText(name, cx + 8 * unit, cy - 8 * unit);
    context.fillText(name, cx + 8 * unit, cy - 8 * unit);
  }

  function marks(context, place) {
    const reach = app.answer ? app.answer.values.shape[2] : 1;
    if (place.scale * reach >= 6) outline(context, place, state.x, state.y, reach, "#fff", 1.5);
    if (place.scale >= 3 && reach > 1) outline(context, place, state.x, state.y, 1, "#fff", 1.5);
    cross(context, place, state.x, state.y, "#fff", state.second && state.beside === "pixel" ? "A" : "");
    if (state.beside === "pixel" && state.second && state.view === "kernels") {
      outline(context, place, state.second.x, state.second.y, reach, "#fd3", 1.5);
      cross(context, place, state.second.x, state.second.y, "#fd3", "B");
    }
  }

  /** The image pixel under a pointer. */
  function under(event) {
    const box = stage.getBoundingClientRect();
    const pane = slot();
    const unit = pane.width / Math.max(1, stage.clientWidth);
    const { scale, originX, originY } = view.place(pane);
    const x = Math.floor(((event.clientX - box.left - stage.clientLeft) * unit - originX) / scale);
    const y = Math.floor(((event.clientY - box.top - stage.clientTop) * unit - originY) / scale);
    return { x, y };
  }

  /** What stands below the picture. */
  function describe() {
    const parts = [`Pixel x ${state.x}, y ${state.y}`];
    const error = store.error(sourceOf(state.layer));
    if (error) parts.push(`the picture cannot be shown: ${error}; choose another, then this one again`);
    const special = app.parts[state.view].hover?.();
    if (special) parts.push(special);
    else if (app.answer && app.answer.x === state.x && app.answer.y === state.y) {
      const three = (values) => values.map((v) => v.toFixed(3).replace("-", "\u2212")).join(" ");
      const noisy = [0, 1, 2].map((channel) => valuesOf(app.answer.values, 0, channel, 1)[0]);
      parts.push(`${app.label(app.answer.model)} ${three(app.answer.output)}`, `truth ${three(app.answer.truth)}`, `noisy ${three(noisy)}`);
    }
    return parts.join(" \u00b7 ");
  }

  // One finger moves the pixel, two pan and zoom. A mouse pans with Shift or its middle button.
  const down = new Map(); // where the pointers are that are down, in device pixels of the canvas
  let drag = "";
  let from = null; // where a drag of the pixel began, and the pixel then

  function local(event) {
    const box = stage.getBoundingClientRect();
    const unit = window.devicePixelRatio || 1;
    return { x: (event.clientX - box.left) * unit, y: (event.clientY - box.top) * unit };
  }

  function spread() {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 1 || !state.value || down.size >= 2) return;
    const touch = event.pointerType === "touch";
    // A finger that scrolls the page past the picture neither moves the pixel nor takes the focus; one that taps does both.
    if (!touch) stage.focus({ preventScroll: true });
    try {
      stage.setPointerCapture(event.pointerId);
    } catch {
      // A synthetic pointer cannot be captured; the gesture still works while it stays on the picture.
    }
    down.set(event.pointerId, local(event));
    drag = down.size === 2 ? "pinch" : event.shiftKey || event.button === 1 ? "pan" : "pixel";
    if (down.size === 1) from = { ...local(event), pixel: [state.x, state.y], tap: touch };
    if (drag === "pixel" && !touch) move(event);
    event.preventDefault();
  }, { signal });
  // The page scrolls under one finger; two are the picture's.
  stage.addEventListener("touchstart", (event) => event.touches.length > 1 && event.preventDefault(), { signal, passive: false });
  stage.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const pane = slot();
    const now = local(event);
    const was = drag === "pinch" ? spread() : null;
    down.set(event.pointerId, now);
    if (drag === "pixel") {
      if (from.tap && Math.hypot(now.x - from.x, now.y - from.y) < TAP_SLACK * pixelUnit()) return;
      from.tap = false;
      return move(event);
    }
    if (was) {
      const is = spread();
      view.pan(is.x - was.x, is.y - was.y, pane);
      if (was.distance > 8) view.zoomTo((view.zoomOf(pane) * is.distance) / was.distance, pane, is.x, is.y);
    } else if (drag === "pan") view.pan(now.x - before.x, now.y - before.y, pane);
    app.redraw();
  }, { signal });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      // The browser takes a finger back that scrolls the page.
      if (drag === "pixel" && name === "pointercancel") app.setPixel(...from.pixel);
      else if (drag === "pixel" && from.tap) {
        stage.focus({ preventScroll: true });
        move(event);
      }
      // The finger that is left of two would throw the pixel to where it is.
      drag = down.size ? "rest" : "";
    }, { signal });
  }

  function move(event) {
    const { x, y } = under(event);
    app.setPixel(x, y);
  }

  // The wheel zooms only where the picture has the focus: otherwise the page scrolls on.
  stage.addEventListener("wheel", (event) => {
    if (document.activeElement !== stage && !event.ctrlKey) return;
    event.preventDefault();
    const factor = 2 ** (-event.deltaY / (event.ctrlKey ? 80 : 300));
    const { x, y } = local(event);
    view.zoomTo(view.zoomOf(slot()) * factor, slot(), x, y);
    app.redraw();
  }, { signal, passive: false });

  function zoom(direction) {
    const pane = slot();
    const { scale, originX, originY } = view.place(pane);
    view.step(direction, pane, originX + (state.x + 0.5) * scale, originY + (state.y + 0.5) * scale);
    app.redraw();
  }

  /** Keeps the pixel in sight when the keyboard moves it. */
  function follow() {
    const [left, top, right, bottom] = view.visible(slot());
    if (!view.state.fit && (state.x < left + 2 || state.x > right - 2 || state.y < top + 2 || state.y > bottom - 2)) view.centerOn(state.x, state.y);
  }

  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.value) return;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const by = event.shiftKey ? LEAP : STEP;
    const keys = { "+": () => zoom(1), "=": () => zoom(1), "-": () => zoom(-1), f: () => fit(), F: () => fit() };
    if (moves[event.key]) {
      app.setPixel(state.x + by * moves[event.key][0], state.y + by * moves[event.key][1]);
      follow();
    } else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  function fit() {
    view.fit();
    app.redraw();
  }

  ui("fit").addEventListener("click", fit, { signal });
  ui("zoom-in").addEventListener("click", () => zoom(1), { signal });
  ui("zoom-out").addEventListener("click", () => zoom(-1), { signal });
  ui("layer").addEventListener("change", () => choose(ui("layer").value), { signal });

  return {
    draw,
    layers,
    choose,
    describe,
    imageOf,
    greyOf,
    /** Shows a place: at least `zoomLevel` screen pixels for each of its pixels; a closer view stays. */
    goTo(x, y, zoomLevel) {
      const pane = slot();
      view.centerOn(x, y);
      view.zoomTo(Math.max(zoomLevel, view.zoomOf(pane)), pane);
      view.centerOn(x, y);
      app.setPixel(x, y);
    },
    reset() {
      surfaces.clear();
      store.keepOnly(new Set());
      view.fit();
    },
    /** The colours on the screen at an image pixel, for tests. */
    colorAt(x, y) {
      const { scale, originX, originY } = view.place(slot());
      return [...canvas.getContext("2d").getImageData(Math.floor(originX + (x + 0.5) * scale), Math.floor(originY + (y + 0.5) * scale), 1, 1).data];
    },
  };
}
