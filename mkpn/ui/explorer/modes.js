// The presenter and the blind test.

/** Returns what switches the presenter on and off: nothing but the explorer, large type, a clicker's keys, a bright pointer. */
function createPresenter(app) {
  const { root, ui, state, signal } = app;

  function present(on) {
    state.present = on;
    root.classList.toggle("presenting", on);
    // The rest of the page is covered: neither Tab nor a scroll bar should reach it.
    document.documentElement.style.overflow = on ? "hidden" : "";
    for (let node = root; node.parentElement; node = node.parentElement) {
      for (const other of node.parentElement.children) if (other !== node) other.inert = on;
    }
    app.measure();
    ui("present").setAttribute("aria-pressed", on);
    app.remember();
    app.redraw();
  }

  /** A clicker sends Page Up and Page Down: they turn the lesson's steps, or the views where no lesson is open. */
  function turn(direction) {
    if (state.lesson !== null) return app.lesson.open(state.lesson + direction);
    const at = VIEWS.indexOf(state.view) + direction;
    app.setView(VIEWS[(at + VIEWS.length) % VIEWS.length]);
  }

  ui("present").addEventListener("click", () => present(!state.present), { signal });
  document.addEventListener("keydown", (event) => {
    if (!state.present || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Escape" && event.target.closest?.("input, select, textarea")) return;
    const keys = { PageDown: () => turn(1), PageUp: () => turn(-1), Escape: () => present(false) };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }, { signal });
  return present;
}

/** Two pictures without names: which one is better? */
function createBlind(app) {
  const { ui, state, signal } = app;
  let pair = null;
  let tally = { right: 0, all: 0 };

  function next() {
    const models = app.models().filter((pane) => typeof pane.psnr === "number");
    if (models.length < 2) {
      pair = null;
      setText(ui("blind-question"), "The blind test needs two models or more that have run.");
    } else {
      const first = models[Math.floor(Math.random() * models.length)];
      const others = models.filter((pane) => pane.id !== first.id);
      pair = { a: first, b: others[Math.floor(Math.random() * others.length)], guessed: null };
      setText(ui("blind-question"), "A or B: which has the higher PSNR?");
    }
    setText(ui("blind-result"), "");
    sync();
    app.picture.layers(true);
  }

  function sync() {
    for (const name of ["a", "b", "flip"]) ui(`blind-${name}`).disabled = !pair || (name !== "flip" && pair.guessed !== null);
    setText(ui("blind-tally"), tally.all ? `${tally.right} of ${tally.all} right (guessing blindly gives half).` : "The names are hidden until you have guessed. Zoom in: flip between A and B at an edge and in a flat area.");
  }

  function guess(name) {
    if (!pair || pair.guessed) return;
    pair.guessed = name;
    ui("blind-next").focus({ preventScroll: true }); // the answers are disabled now
    const ahead = shownDifference(pair.a.psnr, pair.b.psnr);
    const right = name === "a" ? ahead > 0 : ahead < 0;
    // Of two that are shown to be equal neither answer is wrong, nor is it right.
    if (ahead) tally = { right: tally.right + right, all: tally.all + 1 };
    const words = (pane) => `${pane.label} ${pane.psnr.toFixed(2)} dB`;
    setText(ui("blind-result"), `${ahead === 0 ? "Neither." : right ? "Right." : "No."} A is ${words(pair.a)}, B is ${words(pair.b)}: ${Math.abs(ahead).toFixed(2)} dB apart over the whole image.`);
    sync();
  }

  const flip = () => app.picture.choose(state.layer === "blind-a" ? "blind-b" : "blind-a");
  ui("blind-a").addEventListener("click", () => guess("a"), { signal });
  ui("blind-b").addEventListener("click", () => guess("b"), { signal });
  ui("blind-flip").addEventListener("click", flip, { signal });
  ui("blind-next").addEventListener("click", next, { signal });
  ui("stage").addEventListener("keydown", (event) => {
    if (state.view === "blind" && event.key.toLowerCase() === "x") flip();
  }, { signal });

  return {
    hidesNames: true,
    show: () => !pair && next(),
    layers: () => (pair ? [["blind-a", "A"], ["blind-b", "B"]] : []),
    madeFrom: (id) => (id.startsWith("blind-") ? pair?.[id.slice(-1)].id : null),
    layer: (id) => (pair && id.startsWith("blind-") ? app.picture.imageOf(pair[id.slice(-1)].id) : null),
    hover: () => (state.layer.startsWith("blind-") ? `picture ${state.layer.slice(-1).toUpperCase()}` : "noisy frame"),
    reset: () => ((pair = null), (tally = { right: 0, all: 0 })),
  };
}
