// The table of region statistics: one row per pane, the best PSNR and SSIM marked.

function drawHistogram(canvas, histogram, color) {
  const ratio = Math.max(1, Math.round(window.devicePixelRatio || 1));
  canvas.width = 2 * BINS * ratio;
  canvas.height = 18 * ratio;
  const context = canvas.getContext("2d");
  const highest = Math.max(1, ...histogram);
  context.fillStyle = color;
  histogram.forEach((count, i) => {
    const height = count ? Math.max(ratio, Math.round((count / highest) * canvas.height)) : 0;
    context.fillRect(2 * i * ratio, canvas.height - height, 2 * ratio, height);
  });
}

const REMEASURE_MS = 1200;
const REMEASURE_TIMES = 3;

function createRegion(app, signal) {
  const { state, view } = app;
  const body = app.ui("region-rows");
  const fields = { x: app.ui("region-x"), y: app.ui("region-y"), w: app.ui("region-w"), h: app.ui("region-h") };
  let shown = null;
  let timer = 0;
  const asked = new Map();

  /** Collects the numbers; `region_ssim` counts only for the very rectangle that Python measured. */
  function measure() {
    const reference = app.imageOf(state.reference);
    const ssim = sameRect(state.region, state.crop) ? state.regionSsim : {};
    return app
      .shownPanes()
      .filter((pane) => app.imageOf(pane.id))
      .map((pane) => {
        const same = pane.id === state.reference;
        const statistics = regionStatistics(app.imageOf(pane.id), same ? null : reference, state.region);
        return { pane, ...statistics, ssim: same ? null : ssim[pane.id] ?? null };
      });
  }

  function render() {
    const { region } = state;
    app.ui("region-empty").hidden = Boolean(region);
    app.ui("region-table").hidden = !region;
    app.ui("region-clear").disabled = !region;
    for (const [name, input] of Object.entries(fields)) {
      if (document.activeElement !== input) input.value = region ? region[name] : "";
    }
    if (!region) {
      body.replaceChildren();
      shown = null;
      return;
    }
    const rows = measure();
    shown = rows;
    const reference = app.pane(state.reference);
    setText(app.ui("region-note"), `PSNR against ${reference ? reference.label : "\u2013"}, RGB, from the 8-bit pixels, no border removed.`);
    const best = (key) => {
      const values = rows.map((row) => row[key]).filter((value) => typeof value === "number" && Number.isFinite(value));
      return values.length > 1 ? Math.max(...values) : null;
    };
    const [bestPsnr, bestSsim] = [best("psnr"), best("ssim")];
    const color = getComputedStyle(body).getPropertyValue("--ink-soft").trim() || "#666";
    body.replaceChildren(
      ...rows.map((row) => {
        const canvas = make("canvas", { class: "histogram", role: "img", "aria-label": `Histogram of ${row.pane.label}` });
        drawHistogram(canvas, row.histogram, color);
        const cell = (text, good) => make("td", { class: good ? "number best" : "number" }, text);
        const name = make("th", { scope: "row" }, make("span", {}, row.pane.label));
        return make(
          "tr",
          { "data-pane": row.pane.id, "data-group": row.pane.group },
          name,
          cell(row.psnr === null ? "" : figureText(row.psnr, 2), row.psnr !== null && row.psnr === bestPsnr),
          cell(row.ssim === null ? "" : figureText(row.ssim, 3), row.ssim !== null && row.ssim === bestSsim),
          cell(row.mean.toFixed(3)),
          cell(row.sd.toFixed(3)),
          make("td", {}, canvas),
        );
      }),
    );
  }

  /**
   * Asks Python again for the SSIM of the region when what it last sent belongs to another one or to other pictures:
   * after a new run, and because Gradio may answer two quick events with the first one's rectangle.
   */
  function remeasure() {
    clearTimeout(timer);
    // Pictures that arrive one after the other are measured once, after the last.
    timer = setTimeout(() => {
      const { region, crop, panes } = state;
      if (!region || sameRect(region, crop) || !app.root.isConnected) return;
      const key = JSON.stringify([region, panes.map((pane) => pane.url)]);
      const times = asked.get(key) ?? 0;
      if (times >= REMEASURE_TIMES || !panes.some((pane) => pane.url)) return;
      asked.clear();
      asked.set(key, times + 1);
      app.emit("crop", region);
      // Should this be lost too, an answer that changes nothing would wake nobody.
      remeasure();
    }, REMEASURE_MS);
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
      },
      { signal },
    );
  }
  app.ui("region-clear").addEventListener("click", () => app.setRegion(null, true), { signal });
  app.ui("region-visible").addEventListener("click", () => app.setRegion(app.visibleRect(), true), { signal });

  return { render, remeasure, statistics: () => shown };
}

function sameRect(a, b) {
  return Boolean(a && b) && ["x", "y", "w", "h"].every((key) => a[key] === b[key]);
}
