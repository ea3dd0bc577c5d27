// The keyboard (mkpn/ui/README.md). Keys belong to the viewer only while it has the focus.

const KEY_HELP = [
  ["1 \u2026 9, 0", "show a model alone"],
  ["\u2191 \u2193", "step through the panes"],
  ["Space (hold)", "show the reference"],
  ["Shift + 1 \u2026 0", "make that model the reference"],
  ["Shift + N", "make the selected pane the reference"],
  ["E", "error map on and off"],
  ["B", "blink between the selected pane and its partner"],
  ["F", "fit the image"],
  ["A", "100 %: one image pixel per screen pixel"],
  ["+ \u2212", "zoom in and out"],
  ["Shift + arrows", "move the picture"],
  ["R", "reset zoom, tone, error map, region, insets and layout"],
  ["Ctrl + K", "find any action by its name"],
  ["?", "this help"],
  ["Esc", "back to the grid; there, clear the region"],
];

const POINTER_HELP = [
  ["Wheel", "zoom at the cursor, once the viewer has been clicked; Ctrl + wheel always"],
  ["Pinch", "zoom"],
  ["Drag", "move all pictures together"],
  ["Shift + drag", "select a region (or use the Region tool)"],
  ["Click", "pin a pixel in the inspector"],
  ["Double click", "one pane alone, and back to the grid"],
  ["Hold a finger", "the reference, as long as it rests"],
  ["Flick sideways", "in a single pane: the next one"],
];

/** Tells whether a key pressed on this element belongs to the element and not to the viewer. */
function ownsKey(target, key) {
  if (target.closest("textarea, select, dialog, [contenteditable=true]")) return true;
  const input = target.closest("input");
  if (input && (input.type !== "checkbox" || key === " ")) return true;
  if (target.closest("button, summary, a") && (key === " " || key === "Enter")) return true;
  return Boolean(target.closest("[role=slider]")) && /^(Arrow|Home|End|Page)/.test(key);
}

function createKeys(app, signal) {
  const { root, state, view } = app;

  function pan(dx, dy) {
    const slot = app.panes.first();
    view.pan((dx * slot.width) / 8, (dy * slot.height) / 8, slot);
    app.viewChanged();
  }

  function zoom(direction) {
    view.step(direction, app.panes.first());
    app.viewChanged();
  }

  const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const letters = {
    e: () => app.setError(!state.errorOn),
    b: () => app.setMode(state.mode === "blink" ? "grid" : "blink"),
    f: () => app.fit(),
    a: () => app.zoomTo(1),
    r: () => app.reset(),
    "?": () => app.openHelp(),
    "+": () => zoom(1),
    "=": () => zoom(1),
    "-": () => zoom(-1),
    ArrowUp: () => app.stepPane(-1),
    ArrowDown: () => app.stepPane(1),
    " ": () => app.hold(true),
    Escape: () => app.back(),
  };

  function handle(event) {
    // The physical digit: with Shift, layouts write anything on it.
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
    if (digit !== undefined && (event.shiftKey || event.key === digit || event.code.startsWith("Digit"))) {
      const id = app.paneOfKey(digit);
      if (id === undefined) return false;
      if (event.shiftKey) app.setReference(id, true);
      else app.show(id);
      return true;
    }
    if (event.shiftKey && event.key in arrows) {
      pan(...arrows[event.key]);
      return true;
    }
    if (event.shiftKey && event.key.toLowerCase() === "n") {
      app.setReference(state.active, true);
      return true;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!(key in letters) || (event.shiftKey && /^[a-z]$/.test(key))) return false;
    if (event.repeat && /^[a-z ?]$/.test(key)) return key === " ";
    return letters[key]() !== false;
  }

  root.addEventListener(
    "keydown",
    (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        if (!event.target.closest("dialog")) app.palette.open();
        return;
      }
      // Ctrl, Alt and Meta are the browser's and the screen reader's.
      if (!state.keys || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      if (ownsKey(event.target, event.key)) return;
      if (handle(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    },
    { signal },
  );
  root.addEventListener("keyup", (event) => event.key === " " && app.hold(false), { signal });
  root.addEventListener("focusout", () => app.hold(false), { signal });
  window.addEventListener("blur", () => app.hold(false), { signal });

  for (const [name, rows] of Object.entries({ "key-help": KEY_HELP, "pointer-help": POINTER_HELP })) {
    const body = app.ui(name);
    body.replaceChildren(
      ...rows.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, key)), make("td", {}, what))),
    );
  }
}
