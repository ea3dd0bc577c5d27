// The one zoom and pan that all panes share. Lengths are device pixels unless they are named image pixels.

const ZOOM_LADDER = [1 / 16, 1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const MAX_ZOOM = 64;

/** Device pixels of one image pixel at 100 %: whole, so that every image pixel is equally large on any screen. */
function pixelUnit() {
  return Math.max(1, Math.round(window.devicePixelRatio || 1));
}

/** `fill`: "fit" fills the pane, by a fraction, too; otherwise it enlarges by whole factors only. */
function createView({ fill = false } = {}) {
  const view = { fit: true, zoom: 1, cx: 0, cy: 0, width: 0, height: 0 };

  function minZoom() {
    const largest = Math.max(view.width, view.height, 1);
    return Math.min(1 / 16, 32 / largest);
  }

  /** Device pixels per image pixel. */
  function scaleIn(pane) {
    if (!view.fit) return view.zoom * pixelUnit();
    const scale = Math.min(pane.width / view.width, pane.height / view.height);
    return scale >= 1 && !fill ? Math.floor(scale) : Math.max(scale, 1e-4);
  }

  // The centre is kept as it was asked for and limited only when it is used: a small pane and a large one
  // limit differently, and going to the large one and back must not move anything.
  function limited(center, length, scale, paneLength) {
    const half = paneLength / 2 / scale;
    return length <= 2 * half || view.fit ? length / 2 : Math.min(length - half, Math.max(half, center));
  }

  /** Returns where the image lies in a pane: `x = originX + scale * imageX`, the origin on a whole device pixel. */
  function place(pane) {
    const scale = scaleIn(pane);
    const cx = limited(view.cx, view.width, scale, pane.width);
    const cy = limited(view.cy, view.height, scale, pane.height);
    const originX = Math.round(pane.width / 2 - cx * scale);
    const originY = Math.round(pane.height / 2 - cy * scale);
    return { scale, cx, cy, originX, originY };
  }

  function zoomTo(zoom, pane, x = pane.width / 2, y = pane.height / 2) {
    const now = place(pane);
    // From the centre, not from the rounded origin: many small steps of a pinch must not drift.
    const imageX = now.cx + (x - pane.width / 2) / now.scale;
    const imageY = now.cy + (y - pane.height / 2) / now.scale;
    view.zoom = Math.min(MAX_ZOOM, Math.max(minZoom(), zoom));
    view.fit = false;
    const scale = view.zoom * pixelUnit();
    view.cx = imageX - (x - pane.width / 2) / scale;
    view.cy = imageY - (y - pane.height / 2) / scale;
  }

  return {
    state: view,
    place,
    zoomTo,
    zoomOf: (pane) => scaleIn(pane) / pixelUnit(),
    /** Moves to the next step of the ladder, up (+1) or down (-1), about a point of the pane. */
    step(direction, pane, x, y) {
      const zoom = scaleIn(pane) / pixelUnit();
      const above = ZOOM_LADDER.filter((z) => z > zoom * 1.001);
      const below = ZOOM_LADDER.filter((z) => z < zoom * 0.999);
      const next = direction > 0 ? above[0] ?? MAX_ZOOM : below[below.length - 1] ?? minZoom();
      zoomTo(next, pane, x, y);
    },
    pan(dx, dy, pane) {
      const now = place(pane);
      if (view.fit) {
        // Nothing to move: the whole image is visible.
        return;
      }
      view.cx = now.cx - dx / now.scale;
      view.cy = now.cy - dy / now.scale;
    },
    centerOn(imageX, imageY) {
      view.cx = imageX;
      view.cy = imageY;
    },
    fit() {
      view.fit = true;
      view.cx = view.width / 2;
      view.cy = view.height / 2;
    },
    /** Takes the size of the images; the view survives as long as that stays the same. */
    resizeImage(width, height) {
      if (width === view.width && height === view.height) return false;
      view.width = width;
      view.height = height;
      this.fit();
      return true;
    },
    /** Returns the visible part in image pixels, as [left, top, right, bottom]. */
    visible(pane) {
      const { scale, originX, originY } = place(pane);
      return [
        Math.max(0, -originX / scale),
        Math.max(0, -originY / scale),
        Math.min(view.width, (pane.width - originX) / scale),
        Math.min(view.height, (pane.height - originY) / scale),
      ];
    },
    /** Takes over a state that Python or a permalink gives; missing fields stay. */
    restore({ zoom, fit, center }) {
      if (typeof zoom === "number" && zoom > 0) view.zoom = Math.min(MAX_ZOOM, Math.max(minZoom(), zoom));
      if (Array.isArray(center)) [view.cx, view.cy] = center;
      if (typeof fit === "boolean") view.fit = fit;
    },
  };
}
