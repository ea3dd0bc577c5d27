// The permalink: the address bar always names what is shown, the button copies it, and an address that names a view is handed to Python (event
// "open"); any other page asks for the first results (event "arrive"). Python's answer carries a new number, which this page answers with the event "go": the run then waits in the models' queue.
const button = element.querySelector("button");
const said = element.querySelector(".said");
let ran = null;
let arrived = null;
let due = 0; // when Python is told of what the viewer shows now
let answered = 0;
const LONGEST_MS = 4000; // after which an address that does not change is as it should be
const POLL_MS = 50;

/** The parameters that are Gradio's own, e.g. __theme. */
function foreign() {
  return [...new URLSearchParams(location.search)]
    .filter(([key]) => key.startsWith("__"))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
}

function follow() {
  const { query, go, arrive } = props.value ?? {};
  answered = performance.now();
  if (query) {
    button.disabled = false;
    button.dataset.query = query;
    history.replaceState(history.state, "", `${location.pathname}?${[query, ...foreign()].join("&")}${location.hash}`);
  }
  if (go && go !== ran) {
    ran = go;
    trigger("go", {});
  }
  if (arrive && arrive !== arrived) {
    arrived = arrive;
    trigger("arrive", {});
  }
}

for (const name of ["changing", "region", "pick", "reference"]) {
  document.addEventListener(`mkpn-${name}`, ({ target, detail }) => {
    if (target.closest("#viewer")) due = Math.max(due, performance.now() + (name === "changing" ? detail : 0));
  });
}

/** Waits for Python's answer to what was changed a moment ago. */
async function current() {
  while (answered < due && performance.now() < due + LONGEST_MS) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

button.addEventListener("click", async () => {
  await current();
  copyAndSay(`${location.origin}${location.pathname}?${button.dataset.query}${location.hash}`, button, said);
});
watch("value", follow);
if (/[?&](image|file)=/.test(location.search)) trigger("open", { query: location.search });
else trigger("arrive", {});
