// Copies a text and says beside the button whether it was possible; `copyText` is of the viewer.
async function copyAndSay(text, button, said) {
  const done = await copyText(text);
  said.textContent = done ? "Copied" : "Not copied: the browser refuses";
  button.focus({ preventScroll: true });
  setTimeout(() => (said.textContent = ""), 3000);
}
