// A picture from a file of one's own as a further pane; it never leaves the browser.

/** Reads a PNG's head; returns its size, or throws a sentence saying what was expected and what came. */
function pngSize(bytes) {
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (bytes.length < 26 || signature.some((byte, i) => bytes[i] !== byte)) throw new Error("expected a PNG file, got another format");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (bytes[24] !== 8) throw new Error(`expected 8 bits per channel, got ${bytes[24]}`);
  return [view.getUint32(16), view.getUint32(20)];
}

function createExternal(app, signal) {
  const { state, view } = app;
  const input = app.ui("external-file");
  let panes = [];
  let count = 0;

  async function add(file) {
    try {
      const [width, height] = pngSize(new Uint8Array(await file.slice(0, 64).arrayBuffer()));
      const wanted = view.state;
      if (width !== wanted.width || height !== wanted.height) {
        throw new Error(`expected ${wanted.width} \u00d7 ${wanted.height} pixels, got ${width} \u00d7 ${height}`);
      }
      count += 1;
      const id = `external-${count}`;
      const label = file.name.replace(/\.png$/i, "");
      panes.push({ ...paneFrom({ id, label, group: "external", url: URL.createObjectURL(file), width, height }), external: true });
      app.setPanes(state.panes.filter((pane) => !pane.external));
      say(`${label} added`);
    } catch (error) {
      say(`${file.name}: ${error.message}`);
      app.ui("panes-menu").open = true; // where it stands; the press on the button has closed it
    }
  }

  function say(text) {
    setText(app.ui("external-note"), text);
    app.announce(text);
  }

  function drop(gone) {
    for (const pane of gone) URL.revokeObjectURL(pane.url);
    panes = panes.filter((pane) => !gone.includes(pane));
  }

  app.ui("external-add").addEventListener("click", () => input.click(), { signal });
  input.addEventListener(
    "change",
    async () => {
      for (const file of input.files) await add(file);
      input.value = "";
    },
    { signal },
  );
  signal.addEventListener("abort", () => drop(panes));

  return {
    add,
    /** The added panes that still fit the pictures. */
    panes() {
      const { width, height } = view.state;
      drop(panes.filter((pane) => pane.width !== width || pane.height !== height));
      return panes;
    },
    remove() {
      drop(panes);
      app.setPanes(state.panes.filter((pane) => !pane.external));
      say("Added pictures removed");
    },
    open: () => input.click(),
  };
}
