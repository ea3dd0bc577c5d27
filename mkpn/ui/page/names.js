// Names for controls that gradio leaves without one: a screen reader would say no more than "button".
// Gradio draws parts of the page later (a tab when it is opened first, a figure when it arrives), hence the observer.
// Not every box with a title: those of the choices have a label, and their title is the bare value.
const TOOLTIP_ONLY = "input.select-all-checkbox[title]:not([aria-label])";
const PICTURES = ".figure .image-container button:not([aria-label])";
let asked = false;

function giveNames() {
  asked = false;
  for (const box of document.querySelectorAll(TOOLTIP_ONLY)) box.setAttribute("aria-label", box.title);
  for (const group of document.querySelectorAll("fieldset")) nameGroup(group);
  for (const button of document.querySelectorAll(PICTURES)) {
    const label = button.closest(".figure").querySelector("[data-testid=block-label]")?.textContent.trim();
    if (!label || !button.querySelector("img")) continue;
    button.setAttribute("aria-label", label);
    button.querySelector("img").alt = label;
  }
}

/** Gradio makes a group of its own of every radio button, anew at each change: Tab would stop at each, and arrow keys move nothing. */
function nameGroup(group) {
  const label = group.querySelector("[data-testid=block-info]")?.textContent.trim();
  if (label) group.setAttribute("aria-label", label);
  const [first, ...others] = group.querySelectorAll("input[type=radio]");
  for (const radio of others) if (radio.name !== first.name) radio.name = first.name;
}

const arrivals = new MutationObserver(() => {
  if (!asked) requestAnimationFrame(giveNames);
  asked = true;
});
arrivals.observe(document.body, { childList: true, subtree: true, attributeFilter: ["name"] });
giveNames();
