// The figure's alt text is copied by its button; the listener sits on the component's root, which survives every new figure.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = element.querySelector(`#${button.dataset.copy}`).value;
  copyAndSay(text, button, element.querySelector(".said"));
});
