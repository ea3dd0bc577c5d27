// How the viewer opens: the panes that tell the story, and the square so large that noise can be told from detail.

const START_ZOOM = 2;
const MANY_PANES = 6;

function createStart(app) {
  const { state, view } = app;
  let square = null;
  let named = [];
  let pending = false;
  // What the viewer has hidden by itself; once somebody chooses other panes, the choice stays.
  let automatic = new Set();

  /** The panes of the short view: those that Python names, else the first, MKPN and the truth; always the user's own. */
  function story() {
    const chosen = state.panes.filter((pane) => named.includes(pane.id));
    const [first] = state.panes;
    const ends = state.panes.filter((pane) => pane === first || pane.group === "mkpn" || pane.id === state.reference);
    const told = chosen.length > 1 ? chosen : ends;
    return state.panes.filter((pane) => pane.external || told.includes(pane)).map((pane) => pane.id);
  }

  function showStory() {
    const keep = new Set(story());
    app.setHidden(state.panes.filter((pane) => !keep.has(pane.id)).map((pane) => pane.id));
  }

  return {
    story,
    showStory,
    take(value) {
      square = rectFrom(value.square, view.state.width, view.state.height);
      named = value.story ?? [];
      if (!state.panes.length || !sameIds(state.hidden, automatic)) return;
      if (named.length && state.panes.filter((pane) => !pane.external).length > MANY_PANES) showStory();
      else if (automatic.size) app.setHidden([]);
      automatic = state.hidden;
    },
    /** A picture of another size has come. */
    ask: () => (pending = true),
    /** A restored view has said where to look. */
    forget: () => (pending = false),
    /** Looks at the square as soon as the panes have their size. */
    place() {
      if (!pending || !square) return;
      pending = false;
      const slot = app.panes.first();
      const fits = Math.min(slot.width / square.w, slot.height / square.h) / pixelUnit();
      const zoom = Math.max(START_ZOOM, Math.floor(fits));
      if (view.zoomOf(slot) >= zoom) return;
      view.zoomTo(zoom, slot);
      view.centerOn(square.x + square.w / 2, square.y + square.h / 2);
      app.emitView();
    },
  };
}

function sameIds(a, b) {
  return a.size === b.size && [...a].every((id) => b.has(id));
}
