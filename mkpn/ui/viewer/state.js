// The state of one viewer, what Python may put into it, and what goes back to Python.

function initialState() {
  return {
    panes: [],
    datasetId: null,
    active: null,
    second: null,
    reference: null,
    hidden: new Set(),
    mode: "grid",
    tool: "pan",
    errorOn: false,
    errorKind: "absolute",
    tops: {},
    ...PLAIN_TONE,
    colors: { magnitude: MAGNITUDE_MAPS[0], signed: SIGNED_MAPS[0] },
    split: 0.5,
    blink: { playing: false, rate: 1, partner: "reference" },
    holding: false,
    cursor: null,
    hovered: null,
    pick: null,
    region: null,
    sort: { key: null, descending: true },
    baseline: null,
    histogram: { channel: "rgb", log: true },
    insets: [],
    note: "",
    token: null,
    side: true,
    table: "pixel",
    keys: recall("mkpn-viewer-keys") !== "off",
  };
}

function numberOrNull(value) {
  if (value === "inf") return Infinity;
  return typeof value === "number" && !Number.isNaN(value) ? value : null;
}

function paneFrom(entry) {
  const url = entry.url || null;
  return {
    id: String(entry.id),
    label: String(entry.label ?? entry.id),
    group: String(entry.group ?? ""),
    url,
    width: entry.width || 0,
    height: entry.height || 0,
    psnr: numberOrNull(entry.psnr),
    ssim: numberOrNull(entry.ssim),
    seconds: numberOrNull(entry.seconds),
    status: entry.status || (url ? "done" : "waiting"),
  };
}

/** Gives the digits 1..9, 0 to the ten models; other panes are reached by stepping. */
function assignKeys(panes) {
  const models = panes.filter((pane) => pane.group === "baseline" || pane.group === "mkpn");
  const keyed = (models.length ? models : panes).slice(0, 10);
  return new Map(keyed.map((pane, i) => ["1234567890"[i], pane.id]));
}

/** The panes with the highest figure as captions show it, among those that were denoised: the truth is no competitor. */
function bestPanes(panes, key, digits) {
  const rivals = panes.filter((pane) => pane.group !== "truth" && pane[key] !== null && pane.url);
  const highest = Math.max(...rivals.map((pane) => asShown(pane[key], digits)));
  return new Set(rivals.length > 1 ? rivals.filter((pane) => asShown(pane[key], digits) === highest).map((pane) => pane.id) : []);
}

function rectFrom(value, width, height) {
  if (!value) return null;
  const { x, y, w, h } = value;
  const fits = [x, y, w, h].every(Number.isInteger) && x >= 0 && y >= 0 && w > 0 && h > 0;
  return fits && (!width || (x + w <= width && y + h <= height)) ? { x, y, w, h } : null;
}

/** Reads x, y, width and height of one rectangle after the other; those outside of the picture are left out. */
function rectsFrom(numbers, width, height) {
  const rects = [];
  for (let i = 0; i + 3 < numbers.length; i += 4) {
    const [x, y, w, h] = numbers.slice(i, i + 4);
    rects.push(rectFrom({ x, y, w, h }, width, height));
  }
  return rects.filter(Boolean).slice(0, MOST_INSETS);
}

/** Everything that a permalink needs, as plain JSON; pictures of the user's own are not for others. */
function viewRecord(state, view, zoom) {
  const own = new Set(state.panes.filter((pane) => pane.external).map((pane) => pane.id));
  const shared = (id) => (own.has(id) ? null : id);
  return {
    mode: state.mode,
    zoom,
    fit: view.fit,
    center: [view.cx, view.cy],
    active: shared(state.active),
    second: shared(state.second),
    hidden: [...state.hidden].filter(shared),
    error: state.errorOn ? state.errorKind : null,
    top: state.tops[state.errorKind] ?? ERROR_KINDS[state.errorKind].top,
    ev: state.ev,
    contrast: state.contrast,
    gamma: state.gamma,
    channel: state.channel,
    palette: state.falseColor ? "false" : "stored",
    insets: state.insets.flatMap(({ x, y, w, h }) => [x, y, w, h]),
    split: state.split,
    blink: { ...state.blink },
    reference: shared(state.reference) ?? state.panes.find((pane) => pane.group === "truth")?.id ?? null,
    // Which restored view this looks like, or comes from.
    token: state.token,
  };
}
