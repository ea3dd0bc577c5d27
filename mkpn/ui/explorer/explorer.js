// Puts the parts together: the state, what is asked of Python, and who draws when. `ask` sends one question and promises the answer.

const VIEWS = ["kernels", "rebuild", "ablation", "winners", "maps", "places", "sizes", "blind"];
const SETTLE_MS = 400;
const AGAIN_MS = 1000; // after which an address that the browser refused is written again
const LINK = /[#&]explore=/;

/** Replaces what is in a container; the focus goes to the new element with the same attribute as the one that had it. */
function replaceKept(container, attribute, nodes) {
  const kept = container.contains(document.activeElement) ? document.activeElement.getAttribute(attribute) : null;
  container.replaceChildren(...nodes);
  if (kept !== null) nodes.find((node) => node.getAttribute(attribute) === kept)?.focus({ preventScroll: true });
}

/** Puts one button in another's place; the focus goes along, which a button that is disabled or hidden would lose. */
function swapButtons(from, to, change) {
  const focused = document.activeElement === from;
  change();
  if (focused) to.focus({ preventScroll: true });
}

function createExplorer(root, ask) {
  const controller = new AbortController();
  const { signal } = controller;
  const ui = (name) => root.querySelector(`[data-ui="${name}"]`);
  const state = {
    value: null, view: "kernels", model: null, beside: "", x: 0, y: 0, second: null, frame: 0, size: "fused", scale: "row",
    extent: false, opacity: 0.5, channel: 0, step: 0, layer: "frame-0", present: false, lesson: null, numbers: false,
  };
  const app = { root, ui, state, signal, view: createView({ fill: true }), answer: null, other: null, emit: () => {} };
  let frameAsked = false;
  let asking = false;
  let askAgain = false;
  let settle = 0;
  let started = 0;
  let chosen = null; // the model that somebody chose
  let refused = null; // the kind of question whose refusal is said
  let sweeps = 0;
  let link = LINK.test(location.hash) ? location.hash.slice(1) : ""; // what a link asks for; nothing once it is shown, or once the user has gone elsewhere
  let visible = false;
  let again = 0; // a second try to write the address
  const picked = []; // pixels that Python was told of, and has not yet given back

  app.redraw = () => {
    if (frameAsked) return;
    frameAsked = true;
    requestAnimationFrame(() => {
      frameAsked = false;
      if (!state.value || !root.clientWidth) return;
      app.picture.draw();
      app.parts[state.view].draw?.();
      app.readout();
    });
  };

  /** Asks Python; an answer for a run that is no longer shown is dropped, a refusal is said until one of its kind succeeds. */
  app.ask = async (question, kind = question.what) => {
    const { token } = state.value;
    let answer;
    try {
      answer = await ask({ ...question, token });
    } catch (error) {
      answer = { error: `The server did not answer (${error?.message ?? error}).` };
    }
    if (state.value?.token !== token) return null;
    if (answer.error) {
      app.say(answer.error);
      refused = kind;
    } else answered(kind);
    return answer.error || answer.stopped ? null : answer;
  };
  function answered(kind) {
    if (refused !== kind) return;
    refused = null;
    app.say("");
  }
  /** Measurements that are stopped together, in the middle of a network, too. */
  app.sweep = () => {
    const job = (sweeps += 1);
    const { token } = state.value;
    let givenUp = () => {};
    const stopped = new Promise((resolve) => (givenUp = () => resolve(null)));
    const sweep = {
      running: true,
      // The page does not wait until Python has come to the next layer.
      ask: (question) => (sweep.running ? Promise.race([app.ask({ ...question, what: "measure", job }), stopped]) : null),
      stop() {
        if (!sweep.running) return;
        sweep.running = false;
        givenUp();
        ask({ what: "stop", job, token }); // of the run that it was begun on, though another may be shown by now
      },
    };
    return sweep;
  };
  app.say = (text) => setText(ui("live"), text);

  app.pane = (id) => state.value?.panes.find((pane) => pane.id === id);
  app.models = () => (state.value?.panes ?? []).filter((pane) => pane.sizes && pane.url);
  app.label = (id) => app.pane(id)?.label ?? id;

  /** Moves the pixel; the kernels follow, the latest place wins. */
  app.setPixel = (x, y) => {
    const [width, height] = state.value.size;
    const [column, row] = [Math.min(width - 1, Math.max(0, Math.round(x))), Math.min(height - 1, Math.max(0, Math.round(y)))];
    if (column === state.x && row === state.y && app.answer) return;
    state.x = column;
    state.y = row;
    app.redraw();
    app.probe();
    clearTimeout(settle);
    settle = setTimeout(() => {
      picked.push(`${state.x} ${state.y}`);
      app.emit({ x: state.x, y: state.y });
      app.remember();
    }, SETTLE_MS);
  };

  app.probe = async () => {
    if (!state.model) return;
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    started = performance.now();
    const { x, y, model, beside, second } = state;
    const has = (name) => app.models().some((pane) => pane.id === name);
    const besides = beside === "pixel" ? { model, ...(second ?? { x, y }) } : has(beside) ? { model: beside, x, y } : null;
    const [answer, other] = await Promise.all([
      app.ask({ what: "probe", model, x, y }),
      besides ? app.ask({ what: "probe", ...besides }, "beside") : answered("beside"),
    ]);
    asking = false;
    if (answer) {
      app.answer = unpackProbe(answer);
      app.other = other && unpackProbe(other);
      state.frame = Math.min(state.frame, answer.kernels.fused.sum.length - 1);
      delete root.dataset.waiting;
      root.dataset.probed = `${answer.model} ${answer.x} ${answer.y}`;
      root.dataset.took = (performance.now() - started).toFixed(1);
      app.lesson.follow();
      app.redraw();
    }
    if (askAgain) {
      askAgain = false;
      app.probe();
    }
  };

  app.setModel = (model) => {
    if (!app.models().some((pane) => pane.id === model)) return;
    chosen = state.model = model;
    ui("model").value = model;
    app.probe();
    app.parts[state.view].show?.();
    app.remember();
    app.redraw();
  };

  app.setView = (name) => {
    if (!VIEWS.includes(name)) return;
    app.parts[state.view].leave?.();
    app.say(""); // what was said was about the view that is left
    state.view = name;
    root.dataset.view = name;
    for (const button of root.querySelectorAll("[data-view-to]")) button.setAttribute("aria-pressed", button.dataset.viewTo === name);
    for (const panel of root.querySelectorAll("[data-panel]")) panel.hidden = panel.dataset.panel !== name;
    for (const field of root.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== name;
    ui("head").hidden = ["winners", "places", "sizes", "blind"].includes(name);
    app.picture.layers(true);
    if (state.value) app.parts[name].show?.();
    app.remember();
    app.redraw();
  };

  app.readout = () => {
    const text = app.picture.describe();
    setText(ui("readout"), text);
    ui("stage").setAttribute("aria-description", text);
  };

  /** Writes what is shown into the address, behind the run's own part of it; on another tab that part stands alone. */
  app.remember = () => {
    if (!state.value) return;
    const write = (hash) => {
      clearTimeout(again);
      try {
        history.replaceState(history.state, "", `${location.pathname}${location.search}${hash}`);
      } catch {
        // Browsers refuse more than some hundred addresses in a few seconds, e.g. while a slider is dragged.
        again = setTimeout(app.remember, AGAIN_MS);
      }
    };
    if (!root.clientWidth) {
      if (!link && LINK.test(location.hash)) write("");
      return;
    }
    link = "";
    const fields = { explore: state.view, model: state.model, x: state.x, y: state.y, frame: state.frame, size: state.size, step: state.step };
    if (state.lesson !== null) fields.lesson = state.lesson + 1;
    if (state.beside) fields.beside = state.beside;
    if (state.second) Object.assign(fields, { x2: state.second.x, y2: state.second.y });
    if (state.scale !== "row") fields.scale = state.scale;
    if (state.numbers) fields.numbers = 1;
    if (state.present) fields.mode = "present";
    for (const [name, text] of Object.entries(app.parts[state.view].link?.() ?? {})) if (text !== null) fields[name] = text;
    write(`#${new URLSearchParams(fields)}`);
  };

  /** Shows what a link asks for; returns whether it asks for anything. */
  function fromLink() {
    const fields = new URLSearchParams(link);
    const view = fields.get("explore");
    link = "";
    if (!VIEWS.includes(view)) return false;
    const count = (name) => (/^\d+$/.test(fields.get(name) ?? "") ? Number(fields.get(name)) : null);
    const [width, height] = state.value.size;
    state.x = Math.min(width - 1, count("x") ?? state.x);
    state.y = Math.min(height - 1, count("y") ?? state.y);
    state.frame = Math.min(7, count("frame") ?? 0);
    state.size = fields.get("size") ?? "fused";
    state.step = count("step") ?? 0;
    if (app.models().some((pane) => pane.id === fields.get("model"))) state.model = chosen = fields.get("model");
    if (["shared", "frame", "log"].includes(fields.get("scale"))) state.scale = fields.get("scale");
    state.numbers = fields.get("numbers") === "1";
    app.controls();
    app.setView(view);
    app.parts[view].open?.(fields);
    const beside = fields.get("beside");
    if (beside === "pixel" || app.models().some((pane) => pane.id === beside)) {
      state.beside = beside;
      state.second = beside === "pixel" ? { x: Math.min(width - 1, count("x2") ?? state.x), y: Math.min(height - 1, count("y2") ?? state.y) } : null;
      ui("beside").value = beside;
    }
    if (count("lesson")) app.lesson.open(count("lesson") - 1);
    // On another tab by now, it would cover what cannot be seen and leave nothing to click.
    if (fields.get("mode") === "present" && root.clientWidth) app.present(true);
    app.remember();
    return true;
  }

  /** Shows what a link asks for, once all networks of the run are there. */
  const openLink = () => link && state.value && state.model && app.models().length === state.value.panes.filter((pane) => pane.sizes).length && fromLink();

  /** A link to another view of the run that is shown: for what differs only behind "#" a browser loads no page. */
  function followHash() {
    if (!state.value || !LINK.test(location.hash)) return;
    const asked = location.hash.slice(1);
    if (state.present) app.present(false);
    if (state.lesson !== null) app.lesson.close();
    Object.assign(state, { beside: "", second: null, scale: "row" });
    link = asked;
    if (!root.clientWidth) document.querySelector(`[role="tab"][aria-controls="${root.closest('[role="tabpanel"]')?.id}"]`)?.click();
    else if (openLink()) app.probe();
  }
  window.addEventListener("hashchange", followHash, { signal });

  app.controls = () => {
    const options = (panes) => panes.map((pane) => make("option", { value: pane.id }, app.label(pane.id)));
    ui("model").replaceChildren(...options(app.models()));
    ui("model").value = state.model ?? "";
    const beside = ui("beside");
    beside.replaceChildren(make("option", { value: "" }, "nothing"), make("option", { value: "pixel" }, "second pixel"), ...options(app.models()));
    beside.value = state.beside;
    if (beside.selectedIndex < 0) beside.value = ""; // it has not run, or not yet
    ui("scale").value = state.scale;
    app.picture.layers();
  };

  app.picture = createPicture(app);
  app.parts = {
    kernels: createKernels(app),
    rebuild: createRebuild(app),
    ablation: createAblation(app),
    winners: createWinners(app),
    maps: createMaps(app),
    places: createPlaces(app),
    sizes: createSizes(app),
    blind: createBlind(app),
  };
  app.lesson = createLesson(app);
  app.present = createPresenter(app);

  for (const button of root.querySelectorAll("[data-view-to]")) {
    button.addEventListener("click", () => app.setView(button.dataset.viewTo), { signal });
  }
  ui("model").addEventListener("change", () => app.setModel(ui("model").value), { signal });
  /** One screen: the body has the height that is left below what sticks to the window above it. */
  function measure() {
    const style = getComputedStyle(root);
    const above = root.querySelector(".top").offsetHeight + parseFloat(style.paddingTop) + parseFloat(style.paddingBottom) + parseFloat(style.rowGap) * 2;
    let stuck = 0;
    for (let node = root; node.parentElement && !state.present; node = node.parentElement) {
      for (let before = node.previousElementSibling; before; before = before.previousElementSibling) {
        const { position, top } = getComputedStyle(before);
        // Columns beside the explorer stick further down.
        if (position === "sticky" && top === "0px") stuck += before.offsetHeight;
      }
    }
    root.style.setProperty("--above", `${Math.ceil(above + stuck)}px`);
    for (const node of [root, ui("lesson")]) node.style.scrollMarginTop = `${stuck}px`;
    if (visible !== (root.clientWidth > 0)) {
      visible = !visible;
      if (!link) app.remember();
      else if (visible && openLink()) app.probe();
    }
    app.redraw();
  }
  app.measure = measure;
  new ResizeObserver(measure).observe(root);
  window.addEventListener("resize", measure, { signal });
  const theme = new MutationObserver(() => app.redraw());
  theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });

  let wasAt = "";
  /** Whether Python moved the pixel. One that was picked here comes back later: it must not undo where the user went since. */
  function movedTo(at, fresh) {
    if (fresh || at === wasAt) return fresh;
    const echo = picked.indexOf(at);
    picked.splice(0, echo < 0 ? picked.length : echo + 1);
    return echo < 0;
  }

  /** Takes a value from Python; the pixel moves only where Python moved it. */
  app.ingest = (value) => {
    const previous = state.value;
    state.value = value && typeof value === "object" ? value : null;
    ui("empty").hidden = Boolean(state.value);
    ui("body").hidden = !state.value;
    if (!state.value) return;
    const fresh = previous?.token !== value.token;
    if (fresh) {
      answered(refused);
      app.answer = app.other = null;
      app.view.resizeImage(...value.size);
      ui("stage").style.aspectRatio = value.size.join(" / ");
      if (previous?.size.join() !== value.size.join()) {
        state.second = null;
        if (state.beside === "pixel") state.beside = "";
      }
      picked.length = 0;
      for (const part of Object.values(app.parts)) part.reset?.();
      app.picture.reset();
      app.lesson.reset();
      delete root.dataset.probed;
      root.dataset.waiting = "";
    }
    const at = value.pixel.join(" ");
    const moved = movedTo(at, fresh);
    wasAt = at;
    if (moved && at !== `${state.x} ${state.y}`) [state.x, state.y] = value.pixel;
    const models = app.models();
    // Until somebody chooses, MKPN is shown, and before it has run the newest model.
    const pane = (name) => models.find(({ id }) => id === name);
    state.model = (pane(chosen) ?? pane("mkpn") ?? models[models.length - 1])?.id ?? null;
    app.controls();
    const opened = openLink();
    if (moved && !opened && !link) app.remember();
    const besideCame = !app.other && pane(state.beside);
    if (opened || moved || !app.answer || app.answer.model !== state.model || besideCame) app.probe();
    app.parts[state.view].show?.();
    app.lesson.follow();
    app.redraw();
  };
  app.close = () => (state.present && app.present(false), controller.abort(), theme.disconnect());
  app.setView("kernels");
  return app;
}
