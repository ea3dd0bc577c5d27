// Mouse, pen and touch on the panes: wheel zooms at the cursor, drag pans, two fingers pinch, a drag selects a region.

const CLICK_SLACK = 4;
const WHEEL_NOTCH = 50;
const HOLD_MS = 400;
const FLICK = { ms: 350, distance: 50 };

function createGestures(app, signal) {
  const { state, stage, view } = app;
  const pointers = new Map();
  let slot = null;
  let start = null;
  let pinch = null;
  let wheelSum = 0;

  function local(event, target) {
    const box = target.canvas.getBoundingClientRect();
    const ratio = target.width / box.width;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  function pixelAt(point, target) {
    const { scale, originX, originY } = view.place(target);
    return { x: Math.floor((point.x - originX) / scale), y: Math.floor((point.y - originY) / scale) };
  }

  function inside(pixel) {
    return pixel.x >= 0 && pixel.y >= 0 && pixel.x < view.state.width && pixel.y < view.state.height;
  }

  function regionBetween(a, b) {
    const clip = (value, size) => Math.min(size - 1, Math.max(0, value));
    const { width, height } = view.state;
    const [x0, x1] = [clip(a.x, width), clip(b.x, width)].sort((p, q) => p - q);
    const [y0, y1] = [clip(a.y, height), clip(b.y, height)].sort((p, q) => p - q);
    return { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 };
  }

  function spread() {
    const [a, b] = [...pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  let hintTimer = 0;
  function hintWheel() {
    const hint = app.ui("wheel-hint");
    hint.hidden = false;
    clearTimeout(hintTimer);
    hintTimer = setTimeout(() => (hint.hidden = true), 1500);
  }

  stage.addEventListener(
    "wheel",
    (event) => {
      const target = app.panes.slotAt(event.target);
      if (!target) return;
      // A page that is scrolled past must not stop at the pictures: the wheel is theirs after a press, or with Ctrl.
      if (!event.ctrlKey && !app.root.contains(document.activeElement)) return hintWheel();
      event.preventDefault();
      const { x, y } = local(event, target);
      // Browsers report a pinch on a touchpad as a wheel with Ctrl: it is continuous, a wheel has notches.
      if (event.ctrlKey) {
        view.zoomTo(view.zoomOf(target) * Math.exp(-event.deltaY * 0.01), target, x, y);
        app.viewChanged();
        return;
      }
      const lines = event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 100 : 1;
      if (Math.sign(event.deltaY) !== Math.sign(wheelSum)) wheelSum = 0;
      wheelSum += event.deltaY * lines;
      if (Math.abs(wheelSum) < WHEEL_NOTCH) return;
      view.step(wheelSum < 0 ? 1 : -1, target, x, y);
      wheelSum = 0;
      app.viewChanged();
    },
    { passive: false, signal },
  );

  stage.addEventListener(
    "pointerdown",
    (event) => {
      const target = app.panes.slotAt(event.target);
      if (!target || (event.pointerType === "mouse" && event.button > 1) || event.target.closest("[role=slider]")) return;
      if (pointers.size >= 2) return;
      const touch = event.pointerType === "touch";
      // A finger that scrolls the page past the pictures must not take the focus; one that taps does (`release`).
      if (!touch) stage.focus({ preventScroll: true });
      pointers.delete(event.pointerId);
      if (!pointers.size) slot = target; // both fingers of a pinch are measured in the first one's pane
      try {
        target.view.setPointerCapture(event.pointerId);
      } catch {
        // A synthetic pointer cannot be captured; the gesture still works while it stays on the pane.
      }
      pointers.set(event.pointerId, local(event, slot));
      if (pointers.size === 2) {
        pinch = spread();
        if (start?.selecting) app.setRegion(start.before, false);
        endHold(start);
        start = null;
        return;
      }
      const point = local(event, target);
      const selecting = state.tool === "region" || event.shiftKey;
      start = { point, last: point, selecting, moved: false, pixel: pixelAt(point, target), before: state.region, time: event.timeStamp, touch };
      start.center = [view.state.cx, view.state.cy];
      if (touch && !selecting) start.hold = setTimeout(() => rest(), HOLD_MS);
      if (event.button === 1) event.preventDefault();
    },
    { signal },
  );

  stage.addEventListener(
    "pointermove",
    (event) => {
      if (!pointers.has(event.pointerId)) return hover(event);
      const point = local(event, slot);
      pointers.set(event.pointerId, point);
      if (pointers.size === 2 && pinch) {
        const now = spread();
        view.pan(now.x - pinch.x, now.y - pinch.y, slot);
        if (pinch.distance > 8) view.zoomTo((view.zoomOf(slot) * now.distance) / pinch.distance, slot, now.x, now.y);
        pinch = now;
        app.viewChanged();
        return;
      }
      if (!start) return;
      const slack = CLICK_SLACK * pixelUnit();
      if (!start.moved && Math.hypot(point.x - start.point.x, point.y - start.point.y) < slack) return;
      // On a busy page the timer may go off before a move that was made in time.
      if (start.held && event.timeStamp - start.time < HOLD_MS) endHold(start);
      if (start.held) return;
      clearTimeout(start.hold);
      start.moved = true;
      if (start.selecting) {
        app.setRegion(regionBetween(start.pixel, pixelAt(point, slot)), false);
      } else {
        view.pan(point.x - start.last.x, point.y - start.last.y, slot);
        stage.classList.add("dragging");
        app.viewChanged();
      }
      start.last = point;
    },
    { signal },
  );

  /** A finger that rests shows the reference until it leaves. */
  function rest() {
    if (!start || start.moved) return;
    start.held = true;
    app.hold(true);
  }

  function endHold(gesture) {
    clearTimeout(gesture?.hold);
    if (!gesture?.held) return;
    gesture.held = false;
    app.hold(false);
  }

  /** Tells which way a finger flicked in a single pane: -1, 1, or 0 for any slower or other move. */
  function flickOf(gesture, event, point) {
    const unit = FLICK.distance * pixelUnit();
    const [dx, dy] = [point.x - gesture.point.x, point.y - gesture.point.y];
    const quick = event.timeStamp - gesture.time < FLICK.ms && Math.abs(dx) > unit && Math.abs(dx) > 2 * Math.abs(dy);
    return gesture.touch && quick && !gesture.selecting && state.mode !== "grid" ? -Math.sign(dx) : 0;
  }

  function release(event) {
    if (!pointers.delete(event.pointerId)) return;
    stage.classList.remove("dragging");
    if (pinch && pointers.size < 2) pinch = null;
    const ended = start;
    start = null;
    const held = ended?.held;
    endHold(ended);
    if (!ended || !slot || held) return;
    const flick = ended.moved && event.type === "pointerup" ? flickOf(ended, event, local(event, slot)) : 0;
    if (flick) {
      view.centerOn(...ended.center);
      app.stepPane(flick);
    } else if (event.type === "pointercancel") {
      if (ended.selecting) app.setRegion(ended.before, false);
    } else if (ended.moved) {
      if (ended.selecting) app.setRegion(state.region, true);
    } else {
      stage.focus({ preventScroll: true });
      if (state.mode === "grid") app.setActive(slot.paneId);
      if (ended.selecting) app.setRegion(null, true);
      else if (inside(ended.pixel)) app.setPick(ended.pixel, true);
    }
  }
  stage.addEventListener("pointerup", release, { signal });
  stage.addEventListener("pointercancel", release, { signal });

  function hover(event) {
    if (event.pointerType === "touch") return;
    const target = app.panes.slotAt(event.target);
    const pixel = target && pixelAt(local(event, target), target);
    app.setCursor(pixel && inside(pixel) ? pixel : null, target?.paneId ?? null);
  }
  stage.addEventListener("pointerleave", () => app.setCursor(null, null), { signal });

  stage.addEventListener(
    "dblclick",
    (event) => {
      const target = app.panes.slotAt(event.target);
      if (!target) return;
      if (state.mode === "grid") app.show(target.paneId);
      else app.setMode("grid");
    },
    { signal },
  );

  // A long press is ours; the browser's menu would cover the picture.
  stage.addEventListener("contextmenu", (event) => start?.held && event.preventDefault(), { signal });

  return { busy: () => pointers.size > 0 };
}
