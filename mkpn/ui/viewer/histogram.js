// The histograms of all shown panes in one large plot: how often each level occurs, over the region or the whole image.

// Okabe and Ito's colours, told apart without red-green vision; a second round is dashed.
const LINE_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#808080"];
const PLOT_MARGIN = { left: 4, right: 4, top: 6, bottom: 16 };

/** Counts the levels 0..255 of a rectangle; `rgb` counts the values of all three channels. */
function levelCounts(image, { x, y, w, h }, channel) {
  const counts = new Float64Array(256);
  for (let row = y; row < y + h; row += 1) {
    for (let at = 4 * (row * image.width + x), end = at + 4 * w; at < end; at += 4) {
      if (channel === "rgb") for (let k = at; k < at + 3; k += 1) counts[image.data[k]] += 1 / 3;
      else counts[channelLevel(image.data, at, channel)] += 1;
    }
  }
  return counts;
}

function drawHistograms(canvas, curves, { log, ink, line }) {
  const ratio = Math.max(1, Math.round(window.devicePixelRatio || 1));
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const { left, right, top, bottom } = PLOT_MARGIN;
  const [plotWidth, plotHeight] = [width - left - right, height - top - bottom];
  const scaled = (count) => (log ? Math.log10(1 + count) : count);
  const highest = Math.max(1e-9, ...curves.map(({ counts }) => scaled(Math.max(...counts))));
  const at = (level) => left + (level / 255) * plotWidth;
  context.font = "11px ui-monospace, monospace";
  context.fillStyle = ink;
  context.strokeStyle = line;
  context.lineWidth = 1;
  for (const level of [0, 64, 128, 192, 255]) {
    context.textAlign = level === 0 ? "left" : level === 255 ? "right" : "center";
    context.fillText(String(level), at(level), height - 4);
    context.beginPath();
    context.moveTo(at(level), top);
    context.lineTo(at(level), top + plotHeight);
    context.stroke();
  }
  for (const { counts, color, dash, thick } of curves) {
    context.strokeStyle = color;
    context.lineWidth = thick ? 2.5 : 1.25;
    context.setLineDash(dash ? [4, 3] : []);
    context.beginPath();
    counts.forEach((count, level) => context.lineTo(at(level), top + plotHeight * (1 - scaled(count) / highest)));
    context.stroke();
  }
}

function createHistogram(app, signal) {
  const { state, view } = app;
  const canvas = app.ui("histogram");
  const legend = app.ui("histogram-legend");
  const counted = new WeakMap();

  function countsOf(image, rect, channel) {
    const key = `${rect.x} ${rect.y} ${rect.w} ${rect.h} ${channel}`;
    if (counted.get(image)?.key !== key) counted.set(image, { key, counts: levelCounts(image, rect, channel) });
    return counted.get(image).counts;
  }

  function curves() {
    const { width, height } = view.state;
    const rect = state.region ?? { x: 0, y: 0, w: width, h: height };
    return state.panes
      .map((pane, i) => ({ pane, image: app.imageOf(pane.id), color: LINE_COLORS[i % LINE_COLORS.length], dash: i >= LINE_COLORS.length }))
      .filter(({ pane, image }) => image && image.width === width && image.height === height && !state.hidden.has(pane.id))
      .map((curve) => ({
        ...curve,
        counts: countsOf(curve.image, rect, state.histogram.channel),
        thick: curve.pane.id === state.active,
      }));
  }

  function render() {
    app.ui("histogram-channel").value = state.histogram.channel;
    app.ui("histogram-log").checked = state.histogram.log;
    if (!view.state.width || !canvas.offsetParent) return;
    const shown = curves();
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    drawHistograms(canvas, shown, { log: state.histogram.log, ink: color("--ink-soft"), line: color("--line") });
    const what = state.region ? "the region" : "the whole image";
    const names = shown.map(({ pane }) => pane.label).join(", ");
    setAttribute(canvas, "aria-label", `Histograms of ${what}, ${CHANNELS[state.histogram.channel]}: ${names}`);
    legend.replaceChildren(
      ...shown.map(({ pane, color: ink, dash, thick }) =>
        make("li", { class: thick ? "thick" : null }, make("span", { class: "line", style: `border-top: 3px ${dash ? "dashed" : "solid"} ${ink}` }), pane.label),
      ),
    );
    setText(app.ui("histogram-note"), `Levels of ${what}; the thick line is the selected pane.`);
  }

  app.ui("histogram-channel").addEventListener("change", (event) => app.setHistogram({ channel: event.target.value }), { signal });
  app.ui("histogram-log").addEventListener("change", (event) => app.setHistogram({ log: event.target.checked }), { signal });

  return { render, curves };
}
