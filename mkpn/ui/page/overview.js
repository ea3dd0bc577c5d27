// The whole image: a click or an arrow key moves the compared square at once and tells Python (event "pick").
// Listeners sit on the component's root, which survives every new value.
const STEP = 1;
const LEAP = 8;
const SETTLE_MS = 120;
let pending = 0;
let newest = null; // where the user has gone
let shown = {}; // the square and the run that the last value from Python has shown
const told = []; // places that Python was told of, and has not yet shown

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function place(view, x, y) {
  const { width, height, side } = view.dataset;
  const percent = (value, total) => `${(100 * value) / total}%`;
  const box = view.querySelector(".box");
  const dot = view.querySelector(".dot");
  box.style.left = percent(clamp(x - Math.floor(side / 2), 0, width - side), width);
  box.style.top = percent(clamp(y - Math.floor(side / 2), 0, height - side), height);
  dot.style.left = percent(x + 0.5, width);
  dot.style.top = percent(y + 0.5, height);
  view.dataset.x = x;
  view.dataset.y = y;
}

/** Moves the square to where the user goes; Python hears of it now, or where a held key came to rest. */
function go(view, x, y, delay, detail) {
  newest = { x, y };
  place(view, x, y);
  const tell = () => {
    pending = 0;
    told.push(`${x} ${y}`);
    trigger("pick", { x, y, ...detail });
  };
  clearTimeout(pending);
  pending = 0;
  if (delay) pending = setTimeout(tell, delay);
  else tell();
}

element.addEventListener("click", (event) => {
  const view = event.target.closest(".overview");
  if (!view) return;
  const frame = view.querySelector("img").getBoundingClientRect();
  const { width, height } = view.dataset;
  const x = clamp(Math.floor(((event.clientX - frame.left) / frame.width) * width), 0, width - 1);
  const y = clamp(Math.floor(((event.clientY - frame.top) / frame.height) * height), 0, height - 1);
  go(view, x, y, 0, {});
});

element.addEventListener("keydown", (event) => {
  const view = event.target.closest(".overview");
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const move = moves[event.key];
  if (!view || !move || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const step = event.shiftKey ? LEAP : STEP;
  const x = clamp(Number(view.dataset.x) + step * move[0], 0, view.dataset.width - 1);
  const y = clamp(Number(view.dataset.y) + step * move[1], 0, view.dataset.height - 1);
  // A held key would queue one event per pixel.
  go(view, x, y, SETTLE_MS, { keyboard: true });
});

/** A new value shows the square where Python last heard of it: where the user has gone since must not be undone. */
function follow() {
  const view = element.querySelector(".overview");
  if (!view) return;
  const { x, y, run } = view.dataset;
  const at = `${x} ${y}`;
  const echo = told.indexOf(at);
  delete document.documentElement.dataset.opening;
  if (run !== shown.run || (echo < 0 && at !== shown.at)) forget();
  else told.splice(0, echo + 1);
  shown = { at, run };
  if (newest && (pending || told.length)) place(view, newest.x, newest.y);
  else newest = null;
}

/** Python has moved the square itself, or shows another run. */
function forget() {
  clearTimeout(pending);
  pending = 0;
  told.length = 0;
  newest = null;
}

// A new value replaces the picture, and the keyboard's focus with it.
element.addEventListener("focusin", () => element.classList.add("keyboard"));
element.addEventListener("focusout", (event) => {
  if (event.target.isConnected) element.classList.remove("keyboard");
});
watch("value", () => {
  follow();
  if (element.classList.contains("keyboard") && document.activeElement === document.body) {
    element.querySelector(".overview")?.focus({ preventScroll: true });
  }
});
