// How numbers and names are written, the same in captions, tables and announcements.

function figureText(value, digits, missing = "\u2013") {
  if (value === Infinity) return "\u221e";
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(digits) : missing;
}

function zoomText(zoom) {
  const percent = zoom * 100;
  return `${percent >= 10 ? Math.round(percent) : percent.toFixed(1)} %`;
}

function signedText(value, digits = 0) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? "0" : (value < 0 ? "\u2212" : "+") + text;
}

/** A figure as it is shown: two that look equal are equally good. */
function asShown(value, digits = 2) {
  return Number(value.toFixed(digits));
}

/** The difference of two figures as they are shown beside it, for a reader who subtracts them. */
function shownDifference(more, less, digits = 2) {
  return asShown(more, digits) - asShown(less, digits);
}

/** A short number without trailing zeros, for colour bars. */
function shortText(value) {
  if (value === 0) return "0";
  return String(Number(value.toPrecision(2))).replace("-", "\u2212");
}

const STATUS_TEXT = { waiting: "waiting", running: "running \u2026", failed: "failed", stopped: "stopped" };

/** "31.25 dB / 0.912" as two parts, or what the pane is doing instead. */
function paneFigures(pane) {
  if (STATUS_TEXT[pane.status] && !pane.url) return { psnr: STATUS_TEXT[pane.status], ssim: "" };
  return {
    psnr: pane.psnr === null ? "" : `${figureText(pane.psnr, 2)} dB`,
    ssim: pane.ssim === null ? "" : figureText(pane.ssim, 3),
  };
}

function spokenPane(pane) {
  const { psnr, ssim } = paneFigures(pane);
  return [pane.label, psnr, ssim && `SSIM ${ssim}`].filter(Boolean).join(", ");
}

/** Creates an element with attributes, text and children: the only way this viewer puts text from Python on the page. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
