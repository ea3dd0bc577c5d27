// A figure's JSON file, chosen or dropped: its text goes to Python (event "rebuild"), or why it does not (event "refused").
const LIMIT = 1_000_000;

async function send(file) {
  if (!file) return;
  if (file.size > LIMIT) trigger("refused", { reason: `${file.name} is too large for the JSON file of a figure.` });
  else trigger("rebuild", { name: file.name, text: await file.text() });
}

element.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  send(event.target.files[0]);
  // So that the same file may be chosen again.
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) element.addEventListener(name, (event) => event.preventDefault());
element.addEventListener("drop", (event) => {
  event.preventDefault();
  send(event.dataTransfer.files[0]);
});
