// The image: a bundled example (event "example"), or a file: browse, drop or paste anywhere on the page. The file is sent as it is, byte for byte;
// Python hears its address on the server (event "picked") or why it was not sent (event "refused").
const LIMIT = window.gradio_config?.max_file_size ?? Infinity;

let newest = 0; // of several choices the last one counts, however long an upload takes

/** Begins a choice; what an earlier one still uploads is no longer wanted. */
function begin() {
  element.classList.remove("busy");
  return (newest += 1);
}

async function send(file) {
  if (!file) return;
  if (file.size > LIMIT) {
    trigger("refused", { reason: `${file.name} is larger than ${Math.floor(LIMIT / 2 ** 20)} MB.` });
    return;
  }
  const mine = begin();
  element.classList.add("busy");
  try {
    const { path } = await upload(file);
    if (mine === newest) trigger("picked", { path, name: file.name });
  } catch (error) {
    if (mine === newest) trigger("refused", { reason: `The upload of ${file.name} failed: ${error.message || error}` });
  } finally {
    if (mine === newest) element.classList.remove("busy");
  }
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (!button) return;
  begin();
  trigger("example", { name: button.dataset.example });
});

element.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  send(event.target.files[0]);
  event.target.value = "";
});

for (const name of ["dragenter", "dragover"]) {
  element.addEventListener(name, (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  element.addEventListener(name, (event) => {
    event.preventDefault();
    element.classList.remove("over");
  });
}
element.addEventListener("drop", (event) => send(event.dataTransfer.files[0]));

// Beside every place that takes files the browser would open one instead of the page, and the results would be lost.
const PICTURE = /\.(png|jpe?g|webp|gif|bmp|tiff?|ppm|pgm|avif|heic|heif|jxl)$/i; // a browser does not know the type of each

function strays(event) {
  const taken = event.defaultPrevented || event.target.closest?.("input, textarea, [contenteditable]");
  return !taken && [...event.dataTransfer.types].includes("Files");
}

document.addEventListener("dragover", (event) => {
  if (strays(event)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!strays(event)) return;
  event.preventDefault();
  // Photographs that miss the field of their own burst are no picture for the other tabs.
  if (event.target.closest?.("#captured-tab")) return;
  const files = [...event.dataTransfer.files];
  const picture = files.find((file) => file.type.startsWith("image/") || PICTURE.test(file.name));
  if (picture) send(picture);
  else if (files.length) trigger("refused", { reason: `${files[0].name} is no picture, and was not dropped on a field for files.` });
});

document.addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea, [contenteditable]")) return;
  const file = [...(event.clipboardData?.files || [])].find((item) => item.type.startsWith("image/"));
  if (file) {
    event.preventDefault();
    send(file);
  }
});
