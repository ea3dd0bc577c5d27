// Shows or hides the settings: the button in the bar, or the key S. What was chosen is remembered; `settings_head.js` has
// put it on the page before anything was drawn.
const button = element.querySelector("button");
const page = document.documentElement;

function say() {
  button.setAttribute("aria-expanded", String(page.dataset.settings === "shown"));
}

function toggle() {
  page.dataset.settings = page.dataset.settings === "shown" ? "hidden" : "shown";
  try {
    localStorage.setItem(page.dataset.settingsKey, page.dataset.settings);
  } catch {
    // Storage may be forbidden; the choice then holds until the page is closed.
  }
}

function keysAreOff() {
  try {
    return localStorage.getItem("mkpn-viewer-keys") === "off";
  } catch {
    return false;
  }
}

button.addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "s" || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat) return;
  if (event.isComposing || keysAreOff() || event.target.closest?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, dialog, [contenteditable], [role=listbox]")) return;
  event.preventDefault();
  toggle();
});
say();
new MutationObserver(say).observe(page, { attributeFilter: ["data-settings"] });
