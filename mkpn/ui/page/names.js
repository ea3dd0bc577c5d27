// Names for controls that gradio leaves without one: a screen reader would say no more than "button".
// Gradio draws parts of the page later (a tab when it is opened first, a figure when it arrives), hence the observer.
// Not every box with a title: those of the choices have a label, and their title is the bare value.
const TOOLTIP_ONLY = "input.select-all-checkbox[title]:not([aria-label])";
const PICTURES = ".figure .image-container button:not([aria-label])";
let asked = false;

function giveNames() {
  asked = false;
  for (const box of document.querySelectorAll(TOOLTIP_ONLY)) box.setAttribute("aria-label", box.title);
  for (const button of document.querySelectorAll(PICTURES)) {
    const label = button.closest(".figure").querySelector("[data-testid=block-label]")?.textContent.trim();
    if (!label || !button.querySelector("img")) continue;
    button.setAttribute("aria-label", label);
    button.querySelector("img").alt = label;
  }
}

const arrivals = new MutationObserver(() => {
  if (!asked) requestAnimationFrame(giveNames);
  asked = true;
});
arrivals.observe(document.body, { childList: true, subtree: true });
giveNames();
