// Every action by name, and the palette that finds them (Ctrl + K).

// Step, smallest and largest value of what the sliders set.
const TONE_STEPS = [
  ["contrast", 0.1, 0.5, 4],
  ["gamma", 0.1, 0.4, 3],
];
const tenths = (value) => Math.round(10 * value) / 10;

/** Returns all actions as `{name, keys, run}`; those of a pane once for every pane. */
function commandList(app) {
  const { state, view } = app;
  const step = (direction) => () => (view.step(direction, app.panes.first()), app.viewChanged());
  const plain = [
    ...Object.entries(MODE_NAMES).map(([mode, name]) => ({ name: `Layout: ${name}`, keys: { grid: "Esc", blink: "B" }[mode], run: () => app.setMode(mode) })),
    { name: "Zoom: fit the image", keys: "F", run: app.fit },
    ...[1, 2, 4, 8, 16, 32].map((zoom) => ({ name: `Zoom: ${zoomText(zoom)}`, keys: zoom === 1 ? "A" : "", run: () => app.zoomTo(zoom) })),
    { name: "Zoom: in", keys: "+", run: step(1) },
    { name: "Zoom: out", keys: "\u2212", run: step(-1) },
    { name: "Tool: pan", run: () => app.setTool("pan") },
    { name: "Tool: select a region", run: () => app.setTool("region") },
    { name: "Error: off", keys: "E", run: () => app.setError(false) },
    ...Object.entries(ERROR_KINDS).map(([kind, { label }]) => ({ name: `Error: ${label.toLowerCase()}`, run: () => app.setError(true, kind) })),
    { name: "Error: fit the colour scale", run: app.autoTop },
    ...Object.entries(CHANNELS).map(([channel, name]) => ({ name: `Channel: ${name}`, run: () => app.setTone({ channel }) })),
    { name: "Tone: false colour on or off", run: () => app.setTone({ falseColor: !state.falseColor }) },
    { name: "Tone: exposure up", run: () => app.setTone({ ev: Math.min(4, state.ev + 0.5) }) },
    { name: "Tone: exposure down", run: () => app.setTone({ ev: Math.max(-4, state.ev - 0.5) }) },
    ...TONE_STEPS.flatMap(([field, step, low, high]) => [
      { name: `Tone: ${field} up`, run: () => app.setTone({ [field]: Math.min(high, tenths(state[field] + step)) }) },
      { name: `Tone: ${field} down`, run: () => app.setTone({ [field]: Math.max(low, tenths(state[field] - step)) }) },
    ]),
    { name: "Tone: reset", run: () => app.setTone(PLAIN_TONE) },
    ...MAGNITUDE_MAPS.map((map) => ({ name: `Colours: ${map}`, run: () => app.setColors({ magnitude: map }) })),
    ...SIGNED_MAPS.map((map) => ({ name: `Colours of signed errors: ${map}`, run: () => app.setColors({ signed: map }) })),
    { name: "Panes: story", run: app.start.showStory },
    { name: "Panes: all", run: () => app.setHidden([]) },
    { name: "Panes: add a PNG", run: app.external.open },
    { name: "Panes: remove added PNGs", run: app.external.remove },
    { name: "Table: pixel", run: () => app.setTable("pixel") },
    { name: "Table: figures", run: () => app.setTable("region") },
    { name: "Table: histogram", run: () => app.setTable("histogram") },
    { name: "Table: copy as CSV", run: () => (app.setTable("region"), app.later(() => app.region.copy("csv"))) },
    { name: "Table: copy as Markdown", run: () => (app.setTable("region"), app.later(() => app.region.copy("markdown"))) },
    { name: "Table: order of the panes", run: () => app.sortBy("") },
    ...COLUMNS.map(({ key, name }) => ({ name: `Table: sort by ${name.replace("rel.", "relative").replace("abs.", "absolute").replace("sq.", "squared")}`, run: () => (app.setTable("region"), app.sortBy(key)) })),
    { name: "Table: figures, no differences", run: () => app.setBaseline(null) },
    { name: "Histogram: log scale on or off", run: () => (app.setTable("histogram"), app.setHistogram({ log: !state.histogram.log })) },
    ...Object.entries(CHANNELS).map(([channel, name]) => ({
      name: `Histogram: ${name}`,
      run: () => (app.setTable("histogram"), app.setHistogram({ channel })),
    })),
    { name: "Region: visible part", run: () => app.setRegion(app.visibleRect(), true) },
    { name: "Region: clear", run: () => app.setRegion(null, true) },
    { name: "Insets: add the region or the visible part", run: app.addInset },
    { name: "Insets: remove all", run: app.clearInsets },
    { name: "Blink: play or pause", run: () => app.playBlink() },
    { name: "Blink: with the reference", run: () => (app.setMode("blink"), app.setBlink({ partner: "reference" })) },
    { name: "Blink: all panes in turn", run: () => (app.setMode("blink"), app.setBlink({ partner: "all" })) },
    { name: "Blink: faster", run: () => app.setBlink({ rate: Math.min(3, state.blink.rate + 0.25) }) },
    { name: "Blink: slower", run: () => app.setBlink({ rate: Math.max(0.25, state.blink.rate - 0.25) }) },
    { name: "Hold for reference: on or off", keys: "Space", run: () => app.hold(!state.holding) },
    { name: "Keyboard shortcuts on or off", run: () => app.setKeys(!state.keys) },
    { name: "Inspector on or off", run: app.toggleSide },
    { name: "Full screen on or off", run: app.toggleFullscreen },
    { name: "Reset the view", keys: "R", run: app.reset },
    { name: "Help and keys", keys: "?", run: app.openHelp },
  ];
  // The selected pane is meant where none is named.
  const panes = [...state.panes].sort((a, b) => (b.id === state.active) - (a.id === state.active));
  const ofPanes = panes.flatMap(({ id, label }) => [
    { name: `Show alone: ${label}`, keys: app.keyOf(id), run: () => app.show(id) },
    { name: `Reference: ${label}`, keys: app.keyOf(id) && `Shift + ${app.keyOf(id)}`, run: () => app.setReference(id, true) },
    { name: `Split: ${label} on the right`, run: () => (app.setSecond(id), app.setMode("split")) },
    { name: `Largest error of ${label}: go there`, run: () => app.goToWorst(id) },
    { name: `Table: difference to ${label}`, run: () => (app.setTable("region"), app.setBaseline(id)) },
    { name: `Panes: show or hide ${label}`, run: () => app.togglePane(id) },
  ]);
  return [...plain, ...ofPanes];
}

/** Keeps the commands whose name holds every word that was typed; those that begin with them come first. */
function findCommands(commands, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = commands.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const begins = ({ name }) => name.toLowerCase().startsWith(words.join(" "));
  return [...found.filter(begins), ...found.filter((command) => !begins(command))];
}

function createPalette(app, signal) {
  const dialog = app.ui("palette");
  const input = app.ui("palette-input");
  const list = app.ui("palette-list");
  let found = [];
  let at = 0;

  function select(index) {
    at = found.length ? (index + found.length) % found.length : 0;
    [...list.children].forEach((item, i) => setAttribute(item, "aria-selected", i === at ? "true" : "false"));
    const item = list.children[at];
    setAttribute(input, "aria-activedescendant", found.length ? item.id : null);
    item?.scrollIntoView({ block: "nearest" });
  }

  function fill() {
    found = findCommands(commandList(app), input.value);
    list.replaceChildren(
      ...found.map(({ name, keys }, i) =>
        make("li", { role: "option", id: `${app.root.closest("[id]")?.id ?? "mkpn"}-command-${i}`, "data-at": i }, make("span", {}, name), keys ? make("kbd", {}, keys) : ""),
      ),
    );
    app.ui("palette-none").hidden = found.length > 0;
    select(0);
  }

  function run(command) {
    dialog.close();
    app.stage.focus({ preventScroll: true }); // now: where the focus moves later, a hold ends
    command?.run();
  }

  input.addEventListener("input", fill, { signal });
  input.addEventListener(
    "keydown",
    (event) => {
      const moves = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in moves) select(at + moves[event.key]);
      else if (event.key === "Enter") run(found[at]);
      else return;
      event.preventDefault();
    },
    { signal },
  );
  list.addEventListener(
    "click",
    (event) => {
      const item = event.target.closest("[data-at]");
      if (item) run(found[Number(item.dataset.at)]);
    },
    { signal },
  );

  return {
    open() {
      if (dialog.open) return;
      input.value = "";
      dialog.showModal();
      fill();
      input.focus();
    },
  };
}
