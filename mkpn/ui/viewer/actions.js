// What a user can do; every tool, key and gesture ends in one of these, and each says aloud what changed.

const MODE_NAMES = { grid: "Grid", single: "Single pane", blink: "Blink", split: "Split" };

function addActions(app) {
  const { state, view } = app;

  function changed({ layout = false, region = false } = {}) {
    app.refresh({ layout, region });
    app.emitView();
  }

  Object.assign(app, {
    viewChanged() {
      app.touchView();
      app.redraw();
      app.announceZoom();
      app.emitView();
    },
    fit() {
      view.fit();
      app.viewChanged();
    },
    zoomTo(zoom) {
      view.zoomTo(zoom, app.panes.first());
      app.viewChanged();
    },
    setMode(mode) {
      if (!(mode in MODE_NAMES) || state.mode === mode) return;
      state.mode = mode;
      // Flicker starts by itself only for those who have not asked their system for less motion.
      state.blink.playing = mode === "blink" && !app.controls.reducedMotion();
      app.solo.blink();
      app.announce(mode === "grid" ? `Grid of ${app.shownPanes().length}` : `${MODE_NAMES[mode]}: ${app.activeText()}`);
      changed({ layout: true });
    },
    setActive(id, quiet = false) {
      if (!app.pane(id)) return;
      state.active = id;
      app.solo.blink();
      if (!quiet) app.announce(app.activeText());
      changed({ region: state.table === "histogram" });
    },
    show(id) {
      app.setActive(id);
      if (state.mode === "grid") app.setMode("single");
    },
    stepPane(direction, quiet = false) {
      const panes = app.shownPanes();
      if (!panes.length) return;
      const at = panes.findIndex((pane) => pane.id === state.active);
      const next = at < 0 ? 0 : (at + direction + panes.length) % panes.length;
      // The timer of an automatic round must not restart itself, nor talk on every step.
      if (quiet) {
        state.active = panes[next].id;
        app.refresh();
      } else {
        app.setActive(panes[next].id);
      }
    },
    setReference(id, byUser) {
      if (!app.pane(id) || state.reference === id) return;
      state.reference = id;
      app.announce(`Reference: ${app.pane(id).label}`);
      if (byUser) app.emit("reference", { id });
      changed({ region: true });
    },
    /** Chooses what stands on the right of a split. */
    setSecond(id) {
      state.second = id;
      changed();
    },
    setKeys(on) {
      state.keys = on;
      app.ui("keys").checked = on;
      remember("mkpn-viewer-keys", on ? "on" : "off");
      app.announce(on ? "Keyboard shortcuts on" : "Keyboard shortcuts off");
    },
    hold(holding) {
      if (state.holding === holding) return;
      state.holding = holding;
      if (holding) app.announce(`Reference: ${app.pane(state.reference)?.label ?? "none"}`);
      app.refresh();
    },
    setError(on, kind = state.errorKind) {
      state.errorOn = on;
      if (kind in ERROR_KINDS) state.errorKind = kind;
      const { label } = ERROR_KINDS[state.errorKind];
      app.announce(on ? `${label} error, colours up to ${shortText(app.top())}` : "Images");
      changed();
    },
    mapOf: (kind) => (ERROR_KINDS[kind].signed ? state.colors.signed : state.colors.magnitude),
    top: () => state.tops[state.errorKind] ?? ERROR_KINDS[state.errorKind].top,
    setTop(top) {
      state.tops[state.errorKind] = Math.min(1, Math.max(ERROR_KINDS[state.errorKind].low, top));
      changed();
    },
    autoTop() {
      // What is not on the screen, and the rim that no figure counts, must not set the scale.
      const onScreen = state.mode === "grid" ? app.shownPanes() : app.soloIds().map(app.pane);
      const pairs = onScreen
        .filter((pane) => pane && app.imageOf(pane.id) && pane.group !== "noisy" && pane.id !== state.reference)
        .map((pane) => app.surfaces.errorPair(pane, state.errorKind))
        .filter((pair) => !pair.note);
      if (pairs.length) app.setTop(commonTop(state.errorKind, pairs, 0.995));
    },
    /** Changes how levels are shown; what is not named stays. */
    setTone(change) {
      for (const name of Object.keys(PLAIN_TONE)) if (name in change) state[name] = change[name];
      if ("channel" in change || "falseColor" in change) app.announce(toneText(state) || "Stored pixels");
      changed();
    },
    /** Chooses a colour map, of magnitudes or of signed errors. */
    setColors(change) {
      Object.assign(state.colors, change);
      app.refresh();
    },
    setHistogram(change) {
      Object.assign(state.histogram, change);
      app.refresh({ region: true });
    },
    togglePane(id) {
      const hidden = new Set(state.hidden);
      if (!hidden.delete(id)) hidden.add(id);
      app.setHidden([...hidden]);
    },
    playBlink() {
      const playing = state.mode !== "blink" || !state.blink.playing;
      app.setMode("blink");
      app.setBlink({ playing });
    },
    setBlink(change) {
      Object.assign(state.blink, change);
      app.solo.blink();
      app.refresh();
      app.emitView();
    },
    toggleSide() {
      state.side = !state.side;
      app.refresh({ layout: true, region: true });
    },
    toggleFullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : app.root.requestFullscreen?.()),
    /** Shows the region, or what is visible, enlarged under every pane. */
    addInset() {
      if (!view.state.width) return;
      if (state.insets.length === MOST_INSETS) return app.announce(`At most ${MOST_INSETS} insets`);
      state.insets = [...state.insets, state.region ?? app.visibleRect()];
      app.announce(`Inset ${state.insets.length} added`);
      app.relayout();
      app.emitView();
    },
    clearInsets() {
      state.insets = [];
      app.announce("Insets removed");
      app.relayout();
      app.emitView();
    },
    /** Fills the panes with a rectangle. */
    lookAtRect(rect) {
      const slot = app.panes.first();
      view.zoomTo(Math.min(slot.width / rect.w, slot.height / rect.h) / pixelUnit(), slot);
      view.centerOn(rect.x + rect.w / 2, rect.y + rect.h / 2);
      app.viewChanged();
    },
    setTool(tool) {
      state.tool = tool === "region" ? "region" : "pan";
      changed();
    },
    setHidden(ids) {
      const hidden = new Set(ids);
      // The last pane cannot be hidden: an empty stage explains nothing.
      if (state.panes.length && state.panes.every((pane) => hidden.has(pane.id))) hidden.delete(state.active);
      state.hidden = hidden;
      changed({ layout: true, region: true });
    },
    setCursor(pixel, paneId) {
      if (!pixel && !state.cursor) return;
      state.cursor = pixel;
      state.hovered = paneId;
      app.refreshCursor();
    },
    setTable(table) {
      state.table = table;
      app.refresh({ region: true });
    },
    /** Sorts the table by a column, best first; once more turns the order round; no key is the order of the panes. */
    sortBy(key) {
      const column = COLUMNS.find((candidate) => candidate.key === key);
      const first = column ? column.better >= 0 : true;
      state.sort = { key: column ? key : null, descending: state.sort.key === key ? !state.sort.descending : first };
      app.announce(column ? `Sorted by ${column.name}, ${state.sort.descending ? "descending" : "ascending"}` : "Order of the panes");
      app.refresh({ region: true });
    },
    /** Chooses the pane from which the table's figures are differences; null for the figures themselves. */
    setBaseline(id) {
      state.baseline = app.pane(id) ? id : null;
      app.announce(state.baseline ? `Differences to ${app.pane(id).label}` : "Figures");
      app.refresh({ region: true });
    },
    /** Brings a pixel into the middle of every pane, large enough to be seen, and pins it. */
    lookAt(pixel) {
      if (view.state.fit || view.zoomOf(app.panes.first()) < 4) view.zoomTo(8, app.panes.first());
      view.centerOn(pixel.x + 0.5, pixel.y + 0.5);
      app.setPick(pixel, false);
      app.announce(`Pixel ${pixel.x}, ${pixel.y}`);
      app.viewChanged();
    },
    /** Goes to the pixel of a pane with the largest error, in the region or the whole image. */
    goToWorst(id) {
      // The figures are those of the table, which is measured while it is seen.
      if (!state.side) app.toggleSide();
      if (state.hidden.has(id)) app.togglePane(id);
      app.setTable("region");
      app.setActive(id, true);
      app.later(() => {
        const place = app.region.rows()?.find((row) => row.pane.id === id)?.place;
        if (place) app.lookAt({ x: place.x, y: place.y });
        else if (id === state.reference) app.announce("This pane has no error: it is the reference");
        else app.announce(`${app.pane(id).label}: ${app.imageOf(id) ? "nothing to compare with" : app.noteOf(app.pane(id))}`);
      });
    },
    setPick(pixel, byUser) {
      state.pick = pixel;
      if (byUser) app.setTable("pixel");
      app.refreshCursor();
      if (!byUser || !pixel) return;
      app.announce(`Pixel ${pixel.x}, ${pixel.y}`);
      app.emit("pick", { ...pixel, pane: state.active });
    },
    setRegion(region, done) {
      state.region = region;
      if (region) state.table = "region";
      const work = region ? region.w * region.h * app.shownPanes().length : 0;
      // While a rectangle is being drawn its numbers follow only as long as they cost less than a frame.
      app.refresh({ region: done || work < 3e5 });
      if (!done) return;
      app.announce(region ? `Region ${region.w} by ${region.h} at ${region.x}, ${region.y}` : "Region cleared");
      app.emit("region", region ?? { x: 0, y: 0, w: 0, h: 0 });
    },
    /** The whole pixels that are visible, even in part. */
    visibleRect() {
      const [left, top, right, bottom] = view.visible(app.panes.first());
      const [x, y] = [Math.floor(left + 1e-6), Math.floor(top + 1e-6)];
      return { x, y, w: Math.max(1, Math.ceil(right - 1e-6) - x), h: Math.max(1, Math.ceil(bottom - 1e-6) - y) };
    },
    reset() {
      Object.assign(state, PLAIN_TONE, { insets: [], errorOn: false, tops: {}, split: 0.5, tool: "pan" });
      state.hidden = new Set();
      view.fit();
      if (state.region) app.setRegion(null, true);
      app.setMode("grid");
      app.announce("View reset");
      app.viewChanged();
      changed({ layout: true });
    },
    back() {
      if (state.mode !== "grid") app.setMode("grid");
      else if (state.region) app.setRegion(null, true);
      else if (state.tool !== "pan") app.setTool("pan");
      else return false;
      return true;
    },
    openHelp() {
      const dialog = app.ui("help-dialog");
      if (!dialog.open) dialog.showModal();
    },
  });
}
