// The body that gr.HTML runs once: the template holds no value, so Gradio never rewrites what is filled in here.

const root = element.querySelector(".mkpn-explorer");
const explorer = createExplorer(root, (question) => server.explore(question));
// The event under whose name Python listens: "pick".
explorer.emit = (data) => trigger("pick", data);
root.mkpnExplorer = explorer;
explorer.ingest(props.value);
watch("value", () => explorer.ingest(props.value));
const ended = new MutationObserver(() => {
  if (root.isConnected) return;
  explorer.close();
  ended.disconnect();
});
ended.observe(document.body, { childList: true, subtree: true });
