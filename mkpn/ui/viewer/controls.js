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
  on("second", "change", (event) => app.setSecond(event.target.value));
  for (const name of ["ev", "contrast", "gamma"]) {
    on(name, "input", (event) => app.setTone({ [name]: Number(event.target.value) }));
  }
  on("channel", "change", (event) => app.setTone({ channel: event.target.value }));
  on("false-color", "change", (event) => app.setTone({ falseColor: event.target.checked }));
  on("tone-reset", "click", () => app.setTone(PLAIN_TONE));
  on("colors", "change", (event) => app.setColors({ [signedShown() ? "signed" : "magnitude"]: event.target.value }));
  on("error-top", "input", (event) => {
    const { low } = ERROR_KINDS[state.errorKind];
    app.setTop(Number((low * (1 / low) ** (Number(event.target.value) / 100)).toPrecision(2)));
  });
  on("error-auto", "click", () => app.autoTop());
  on("blink-play", "click", () => app.setBlink({ playing: !state.blink.playing }));
  on("blink-rate", "input", (event) => app.setBlink({ rate: Number(event.target.value) }));
  on("blink-partner", "change", (event) => app.setBlink({ partner: event.target.value }));
  on("hold", "pointerdown", () => app.hold(true));
  on("hold", "mousedown", (event) => event.preventDefault()); // the focus stays: where it moves, the hold ends
  for (const type of ["pointerup", "pointerleave", "pointercancel"]) on("hold", type, () => app.hold(false));
  on("hold", "keydown", (event) => [" ", "Enter"].includes(event.key) && app.hold(true));
  on("hold", "keyup", () => app.hold(false));
  on("side-toggle", "click", () => app.toggleSide());
  on("fullscreen", "click", () => app.toggleFullscreen());
  // A dialog that closes gives the focus back to where it was: after a mouse press that is the stage.
  const opener = (open) => (event) => {
    if (event.detail > 0) ui("stage").focus({ preventScroll: true });
    open();
  };
  on("commands", "click", opener(() => app.palette.open()));
  on("inset-add", "click", () => app.addInset());
  on("inset-clear", "click", () => app.clearInsets());
  on("help", "click", opener(() => app.openHelp()));
  on("help-close", "click", () => ui("help-dialog").close());
  on("keys", "change", (event) => app.setKeys(event.target.checked));
  on("panes-all", "click", () => app.setHidden([]));
  on("panes-story", "click", () => app.start.showStory());
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
      if (button && event.detail > 0 && !button.closest("dialog") && !root.querySelector("dialog[open]")) {
        ui("stage").focus({ preventScroll: true });
      }
    },
    { signal },
  );

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
          box.addEventListener("change", () => app.togglePane(pane.id));
          return make("label", { class: "check" }, box, pane.label);
        }),
      );
    }
    for (const box of list.querySelectorAll("input")) box.checked = !state.hidden.has(box.value);
  }

  function signedShown() {
    return state.errorOn && Boolean(ERROR_KINDS[state.errorKind].signed);
  }

  function syncColors() {
    const signed = signedShown();
    const maps = signed ? SIGNED_MAPS : MAGNITUDE_MAPS;
    fillSelect(ui("colors"), maps.map((map) => ({ id: map, label: map })), signed ? state.colors.signed : state.colors.magnitude);
    if (state.errorOn) syncScale();
    else drawColorbar(state.colors.magnitude, ["0", "0.5", "1"], `Colours of levels from 0 to 1, ${CHANNELS[state.channel === "rgb" ? "luma" : state.channel]}`);
  }

  function drawColorbar(map, ticks, label) {
    const canvas = ui("colorbar");
    const pixels = new ImageData(256, 1);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < 256; i += 1) words[i] = packRgb(colorAt(map, i / 255));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    ["low", "mid", "high"].forEach((name, i) => setText(ui(`tick-${name}`), ticks[i]));
    setAttribute(ui("colorbar-box"), "aria-label", label);
  }

  function syncScale() {
    const top = app.top();
    const { label, low, signed } = ERROR_KINDS[state.errorKind];
    const ticks = signed ? [shortText(-top), "0", `+${shortText(top)}`] : ["0", shortText(top / 2), shortText(top)];
    drawColorbar(app.mapOf(state.errorKind), ticks, `${label} error, colours from ${signed ? -top : 0} to ${top}`);
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
    const { mode, errorOn, ev, contrast, gamma } = state;
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
    ui("gamma").value = String(gamma);
    setText(ui("gamma-text"), gamma.toFixed(1));
    ui("channel").value = state.channel;
    ui("false-color").checked = state.falseColor;
    ui("inset-clear").disabled = state.insets.length === 0;
    const toned = !isPlain(state);
    ui("tone-reset").disabled = !toned;
    ui("row-tone").classList.toggle("on", toned);
    ui("tone-chip").hidden = !toned;
    setText(ui("tone-chip"), `${toneText(state)}: not the stored pixels`);
    setText(ui("shown-text"), errorOn ? `${ERROR_KINDS[state.errorKind].label} error` : toned ? "image, tone changed" : "image");
    setText(ui("metric-note"), state.note && `Captions: ${state.note} Before rounding to 8 bits.`);
    ui("side").hidden = !state.side;
    press(ui("side-toggle"), state.side);
    ui("keys").checked = state.keys;
    ui("empty").hidden = state.panes.length > 0;
    ui("row-colors").hidden = !errorOn && !state.falseColor;
    ui("context").hidden = ui("row-solo").hidden && ui("row-colors").hidden;
    if (!ui("row-colors").hidden) syncColors();
    const story = app.start.story();
    const shown = app.shownPanes();
    press(ui("panes-all"), shown.length === state.panes.length);
    press(ui("panes-story"), shown.length < state.panes.length && shown.length === story.length && shown.every((pane) => story.includes(pane.id)));
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
