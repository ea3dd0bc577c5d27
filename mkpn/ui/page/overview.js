// The whole image: a click or an arrow key moves the compared square at once and tells Python (event "pick").
// Listeners sit on the component's root, which survives every new value.
const STEP = 1;
const LEAP = 8;
const SETTLE_MS = 120;
let pending = 0;

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

element.addEventListener("click", (event) => {
  const view = event.target.closest(".overview");
  if (!view) return;
  const frame = view.querySelector("img").getBoundingClientRect();
  const { width, height } = view.dataset;
  const x = clamp(Math.floor(((event.clientX - frame.left) / frame.width) * width), 0, width - 1);
  const y = clamp(Math.floor(((event.clientY - frame.top) / frame.height) * height), 0, height - 1);
  place(view, x, y);
  trigger("pick", { x, y });
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
  place(view, x, y);
  // A held key would queue one event per pixel: Python hears where the square came to rest.
  clearTimeout(pending);
  pending = setTimeout(() => trigger("pick", { x, y, keyboard: true }), SETTLE_MS);
});

// A new value replaces the picture, and the keyboard's focus with it.
element.addEventListener("focusin", () => element.classList.add("keyboard"));
element.addEventListener("focusout", (event) => {
  if (event.target.isConnected) element.classList.remove("keyboard");
});
watch("value", () => {
  if (element.classList.contains("keyboard") && document.activeElement === document.body) {
    element.querySelector(".overview")?.focus({ preventScroll: true });
  }
});
