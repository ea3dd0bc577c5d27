// The modes that show one place: single pane, blink, and split with its divider.

const SPLIT_STEP = 0.02;

function createSolo(app, signal) {
  const { state, panes } = app;
  const { solo } = panes;
  const divider = make("div", {
    class: "divider",
    role: "slider",
    tabindex: "0",
    "aria-orientation": "horizontal",
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    hidden: true,
  });
  const second = make("span", { class: "pane-second" });
  solo.view.append(divider);
  solo.element.querySelector("figcaption").append(second);
  let timer = 0;
  let phase = 0;

  function partner() {
    const chosen = app.pane(state.second);
    if (chosen && chosen.id !== state.active) return chosen.id;
    if (state.reference !== state.active && app.pane(state.reference)) return state.reference;
    return app.shownPanes().find((pane) => pane.id !== state.active)?.id;
  }

  /** The pane that alternates with the selected one in blink mode. */
  function blinkId() {
    if (phase === 0 || state.blink.partner === "all") return state.active;
    if (state.reference !== state.active) return state.reference;
    return partner() ?? state.active;
  }

  function ids() {
    if (state.mode === "split") return [state.active, partner()];
    return [state.mode === "blink" ? blinkId() : state.active];
  }

  function tick() {
    if (!app.root.isConnected) return stop();
    if (state.blink.partner === "all") {
      app.stepPane(1, true);
    } else {
      phase = 1 - phase;
      app.refresh();
    }
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
  }

  /** Starts or stops the alternation after a change of mode, rate or play state. */
  function blink() {
    stop();
    phase = 0;
    if (state.mode === "blink" && state.blink.playing) timer = setInterval(tick, 1000 / state.blink.rate);
  }

  function moveTo(share) {
    state.split = Math.min(1, Math.max(0, share));
    app.refresh();
    app.emitView();
  }

  function sync() {
    const [first, other] = ids();
    solo.paneId = first;
    const splitting = state.mode === "split" && other !== undefined;
    divider.hidden = !splitting;
    // While the reference is held there is one picture, and one caption.
    second.hidden = !splitting || state.holding;
    solo.element.classList.toggle("splitting", splitting);
    if (!splitting) return;
    const [left, right] = [app.pane(first), app.pane(other)];
    const percent = Math.round(state.split * 100);
    divider.style.left = `${state.split * 100}%`;
    setAttribute(divider, "aria-label", `Divider between ${left?.label} and ${right.label}`);
    setAttribute(divider, "aria-valuenow", percent);
    setAttribute(divider, "aria-valuetext", `${percent} % ${left?.label}`);
    const { psnr, ssim } = paneFigures(right);
    setText(second, [right.label, psnr, ssim].filter(Boolean).join("  "));
    setAttribute(second, "data-pane", right.id);
  }

  divider.addEventListener(
    "pointerdown",
    (event) => {
      divider.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true });
      event.preventDefault();
      event.stopPropagation();
    },
    { signal },
  );
  divider.addEventListener(
    "pointermove",
    (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const box = solo.view.getBoundingClientRect();
      moveTo((event.clientX - box.left) / box.width);
    },
    { signal },
  );
  divider.addEventListener(
    "keydown",
    (event) => {
      const step = event.shiftKey ? 5 * SPLIT_STEP : SPLIT_STEP;
      const moves = {
        ArrowLeft: state.split - step,
        ArrowDown: state.split - step,
        ArrowRight: state.split + step,
        ArrowUp: state.split + step,
        PageDown: state.split - 0.1,
        PageUp: state.split + 0.1,
        Home: 0,
        End: 1,
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      moveTo(moves[event.key]);
    },
    { signal },
  );
  solo.name.addEventListener("click", () => app.setMode("grid"), { signal });
  signal.addEventListener("abort", stop);

  return { ids, sync, blink, partner };
}
