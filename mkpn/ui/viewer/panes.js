// The panes on the stage: their elements, the grid that fits the window, and their drawing.

const GAP = 6;
const SMALLEST_CELL = 112;
// A pane that an image of an odd shape leaves half empty is still of use.
const SMALLEST_PANE = 90;
const SMALLEST_SOLO = 340;
const WIDE_CAPTION = 205;
const PRINT_FROM = 32;

/** Chooses columns and rows so that an image of this shape is shown as large as possible. */
function bestGrid(count, width, height, aspect, captionHeight) {
  let best = null;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = Math.floor((width - GAP * (columns - 1)) / columns);
    const cellHeight = Math.floor((height - GAP * (rows - 1)) / rows) - captionHeight(cellWidth);
    const shown = Math.min(cellWidth, cellHeight * aspect);
    // A grid with fewer empty cells wins between nearly equal ones.
    const score = shown * (1 - (0.02 * (columns * rows - count)) / count);
    if (!best || score > best.score) best = { columns, cellWidth, cellHeight, shown, score };
  }
  if (best.shown >= SMALLEST_CELL || Math.min(best.cellWidth, best.cellHeight) >= SMALLEST_PANE) return best;
  // Too many panes for this window: keep them readable and let the stage grow downwards.
  const most = Math.min(count, Math.max(1, Math.floor((width + GAP) / (SMALLEST_CELL + GAP))));
  const columns = Math.ceil(count / Math.ceil(count / most));
  const cellWidth = Math.floor((width - GAP * (columns - 1)) / columns);
  return { columns, cellWidth, cellHeight: Math.min(Math.round(cellWidth / aspect), Math.max(SMALLEST_SOLO, height)) };
}

function createSlot() {
  const name = make("button", { type: "button", class: "pane-name" });
  const parts = {
    key: make("kbd"),
    label: make("span", { class: "pane-label" }),
    mark: make("span", { class: "pane-mark" }),
    psnr: make("span", { class: "pane-psnr" }),
    ssim: make("span", { class: "pane-ssim" }),
    canvas: make("canvas", { role: "img" }),
    note: make("div", { class: "pane-note" }),
    box: make("div", { class: "pane-box", hidden: true }),
    pick: make("div", { class: "pane-pick", hidden: true }),
    cross: make("div", { class: "pane-cross", hidden: true }),
    value: make("div", { class: "pane-value", "aria-hidden": "true" }),
    strip: make("canvas", { class: "pane-strip", role: "img", hidden: true }),
  };
  name.append(parts.key, parts.label);
  const figures = make("span", { class: "pane-figures" }, parts.psnr, parts.ssim);
  const caption = make("figcaption", {}, name, parts.mark, figures);
  const view = make("div", { class: "pane-view" }, parts.canvas, parts.box, parts.pick, parts.cross, parts.note, parts.value);
  const element = make("figure", { class: "pane" }, caption, view, parts.strip);
  const context = parts.canvas.getContext("2d", { alpha: false });
  return { element, name, view, context, paneId: null, width: 1, height: 1, frames: [], stripWidth: 0, stripKey: "", ...parts };
}

function createPanes(app) {
  const { state, stage } = app;
  const slots = new Map();
  const solo = createSlot();
  solo.element.classList.add("solo");
  let visible = [];
  let background = "#808080";
  let settle = 0;
  let printing = false;

  function placeSlot(slot, left, top, width, height, captionHeight) {
    const { style } = slot.element;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${width}px`;
    style.height = `${height + captionHeight}px`;
    slot.view.style.height = `${height}px`;
    slot.stripWidth = width;
    slot.strip.hidden = state.insets.length === 0;
    slot.strip.style.height = `${insetSide(state.insets.length, width)}px`;
    const ratio = window.devicePixelRatio || 1;
    const deviceWidth = Math.max(1, Math.round(width * ratio));
    const deviceHeight = Math.max(1, Math.round(height * ratio));
    if (slot.canvas.width !== deviceWidth) slot.canvas.width = deviceWidth;
    if (slot.canvas.height !== deviceHeight) slot.canvas.height = deviceHeight;
    slot.canvas.style.width = `${deviceWidth / ratio}px`;
    slot.canvas.style.height = `${deviceHeight / ratio}px`;
    slot.width = deviceWidth;
    slot.height = deviceHeight;
  }

  /** Arranges the panes of the current mode; returns false while the stage has no size yet (a hidden tab). */
  function layout() {
    const width = Math.floor(stage.clientWidth);
    if (width < 40) return false;
    const focused = stage.contains(document.activeElement) ? document.activeElement : null;
    const large = app.root.clientWidth >= 1400;
    stage.classList.toggle("large", large);
    // All that stands above and below a picture: its caption and its insets.
    const captionHeight = (cell) => (cell >= WIDE_CAPTION ? (large ? 30 : 26) : 40) + insetHeight(state.insets.length, cell);
    const { width: imageWidth, height: imageHeight } = app.view.state;
    const aspect = imageWidth && imageHeight ? imageWidth / imageHeight : 1;
    stage.style.height = "";
    let height = Math.floor(stage.clientHeight);
    const ids = state.mode === "grid" ? app.shownPanes().map((pane) => pane.id) : [];
    for (const [id, slot] of slots) if (!ids.includes(id)) (slot.element.remove(), slots.delete(id));
    if (state.mode !== "grid") {
      // On a phone the window is much higher than a picture as wide as the stage.
      const enough = Math.max(SMALLEST_SOLO, Math.round(width / aspect) + captionHeight(width));
      if (enough < height) (stage.style.height = `${enough}px`), (height = enough);
      // Moving an element takes its focus away: the divider must keep it through a resize.
      if (solo.element.parentNode !== stage) stage.append(solo.element);
      stage.classList.remove("narrow", "tiny");
      placeSlot(solo, 0, 0, width, height - captionHeight(width), captionHeight(width));
      visible = app.state.panes.length ? [solo] : [];
    } else {
      solo.element.remove();
      visible = [];
      if (ids.length) {
        const grid = bestGrid(ids.length, width, height, aspect, captionHeight);
        const caption = captionHeight(grid.cellWidth);
        stage.classList.toggle("narrow", grid.cellWidth < WIDE_CAPTION);
        // A caption then holds only the name and the PSNR.
        stage.classList.toggle("tiny", grid.cellWidth < SMALLEST_CELL);
        const rows = Math.ceil(ids.length / grid.columns);
        const needed = rows * (grid.cellHeight + caption + GAP) - GAP;
        if (needed > height) stage.style.height = `${needed}px`;
        ids.forEach((id, i) => {
          const slot = slots.get(id) ?? createSlot();
          slots.set(id, slot);
          slot.paneId = id;
          setAttribute(slot.element, "data-pane", id);
          if (stage.children[i] !== slot.element) stage.insertBefore(slot.element, stage.children[i] ?? null);
          const left = (i % grid.columns) * (grid.cellWidth + GAP);
          const top = Math.floor(i / grid.columns) * (grid.cellHeight + caption + GAP);
          placeSlot(slot, left, top, grid.cellWidth, grid.cellHeight, caption);
          visible.push(slot);
        });
      }
    }
    background = getComputedStyle(stage).getPropertyValue("--stage").trim() || background;
    // What was moved or taken away has lost the focus, and the viewer its keys with it.
    if (focused && document.activeElement !== focused) stage.focus({ preventScroll: true });
    return true;
  }

  /** Writes what a slot shows; `owner` is the pane it belongs to, which differs while the reference is held. */
  function fillCaption(slot, owner) {
    const pane = (state.holding && app.pane(state.reference)) || owner;
    const { psnr, ssim } = paneFigures(pane);
    const best = app.best();
    const key = app.keyOf(pane.id) ?? "";
    setText(slot.key, key);
    setAttribute(slot.key, "title", key && `Key ${key}`);
    setText(slot.label, pane.label);
    setText(slot.mark, state.reference === pane.id ? "REF" : "");
    setText(slot.psnr, psnr);
    setText(slot.ssim, ssim);
    slot.psnr.classList.toggle("best", best.psnr.has(pane.id));
    slot.ssim.classList.toggle("best", best.ssim.has(pane.id));
    slot.element.classList.toggle("active", state.active === owner.id && state.mode === "grid");
    setAttribute(slot.element, "data-group", pane.group);
    setAttribute(slot.element, "data-pane", owner.id);
    setAttribute(slot.element, "data-status", owner.status);
    setAttribute(slot.element, "data-ready", app.imageOf(owner.id) && app.imageOf(owner.id).url === owner.url);
    setAttribute(slot.name, "aria-label", `${pane.label}: ${state.mode === "grid" ? "show alone" : "back to the grid"}`);
    const seconds = pane.seconds === null ? "" : `, ${pane.seconds.toFixed(2)} s`;
    setAttribute(slot.label, "title", `${spokenPane(pane)}${seconds}`);
    setAttribute(slot.canvas, "aria-label", `${spokenPane(pane)}${state.errorOn ? ", error map" : ""}`);
  }

  function captions() {
    for (const slot of visible) {
      const pane = app.pane(slot === solo ? app.soloIds()[0] : slot.paneId);
      if (pane) fillCaption(slot, pane);
    }
  }

  /** Returns the parts of a slot to draw: one pane, or two beside a divider. */
  function partsOf(slot) {
    const whole = (id) => [{ id, from: 0, to: slot.width }];
    if (state.holding && app.pane(state.reference)) return whole(state.reference);
    if (slot !== solo) return whole(slot.paneId);
    const [first, second] = app.soloIds();
    if (second === undefined) return whole(first);
    const edge = Math.round(state.split * slot.width);
    return [
      { id: first, from: 0, to: edge },
      { id: second, from: edge, to: slot.width },
    ];
  }

  function drawSlot(slot, resting) {
    const { context } = slot;
    context.fillStyle = background;
    context.fillRect(0, 0, slot.width, slot.height);
    let note = "";
    for (const { id, from, to } of partsOf(slot)) {
      const pane = app.pane(id);
      const surface = pane && app.surfaces.of(pane);
      if (!surface || surface.note) {
        note = surface?.note ?? (pane ? app.noteOf(pane) : "");
        continue;
      }
      const image = app.imageOf(id);
      const place = app.view.place(slot);
      drawSurface(context, surface, image, place, slot, from, to);
      if (printing && resting) drawValues(context, image, place, slot, from, to, valueWriter(app, pane, image));
    }
    setText(slot.note, note);
    placeMarks(slot);
    if (state.insets.length) drawStrip(slot);
  }

  function drawStrip(slot) {
    const pane = app.pane(partsOf(slot)[0].id);
    const drawn = pane && app.surfaces.of(pane);
    const surface = drawn?.level ? drawn : null;
    const key = JSON.stringify([surface?.key, state.insets, slot.stripWidth, window.devicePixelRatio, background]);
    if (slot.stripKey === key) return;
    slot.stripKey = key;
    drawInsets(slot, surface, state.insets, background);
    const places = state.insets.map(({ x, y, w, h }, i) => `${i + 1}: ${w} by ${h} at ${x}, ${y}`);
    setAttribute(slot.strip, "aria-label", `Insets of ${pane?.label}. ${places.join("; ")}`);
  }

  function placeMark(node, slot, rect) {
    const hidden = !rect;
    if (node.hidden !== hidden) node.hidden = hidden;
    if (hidden) return;
    const { scale, originX, originY } = app.view.place(slot);
    const ratio = window.devicePixelRatio || 1;
    node.style.transform = `translate(${(originX + rect.x * scale) / ratio}px, ${(originY + rect.y * scale) / ratio}px)`;
    node.style.width = `${(rect.w * scale) / ratio}px`;
    node.style.height = `${(rect.h * scale) / ratio}px`;
  }

  // Marks are elements above the canvas: the canvas holds nothing but pixels of the image.
  function placeMarks(slot) {
    const blank = slot.note.textContent !== "";
    const pixel = (at) => (at && !blank ? { ...at, w: 1, h: 1 } : null);
    placeMark(slot.box, slot, blank ? null : state.region);
    placeMark(slot.pick, slot, pixel(state.pick));
    insetFrames(slot, state.insets).forEach((frame, i) => placeMark(frame, slot, blank ? null : state.insets[i]));
    // Under the mouse itself a mark would only hide what is looked at.
    placeMark(slot.cross, slot, slot === solo || slot.paneId === state.hovered ? null : pixel(state.cursor));
    const levels = slot !== solo && !blank && state.cursor ? app.inspector.channels(app.imageOf(slot.paneId), state.cursor) : null;
    setText(slot.value, levels && !printing ? levels.map((level) => String(level).padStart(3)).join(" ") : "");
  }

  function draw() {
    if (!visible.length) return;
    printing = app.view.zoomOf(visible[0]) >= PRINT_FROM;
    // Printing thousands of numbers takes longer than a frame: only once the view rests.
    const resting = !app.moving();
    for (const slot of visible) drawSlot(slot, resting);
    clearTimeout(settle);
    if (printing && !resting) settle = setTimeout(() => app.redraw(), 140);
  }

  return {
    layout,
    captions,
    draw,
    marks: () => visible.forEach(placeMarks),
    solo,
    visible: () => visible,
    /** The slot that stands for all when a zoom or a visible rectangle is asked for. */
    first: () => visible.find((slot) => slot.paneId === state.active) ?? visible[0] ?? solo,
    slotAt: (target) => visible.find((slot) => slot.view.contains(target)),
  };
}
