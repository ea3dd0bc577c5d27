// The toolbar: every control writes the state through `app`, `sync` writes the state back into the controls.

function createControls(app, signal) {
  const { root, state, view, ui } = app;
  const modes = [...root.querySelectorAll("[data-mode-to]")];
  const tools = [...root.querySelectorAll("[data-tool-to]")];
  const tables = [...root.querySelectorAll("[data-table-to]")];
  const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");

  function on(name, type, handler) {
    ui(name).addEventListener(type, handler, { signal });
  }

  for (const button of modes) button.addEventListener("click", () => app.setMode(button.dataset.modeTo), { signal });
  for (const button of tools) button.addEventListener("click", () => app.setTool(button.dataset.toolTo), { signal });
  for (const button of tables) button.addEventListener("click", () => app.setTable(button.dataset.tableTo), { signal });
  on("fit", "click", () => app.fit());
  on("full", "click", () => app.zoomTo(1));
  on("zoom-in", "click", () => (view.step(1, app.panes.first()), app.viewChanged()));
  on("zoom-out", "click", () => (view.step(-1, app.panes.first()), app.viewChanged()));
  on("zoom-select", "change", (event) => {
    const { value } = event.target;
    if (value === "fit") app.fit();
    else if (value) app.zoomTo(Number(value));
  });
  on("error-kind", "change", (event) => app.setError(event.target.value !== "", event.target.value || undefined));
  on("reference", "change", (event) => app.setReference(event.target.value, true));
  on("first", "change", (event) => app.setActive(event.target.value));
  on("second", "change", (event) => {
    state.second = event.target.value;
    app.refresh();
    app.emitView();
  });
  on("ev", "input", (event) => app.setTone(Number(event.target.value), state.contrast));
  on("contrast", "input", (event) => app.setTone(state.ev, Number(event.target.value)));
  on("tone-reset", "click", () => app.setTone(0, 1));
  on("error-top", "input", (event) => {
    const { low } = ERROR_KINDS[state.errorKind];
    app.setTop(Number((low * (1 / low) ** (Number(event.target.value) / 100)).toPrecision(2)));
  });
  on("error-auto", "click", () => app.autoTop());
  on("blink-play", "click", () => setBlink({ playing: !state.blink.playing }));
  on("blink-rate", "input", (event) => setBlink({ rate: Number(event.target.value) }));
  on("blink-partner", "change", (event) => setBlink({ partner: event.target.value }));
  on("hold", "pointerdown", () => app.hold(true));
  for (const type of ["pointerup", "pointerleave", "pointercancel"]) on("hold", type, () => app.hold(false));
  on("hold", "keydown", (event) => [" ", "Enter"].includes(event.key) && app.hold(true));
  on("hold", "keyup", () => app.hold(false));
  on("side-toggle", "click", () => {
    state.side = !state.side;
    app.relayout();
  });
  on("fullscreen", "click", () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()));
  on("help", "click", () => app.openHelp());
  on("help-close", "click", () => ui("help-dialog").close());
  // A native dialog closes on Escape by itself; its focus returns to where it was.
  on("help-dialog", "close", () => ui("stage").focus({ preventScroll: true }));
  on("keys", "change", (event) => {
    state.keys = event.target.checked;
    remember("mkpn-viewer-keys", state.keys ? "on" : "off");
    app.announce(state.keys ? "Keyboard shortcuts on" : "Keyboard shortcuts off");
  });
  on("panes-all", "click", () => app.setHidden([]));
  on("panes-three", "click", () => {
    const keep = new Set([state.panes[0]?.id, state.reference, ...state.panes.filter((p) => p.group === "mkpn").map((p) => p.id)]);
    app.setHidden(state.panes.filter((pane) => !keep.has(pane.id)).map((pane) => pane.id));
  });
  // A menu that stays open would cover panes: it closes as soon as the focus or a press goes elsewhere.
  document.addEventListener(
    "pointerdown",
    (event) => !ui("panes-menu").contains(event.target) && ui("panes-menu").removeAttribute("open"),
    { signal },
  );
  on("panes-menu", "focusout", (event) => {
    if (event.relatedTarget && !ui("panes-menu").contains(event.relatedTarget)) ui("panes-menu").removeAttribute("open");
  });
  on("panes-menu", "keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    ui("panes-menu").removeAttribute("open");
    ui("panes-menu").querySelector("summary").focus();
  });
  // After a mouse press the keys should reach the pictures; keyboard users stay on the button they pressed.
  root.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest("button");
      if (button && event.detail > 0 && !button.closest("dialog") && !ui("help-dialog").open) {
        ui("stage").focus({ preventScroll: true });
      }
    },
    { signal },
  );

  function setBlink(change) {
    Object.assign(state.blink, change);
    app.solo.blink();
    app.refresh();
    app.emitView();
  }

  function fillSelect(select, panes, value) {
    const key = panes.map((pane) => `${pane.id}:${pane.label}`).join("|");
    if (select.dataset.filled !== key) {
      select.replaceChildren(...panes.map((pane) => make("option", { value: pane.id }, pane.label)));
      select.dataset.filled = key;
    }
    if (value !== undefined && select.value !== value) select.value = value;
  }

  function fillMenu() {
    const shown = app.shownPanes().length;
    setText(ui("panes-count"), shown === state.panes.length ? `${shown}` : `${shown} of ${state.panes.length}`);
    const key = state.panes.map((pane) => `${pane.id}:${pane.label}`).join("|");
    const list = ui("panes-list");
    if (list.dataset.filled !== key) {
      list.dataset.filled = key;
      list.replaceChildren(
        ...state.panes.map((pane) => {
          const box = make("input", { type: "checkbox", value: pane.id });
          box.addEventListener("change", () => {
            const hidden = new Set(state.hidden);
            if (box.checked) hidden.delete(pane.id);
            else hidden.add(pane.id);
            app.setHidden([...hidden]);
          });
          return make("label", { class: "check" }, box, pane.label);
        }),
      );
    }
    for (const box of list.querySelectorAll("input")) box.checked = !state.hidden.has(box.value);
  }

  function syncColorbar() {
    const top = app.top();
    const { label, low, signed } = ERROR_KINDS[state.errorKind];
    const map = app.mapOf(state.errorKind);
    const canvas = ui("colorbar");
    const pixels = new ImageData(256, 1);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < 256; i += 1) words[i] = packRgb(colorAt(map, i / 255));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    setText(ui("tick-low"), signed ? shortText(-top) : "0");
    setText(ui("tick-mid"), signed ? "0" : shortText(top / 2));
    setText(ui("tick-high"), signed ? `+${shortText(top)}` : shortText(top));
    setAttribute(ui("colorbar-box"), "aria-label", `${label} error, colours from ${signed ? -top : 0} to ${top}`);
    setAttribute(ui("colorbar-box"), "data-top", top);
    const slider = ui("error-top");
    slider.value = String(Math.round((100 * Math.log(top / low)) / Math.log(1 / low)));
    setAttribute(slider, "aria-valuetext", shortText(top));
    setText(ui("error-top-text"), shortText(top));
  }

  function press(button, pressed) {
    setAttribute(button, "aria-pressed", pressed ? "true" : "false");
  }

  function sync() {
    const { mode, errorOn, ev, contrast } = state;
    for (const button of modes) press(button, button.dataset.modeTo === mode);
    for (const button of tools) press(button, button.dataset.toolTo === state.tool);
    for (const button of tables) press(button, button.dataset.tableTo === state.table);
    setAttribute(ui("side"), "data-shown", state.table);
    setAttribute(root, "data-mode", mode);
    setAttribute(root, "data-tool", state.tool);
    setAttribute(root, "data-error", errorOn ? state.errorKind : null);
    setAttribute(root, "data-active", state.active);
    setAttribute(root, "data-reference", state.reference);
    setAttribute(root, "data-holding", state.holding ? "true" : null);
    ui("error-kind").value = errorOn ? state.errorKind : "";
    fillSelect(ui("reference"), state.panes, state.reference ?? "");
    fillSelect(ui("baseline"), [{ id: "", label: "none: the figures" }, ...state.panes], state.baseline ?? "");
    fillSelect(ui("first"), state.panes, state.active ?? "");
    fillSelect(ui("second"), state.panes.filter((pane) => pane.id !== state.active), app.solo.partner() ?? "");
    fillMenu();
    ui("row-solo").hidden = mode === "grid";
    ui("row-blink").hidden = mode !== "blink";
    ui("second-field").hidden = mode !== "split";
    ui("row-error").hidden = !errorOn;
    ui("row-tone").hidden = errorOn;
    setText(ui("first-label"), mode === "split" ? "Left" : "Pane");
    press(ui("blink-play"), state.blink.playing);
    setText(ui("blink-play"), state.blink.playing ? "Pause" : "Play");
    ui("blink-rate").value = String(state.blink.rate);
    ui("blink-partner").value = state.blink.partner;
    setText(ui("blink-rate-text"), `${state.blink.rate} / s`);
    press(ui("hold"), state.holding);
    ui("ev").value = String(ev);
    ui("contrast").value = String(contrast);
    setText(ui("ev-text"), `${signedText(ev, ev % 1 ? 2 : 0)} EV`);
    setText(ui("contrast-text"), `${contrast.toFixed(1)}\u00d7`);
    const toned = ev !== 0 || contrast !== 1;
    ui("tone-reset").disabled = !toned;
    ui("row-tone").classList.toggle("on", toned);
    ui("tone-chip").hidden = !toned;
    setText(ui("tone-chip"), `Exposure ${signedText(ev, 2)} EV, contrast ${contrast.toFixed(1)}\u00d7: not the stored pixels`);
    setText(ui("shown-text"), errorOn ? `${ERROR_KINDS[state.errorKind].label} error` : toned ? "image, tone changed" : "image");
    setText(ui("metric-note"), state.note && `Captions: ${state.note} Before rounding to 8 bits.`);
    ui("side").hidden = !state.side;
    press(ui("side-toggle"), state.side);
    ui("keys").checked = state.keys;
    ui("empty").hidden = state.panes.length > 0;
    if (errorOn) syncColorbar();
  }

  /** The part of the toolbar that follows every pan and zoom. */
  function syncView() {
    if (!view.state.width) return;
    const slot = app.panes.first();
    const zoom = view.zoomOf(slot);
    const text = zoomText(zoom);
    setAttribute(root, "data-zoom", Number(zoom.toFixed(4)));
    setAttribute(root, "data-fit", view.state.fit ? "true" : "false");
    press(ui("fit"), view.state.fit);
    press(ui("full"), !view.state.fit && zoom === 1);
    setText(ui("zoom-now"), text);
    ui("zoom-select").value = "";
    setText(ui("zoom-text"), view.state.fit ? `${text} (fit)` : text);
    app.stage.classList.toggle("zoomed", !view.state.fit);
  }

  return { sync, syncView, reducedMotion: () => reducedMotion.matches };
}

/** Storage may be forbidden (private windows, embedded pages); a preference is not worth an error. */
function remember(key, value) {
  try {
    window.localStorage.setItem(key, value);
  } catch {
    return;
  }
}

function recall(key) {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null;
  }
}
