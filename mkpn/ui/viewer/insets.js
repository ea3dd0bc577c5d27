// Insets: the same enlarged regions under every pane, with a numbered frame in the picture.

const MOST_INSETS = 4;
const INSET_GAP = 4;
const LARGEST_INSET = 160;
const INSET_COLORS = ["#e69f00", "#56b4e9", "#cc79a7", "#009e73"];

/** Returns the side of one inset under a pane of this width, in CSS pixels. */
function insetSide(count, paneWidth) {
  return count ? Math.floor(Math.min(LARGEST_INSET, paneWidth / 2, (paneWidth - INSET_GAP * (count - 1)) / count)) : 0;
}

/** Returns the height that the insets add to a pane of this width. */
function insetHeight(count, paneWidth) {
  return count ? insetSide(count, paneWidth) + INSET_GAP : 0;
}

/** Draws the regions of one surface side by side, each as large as its square allows, by whole factors where it can. */
function drawInsets(slot, surface, insets, background) {
  const { strip, stripWidth } = slot;
  const ratio = window.devicePixelRatio || 1;
  const side = Math.round(insetSide(insets.length, stripWidth) * ratio);
  strip.width = Math.round(stripWidth * ratio);
  strip.height = side;
  const context = strip.getContext("2d", { alpha: false });
  context.fillStyle = background;
  context.fillRect(0, 0, strip.width, strip.height);
  context.textBaseline = "top";
  context.font = `bold ${Math.round(11 * ratio)}px ui-monospace, monospace`;
  insets.forEach((rect, i) => {
    const left = Math.round(i * (side + INSET_GAP * ratio));
    const room = side - 4 * ratio;
    const fit = Math.min(room / rect.w, room / rect.h);
    const scale = fit >= 1 ? Math.floor(fit) : fit;
    const [width, height] = [rect.w * scale, rect.h * scale];
    const [x, y] = [left + Math.round((side - width) / 2), Math.round((side - height) / 2)];
    context.imageSmoothingEnabled = scale < 1;
    if (surface) context.drawImage(surface.level(1).canvas, rect.x, rect.y, rect.w, rect.h, x, y, width, height);
    context.strokeStyle = INSET_COLORS[i];
    context.lineWidth = 2 * ratio;
    context.strokeRect(left + ratio, ratio, side - 2 * ratio, side - 2 * ratio);
    context.fillStyle = INSET_COLORS[i];
    context.fillRect(left, 0, 14 * ratio, 15 * ratio);
    context.fillStyle = "#000";
    context.fillText(String(i + 1), left + 4 * ratio, 2 * ratio);
  });
}

/** Keeps one numbered frame for each inset above a pane's picture. */
function insetFrames(slot, insets) {
  while (slot.frames.length > insets.length) slot.frames.pop().remove();
  while (slot.frames.length < insets.length) {
    const i = slot.frames.length;
    const frame = make("div", { class: "pane-inset", style: `--inset: ${INSET_COLORS[i]}` }, make("b", {}, String(i + 1)));
    slot.view.append(frame);
    slot.frames.push(frame);
  }
  return slot.frames;
}
