// Puts the parts together and connects them to Gradio: `element`, `props`, `trigger` and `watch` come from gr.HTML.

const VIEW_PAUSE_MS = 400; // Python hears of a view that rests

function createViewer(root) {
  const controller = new AbortController();
  const { signal } = controller;
  const state = initialState();
  const ui = (name) => root.querySelector(`[data-ui="${name}"]`);
  const dirty = { layout: true, ui: true, region: true };
  const app = { root, ui, state, stage: ui("stage"), view: createView() };
  const byId = new Map();
  const shownUrl = new Map();
  let keys = new Map();
  let best = { psnr: new Set(), ssim: new Set() };
  let received = {};
  const emitted = new Map();
  let frameAsked = false;
  let laidOut = "";
  let touched = -1e9;
  const timers = {};
  const spoken = [];
  let spokenZoom = "";

  function later(name, delay, action) {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(action, delay);
  }

  function ask() {
    if (frameAsked) return;
    frameAsked = true;
    requestAnimationFrame(frame);
  }

  function frame() {
    frameAsked = false;
    if (dirty.layout || dirty.ui) {
      app.solo.sync();
      app.controls.sync();
      dirty.layout = takeHeight() || dirty.layout;
    }
    if (dirty.layout) {
      dirty.layout = !app.panes.layout();
      dirty.ui = true;
      laidOut = stageSize();
      if (!dirty.layout) app.start.place();
    }
    if (dirty.ui) {
      app.panes.captions();
      app.inspector.list();
      dirty.ui = false;
    }
    if (dirty.region) {
      app.region.render();
      app.histogram.render();
      dirty.region = false;
    }
    // A control that has just been disabled or hidden would take the focus and the keys along.
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    if (focused?.disabled || focused?.closest("[hidden]")) app.stage.focus({ preventScroll: true });
    if (!app.view.state.width) return;
    app.panes.draw();
    app.minimap.draw();
    app.controls.syncView();
  }

  /** Tells the stage how much of its height the controls above it take; returns whether that has changed. */
  function takeHeight() {
    const bar = ui("context").offsetHeight;
    const above = bar ? `${bar + 6}px` : "0px";
    if (root.style.getPropertyValue("--above") === above) return false;
    root.style.setProperty("--above", above);
    return true;
  }

  function stageSize() {
    return `${app.stage.clientWidth}x${app.stage.clientHeight}`;
  }

  Object.assign(app, {
    redraw: ask,
    refresh({ layout = false, region = false } = {}) {
      dirty.ui = true;
      dirty.layout ||= layout;
      dirty.region ||= region;
      ask();
    },
    relayout: () => app.refresh({ layout: true, region: true }),
    /** Runs something once what was asked for is on the screen. */
    later: (run) => requestAnimationFrame(() => requestAnimationFrame(run)),
    setPanes,
    refreshCursor() {
      if (timers.cursor) return;
      timers.cursor = requestAnimationFrame(() => {
        timers.cursor = 0;
        app.panes.marks();
        app.inspector.values();
      });
    },
    touchView: () => (touched = performance.now()),
    moving: () => performance.now() - touched < 120,
    pane: (id) => byId.get(id),
    shownPanes: () => state.panes.filter((pane) => !state.hidden.has(pane.id)),
    soloIds: () => app.solo.ids(),
    paneOfKey: (digit) => keys.get(digit),
    keyOf: (id) => [...keys].find(([, owner]) => owner === id)?.[0],
    best: () => best,
    activeText: () => (app.pane(state.active) ? spokenPane(app.pane(state.active)) : "no pane"),
    /** The decoded pixels of a pane; while a new address is being decoded, those it had before. */
    imageOf(id) {
      const pane = byId.get(id);
      if (!pane?.url) return null;
      const image = app.store.image(pane.url);
      if (image) shownUrl.set(id, pane.url);
      if (image || app.store.error(pane.url)) return image;
      const previous = app.store.image(shownUrl.get(id));
      const fits = previous && previous.width === app.view.state.width && previous.height === app.view.state.height;
      return fits ? previous : null;
    },
    noteOf(pane) {
      if (!pane.url) return STATUS_TEXT[pane.status] ?? "no image";
      const error = app.store.error(pane.url);
      return error ? `cannot be shown: ${error}` : "loading \u2026";
    },
    announce(text) {
      // One key can change two things: both are said, in one sentence.
      if (!spoken.includes(text)) spoken.push(text);
      later("announce", 200, () => setText(ui("live"), spoken.splice(0).join(". ")));
    },
    announceZoom() {
      later("zoom", 500, () => {
        const text = `Zoom ${zoomText(app.view.zoomOf(app.panes.first()))}`;
        if (text !== spokenZoom) app.announce(text);
        spokenZoom = text;
      });
    },
    emit(name, detail) {
      emitted.set(`${name} ${echoText(name, detail)}`, performance.now());
      const data = { ...detail, dataset_id: state.datasetId };
      app.send(name, data);
      root.dispatchEvent(new CustomEvent(`mkpn-${name}`, { detail: data, bubbles: true }));
    },
    emitView() {
      root.dispatchEvent(new CustomEvent("mkpn-changing", { detail: VIEW_PAUSE_MS, bubbles: true }));
      later("view", VIEW_PAUSE_MS, () => app.emit("view", app.viewRecord()));
    },
    viewRecord: () => viewRecord(state, app.view.state, app.view.state.width ? app.view.zoomOf(app.panes.first()) : null),
  });

  app.store = createImageStore(() => {
    settleSize();
    prune();
    app.refresh({ region: true });
  });
  app.similarity = createSimilarity(app);
  app.surfaces = createSurfaces(app);
  app.panes = createPanes(app);
  app.solo = createSolo(app, signal);
  addActions(app);
  app.start = createStart(app);
  app.controls = createControls(app, signal);
  app.inspector = createInspector(app, signal);
  app.region = createRegion(app, signal);
  app.histogram = createHistogram(app, signal);
  app.external = createExternal(app, signal);
  app.palette = createPalette(app, signal);
  app.minimap = createMinimap(app, signal);
  createGestures(app, signal);
  createKeys(app, signal);
  app.stage.addEventListener("click", (event) => {
    const strip = event.target.closest(".pane-strip");
    if (strip) {
      const side = insetSide(state.insets.length, strip.clientWidth) + INSET_GAP;
      const rect = state.insets[Math.floor(event.offsetX / side)];
      if (rect) app.lookAtRect(rect);
    }
    const pane = event.target.closest(".pane-name") && event.target.closest(".pane")?.dataset.pane;
    if (pane && state.mode === "grid" && !app.panes.solo.element.contains(event.target)) app.show(pane);
  });
  const sizes = new ResizeObserver(() => stageSize() !== laidOut && app.relayout());
  sizes.observe(app.stage);
  const theme = new MutationObserver(() => app.refresh({ layout: true, region: true }));
  theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  window.addEventListener("resize", () => app.relayout(), { signal });

  function settleSize() {
    const known = state.panes.find((pane) => pane.width && pane.height) ?? state.panes.map((p) => app.store.image(p.url)).find(Boolean);
    if (!known || !app.view.resizeImage(known.width, known.height)) return;
    const { width, height } = app.view.state;
    state.region = null; // nor has Python a rectangle of a picture of another size
    state.insets = state.insets.filter((rect) => rectFrom(rect, width, height));
    app.start.ask();
    if (state.pick && (state.pick.x >= width || state.pick.y >= height)) state.pick = null;
    state.cursor = null;
    dirty.layout = dirty.region = true;
  }

  function prune() {
    const keep = new Set();
    for (const { id, url } of state.panes) {
      keep.add(url);
      if (!app.store.image(url)) keep.add(shownUrl.get(id));
    }
    app.store.keepOnly(keep);
  }

  /** Takes a field of the value only when Python changed it: what the user did since must not be undone. */
  function fresh(value, name) {
    const text = JSON.stringify(value[name] ?? null);
    const isNew = text !== (received[name] ?? "null");
    received[name] = text;
    return isNew;
  }

  /** An answer to what the user did a moment ago must not undo what the user did since. */
  function isEcho(name, detail) {
    const sent = emitted.get(`${name} ${echoText(name, detail)}`);
    return sent !== undefined && performance.now() - sent < 10_000;
  }

  /** Takes over the panes that Python gives; those of the user's own files stay behind them. */
  function setPanes(panes) {
    state.panes = panes;
    settleSize();
    state.panes = [...panes, ...app.external.panes()];
    byId.clear();
    for (const pane of state.panes) byId.set(pane.id, pane);
    // Whoever chose panes that are all gone would look at nothing.
    if (state.panes.length && state.panes.every((pane) => state.hidden.has(pane.id))) state.hidden = new Set();
    keys = assignKeys(panes);
    best = { psnr: bestPanes(panes, "psnr", 2), ssim: bestPanes(panes, "ssim", 3) };
    for (const pane of state.panes) app.store.request(pane.url, true);
    prune();
    app.surfaces.forgetAllBut(new Set(byId.keys()));
    if (!byId.has(state.reference)) state.reference = panes.find((pane) => pane.group === "truth")?.id ?? panes.at(-1)?.id ?? null;
    if (!byId.has(state.active)) state.active = (panes.find((pane) => pane.group === "mkpn") ?? panes[0])?.id ?? null;
    app.refresh({ layout: true, region: true });
  }

  function ingest(raw) {
    const value = raw && typeof raw === "object" ? raw : {};
    const datasetId = value.dataset_id ?? null;
    if (datasetId !== state.datasetId) shownUrl.clear();
    state.datasetId = datasetId;
    state.note = value.note ?? "";
    setPanes((value.panes ?? []).map(paneFrom));
    const { width, height } = app.view.state;
    app.start.take(value);
    if (fresh(value, "reference") && value.reference && !isEcho("reference", { id: value.reference })) {
      state.reference = value.reference;
    }
    const region = rectFrom(value.region, width, height);
    // No rectangle means that Python has none to give: the one on the screen outlives a new run.
    if (fresh(value, "region") && region && !isEcho("region", region)) state.region = region;
    if (fresh(value, "view") && value.view) {
      app.start.forget();
      restore(value.view);
    }
    app.solo.blink();
    app.refresh({ layout: true, region: true });
  }

  function restore(record) {
    app.view.restore(record);
    if ("token" in record) state.token = record.token;
    if (record.mode in MODE_NAMES) state.mode = record.mode;
    for (const name of ["ev", "contrast", "gamma", "split"]) if (typeof record[name] === "number") state[name] = record[name];
    for (const name of ["active", "second", "reference"]) if (byId.has(record[name])) state[name] = record[name];
    if (Array.isArray(record.hidden)) state.hidden = new Set(record.hidden);
    if ("region" in record) state.region = rectFrom(record.region, app.view.state.width, app.view.state.height);
    if (record.error in ERROR_KINDS) state.errorKind = record.error;
    if ("error" in record) state.errorOn = record.error in ERROR_KINDS;
    if (typeof record.top === "number") state.tops[state.errorKind] = record.top;
    if (record.channel in CHANNELS) state.channel = record.channel;
    if ("palette" in record) state.falseColor = record.palette === "false";
    if (Array.isArray(record.insets)) state.insets = rectsFrom(record.insets, app.view.state.width, app.view.state.height);
    // A link never starts a flicker by itself.
    if (record.blink) Object.assign(state.blink, record.blink, { playing: false });
    app.refresh({ layout: true, region: true });
  }

  app.handle = createHandle(app, restore);
  return { app, ingest, close: () => (controller.abort(), sizes.disconnect(), theme.disconnect()) };
}

function echoText(name, detail) {
  const fields = { region: ["x", "y", "w", "h"], reference: ["id"] }[name];
  return fields ? fields.map((field) => detail?.[field] || 0).join(" ") : "";
}

/** What tests and other scripts on the page may ask of a viewer. */
function createHandle(app, restore) {
  const { state } = app;
  return {
    getState: () => ({
      ...app.viewRecord(),
      tool: state.tool,
      table: state.table,
      sort: state.sort,
      baseline: state.baseline,
      insets: state.insets,
      channel: state.channel,
      gamma: state.gamma,
      falseColor: state.falseColor,
      colors: { ...state.colors },
      kind: state.errorKind,
      histogram: { ...state.histogram },
      keys: state.keys,
      region: state.region,
      pick: state.pick,
      cursor: state.cursor,
      holding: state.holding,
      visible: app.view.state.width ? app.visibleRect() : null,
      panes: state.panes.map(({ id, url, status }) => ({ id, status, ready: app.store.image(url) !== null })),
    }),
    /** The pixels on the screen: RGBA bytes of the pane's canvas, and where the image lies in it. */
    readPixels(id) {
      const slot = app.panes.visible().find((candidate) => candidate.paneId === id);
      if (!slot) return null;
      const { data, width, height } = slot.context.getImageData(0, 0, slot.width, slot.height);
      return { data, width, height, ...app.view.place(slot) };
    },
    /** The decoded pixels, before zoom, tone and error maps. */
    imagePixels: (id) => app.imageOf(id),
    /** The rows of the table of figures, as shown. */
    figures: () => app.region.rows()?.map(({ pane, ...figures }) => ({ id: pane.id, ...figures })) ?? null,
    histograms: () => app.histogram.curves().map(({ pane, counts }) => ({ id: pane.id, counts: [...counts] })),
    commands: () => commandList(app).map(({ name }) => name),
    /** The error of every pixel of a pane against the reference, or null while it is being made. */
    errorValues(id, kind) {
      const pair = app.surfaces.errorPair(app.pane(id), kind);
      return pair.note ? null : Array.from({ length: pair.image.words.length }, (_, i) => errorAt(pair, 4 * i));
    },
    restore,
    panBy(dx, dy) {
      app.view.pan(dx, dy, app.panes.first());
      app.viewChanged();
    },
  };
}
