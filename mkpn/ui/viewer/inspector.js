// The pixel under the cursor (or the pinned one), in every pane, with its difference to the reference.

function createInspector(app, signal) {
  const { state, view } = app;
  const body = app.ui("inspector-rows");
  const inputs = { x: app.ui("pixel-x"), y: app.ui("pixel-y") };
  const title = app.ui("inspector-title");
  const rows = new Map();

  function rowFor(pane) {
    if (!rows.has(pane.id)) {
      const cells = {
        name: make("th", { scope: "row" }),
        swatch: make("span", { class: "swatch", "aria-hidden": "true" }),
        label: make("span"),
        bits: make("td", { class: "number" }),
        unit: make("td", { class: "number" }),
        difference: make("td", { class: "number" }),
      };
      cells.name.append(cells.swatch, cells.label);
      const element = make("tr", { "data-pane": pane.id }, cells.name, cells.bits, cells.unit, cells.difference);
      rows.set(pane.id, { element, ...cells });
    }
    return rows.get(pane.id);
  }

  /** Rebuilds the list of rows when panes come, go or change their name. */
  function list() {
    const panes = app.shownPanes();
    for (const id of rows.keys()) if (!panes.some((pane) => pane.id === id)) rows.delete(id);
    const elements = panes.map((pane) => {
      const row = rowFor(pane);
      setText(row.label, pane.label);
      setAttribute(row.element, "data-group", pane.group);
      row.element.toggleAttribute("data-reference", pane.id === state.reference);
      return row.element;
    });
    if (elements.length !== body.children.length || elements.some((node, i) => body.children[i] !== node)) {
      body.replaceChildren(...elements);
    }
    values();
  }

  function channels(image, { x, y }) {
    if (!image || x >= image.width || y >= image.height) return null;
    const at = 4 * (y * image.width + x);
    return [image.data[at], image.data[at + 1], image.data[at + 2]];
  }

  function values() {
    const pixel = state.cursor ?? state.pick;
    const reference = pixel && channels(app.imageOf(state.reference), pixel);
    setText(title, state.cursor ? "Pixel under the cursor" : state.pick ? "Pinned pixel" : "Pixel");
    for (const [axis, input] of Object.entries(inputs)) {
      if (document.activeElement !== input) input.value = pixel ? pixel[axis] : "";
    }
    for (const [id, row] of rows) {
      const value = pixel && channels(app.imageOf(id), pixel);
      setText(row.bits, value ? value.map((v) => String(v).padStart(3)).join(" ") : "\u2013");
      setText(row.unit, value ? value.map((v) => (v / 255).toFixed(3)).join(" ") : "\u2013");
      const difference = value && reference && value.map((v, i) => signedText(v - reference[i]).padStart(4)).join(" ");
      setText(row.difference, id === state.reference ? "reference" : difference || "");
      row.swatch.style.backgroundColor = value ? `rgb(${value.join(",")})` : "transparent";
    }
  }

  for (const input of Object.values(inputs)) {
    input.addEventListener(
      "change",
      () => {
        const clip = (text, size) => Math.min(size - 1, Math.max(0, Math.round(Number(text)) || 0));
        const { width, height } = view.state;
        if (!width) return;
        state.cursor = null;
        app.setPick({ x: clip(inputs.x.value, width), y: clip(inputs.y.value, height) }, true);
        for (const [axis, field] of Object.entries(inputs)) field.value = state.pick[axis];
      },
      { signal },
    );
  }

  return { list, values, channels };
}
