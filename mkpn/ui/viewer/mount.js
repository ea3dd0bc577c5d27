// The body that gr.HTML runs once: the template holds no value, so Gradio never rewrites what is filled in here.

const root = element.querySelector(".mkpn-viewer");
const viewer = createViewer(root);
viewer.app.send = (name, data) => trigger(name, data);
root.mkpnViewer = viewer.app.handle;
// The names under which Python listens: "pick", "region", "reference", "view".
viewer.ingest(props.value);
watch("value", () => viewer.ingest(props.value));
const ended = new MutationObserver(() => {
  if (root.isConnected) return;
  viewer.close();
  ended.disconnect();
});
ended.observe(document.body, { childList: true, subtree: true });
