// The region and the table of its figures: one row per pane; without a region, of the whole image.

function createRegion(app, signal) {
  const { state, view } = app;
  const body = app.ui("region-rows");
  const head = app.ui("region-head");
  const fields = { x: app.ui("region-x"), y: app.ui("region-y"), w: app.ui("region-w"), h: app.ui("region-h") };
  const measured = new WeakMap();
  let shown = null;

  const order = make("button", { type: "button", "data-sort": "", title: "The order of the panes" }, "Pane");
  head.append(
    make("th", { scope: "col" }, order),
    ...COLUMNS.map(({ key, name, title }) =>
      make("th", { scope: "col", "data-column": key }, make("button", { type: "button", "data-sort": key, title }, name)),
    ),
  );

  /** The rectangle that is measured. */
  function area() {
    return state.region ?? { x: 0, y: 0, w: view.state.width, h: view.state.height };
  }

  /** Measures once: sorting, and a pane that is shown again, cost nothing. */
  function once(image, other, rect, measure) {
    if (!measured.has(image)) measured.set(image, new WeakMap());
    const known = measured.get(image);
    const key = `${rect.x} ${rect.y} ${rect.w} ${rect.h}`;
    if (known.get(other)?.key !== key) known.set(other, { key, value: measure() });
    return known.get(other).value;
  }

  function measure(panes = app.shownPanes()) {
    const reference = app.imageOf(state.reference);
    const rect = area();
    return panes
      .map((pane) => ({ pane, image: app.imageOf(pane.id) }))
      .filter(({ image }) => image)
      .map(({ pane, image }) => {
        const row = { pane, ...once(image, image, rect, () => levelStatistics(image, rect)) };
        const comparable = reference && reference.width === image.width && reference.height === image.height;
        if (pane.id === state.reference || !comparable) return row;
        const { worst, ...errors } = once(image, reference, rect, () => errorStatistics(image, reference, rect));
        const map = app.similarity.map(image, reference);
        const ssim = map.values ? meanSimilarity(map.values, image.width, rect) : null;
        return { ...row, ...errors, ssim, worst: worst.value, place: worst };
      });
  }

  function base(rows) {
    const baseline = app.pane(state.baseline);
    return rows.find(({ pane }) => pane === baseline) ?? (baseline ? measure([baseline])[0] : null) ?? null;
  }

  const sorted = (rows) => sortedRows(rows, state.sort, base(rows));

  function rowElement(row, compared, best) {
    const { id, label, group } = row.pane;
    const cells = COLUMNS.map((column) => {
      const text = cellText(row, column, compared);
      const value = row[column.key] ?? null;
      const good = !compared && value !== null && asShown(value, column.digits) === best[column.key];
      const cell = make("td", { class: good ? "number best" : "number", "data-column": column.key });
      if (column.key !== "worst" || !row.place) cell.append(text);
      else {
        const { x, y } = row.place;
        const name = `Go to the largest error of ${label}, at ${x}, ${y}`;
        cell.append(make("button", { type: "button", class: "jump", "data-x": x, "data-y": y, "aria-label": `${text}. ${name}`, title: name }, text));
      }
      return cell;
    });
    const compareMark = id === state.baseline ? { "data-baseline": true } : {};
    const name = make("th", { scope: "row", title: label }, make("span", {}, label));
    return make("tr", { "data-pane": id, "data-group": group, ...compareMark }, name, ...cells);
  }

  function render() {
    const { region } = state;
    for (const [name, input] of Object.entries(fields)) {
      if (document.activeElement !== input) input.value = region ? region[name] : "";
    }
    app.ui("region-clear").disabled = !region;
    app.ui("region-empty").hidden = Boolean(region);
    // Twelve whole pictures are not measured for a table that nobody sees.
    if (!view.state.width || !app.ui("region-table").offsetParent) {
      shown = null;
      return;
    }
    const rows = measure();
    const compared = base(rows);
    shown = sorted(rows);
    const best = Object.fromEntries(COLUMNS.map((column) => [column.key, bestFigure(rows, column)]));
    const focused = body.contains(document.activeElement) && document.activeElement.closest("tr").dataset.pane;
    body.replaceChildren(...shown.map((row) => rowElement(row, compared, best)));
    if (focused) (body.querySelector(`[data-pane="${focused}"] .jump`) ?? app.stage).focus({ preventScroll: true });
    for (const cell of head.children) {
      const { key, descending } = state.sort;
      setAttribute(cell, "aria-sort", key && cell.dataset.column === key ? (descending ? "descending" : "ascending") : null);
    }
    const { x, y, w, h } = area();
    setText(app.ui("region-title"), region ? "Region" : "Whole image");
    const against = app.pane(state.reference)?.label ?? "\u2013";
    setText(
      app.ui("region-note"),
      `${w} \u00d7 ${h} at ${x}, ${y}, against ${against}: of the shown 8-bit pixels, RGB, no border removed. ` +
        "Figures outside this table are of the picture before it was rounded to 8 bits.",
    );
  }

  async function copy(format) {
    const rows = shown ?? sorted(view.state.width ? measure() : []);
    const done = await copyText(tableText(rows, base(rows), format));
    const what = format === "csv" ? "CSV" : "Markdown";
    setText(app.ui("copy-note"), done ? `Copied as ${what}` : "The browser did not allow copying");
    app.announce(app.ui("copy-note").textContent);
  }

  for (const input of Object.values(fields)) {
    input.addEventListener(
      "change",
      () => {
        const { width, height } = view.state;
        if (!width) return;
        const number = (name, low, high) => Math.min(high, Math.max(low, Math.round(Number(fields[name].value)) || low));
        const x = number("x", 0, width - 1);
        const y = number("y", 0, height - 1);
        const side = Math.min(64, width, height);
        if (!fields.w.value) fields.w.value = side;
        if (!fields.h.value) fields.h.value = side;
        app.setRegion({ x, y, w: number("w", 1, width - x), h: number("h", 1, height - y) }, true);
        for (const [name, input] of Object.entries(fields)) input.value = state.region[name];
      },
      { signal },
    );
  }
  app.ui("region-clear").addEventListener("click", () => app.setRegion(null, true), { signal });
  app.ui("region-visible").addEventListener("click", () => app.setRegion(app.visibleRect(), true), { signal });
  app.ui("copy-csv").addEventListener("click", () => copy("csv"), { signal });
  app.ui("copy-markdown").addEventListener("click", () => copy("markdown"), { signal });
  app.ui("baseline").addEventListener("change", (event) => app.setBaseline(event.target.value || null), { signal });
  head.addEventListener(
    "click",
    (event) => {
      const key = event.target.closest("[data-sort]")?.dataset.sort;
      if (key !== undefined) app.sortBy(key);
    },
    { signal },
  );
  body.addEventListener(
    "click",
    (event) => {
      const jump = event.target.closest(".jump");
      if (jump) app.lookAt({ x: Number(jump.dataset.x), y: Number(jump.dataset.y) });
    },
    { signal },
  );

  return { render, copy, rows: () => shown };
}
