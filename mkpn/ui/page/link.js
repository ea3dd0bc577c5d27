// The permalink: the address bar always names what is shown, the button copies it, and an address that names a view is handed to Python (event
// "open"); any other page asks for the first results (event "arrive"). Python's answer carries a new number, which this page answers with the event "go": the run then waits in the models' queue.
const button = element.querySelector("button");
const said = element.querySelector(".said");
let ran = null;

/** The parameters that are Gradio's own, e.g. __theme. */
function foreign() {
  return [...new URLSearchParams(location.search)]
    .filter(([key]) => key.startsWith("__"))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
}

function follow() {
  const { query, go } = props.value ?? {};
  if (query) {
    button.disabled = false;
    button.dataset.query = query;
    history.replaceState(history.state, "", `${location.pathname}?${[query, ...foreign()].join("&")}${location.hash}`);
  }
  if (go && go !== ran) {
    ran = go;
    trigger("go", {});
  }
}

button.addEventListener("click", () => {
  copyAndSay(`${location.origin}${location.pathname}?${button.dataset.query}${location.hash}`, button, said);
});
watch("value", follow);
if (/[?&](image|file)=/.test(location.search)) trigger("open", { query: location.search });
else trigger("arrive", {});
