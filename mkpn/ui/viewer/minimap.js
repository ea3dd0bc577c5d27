// The whole image in small, with the visible rectangle; pressing or dragging on it moves the view.

const MINIMAP_LONGEST = 112;

function createMinimap(app, signal) {
  const canvas = app.ui("minimap");
  const frame = app.ui("minimap-frame");
  const box = app.ui("minimap-box");
  const context = canvas.getContext("2d");
  let drawn = null;

  function thumbnail() {
    const { width, height } = app.view.state;
    const pane = app.pane(app.imageOf(app.state.reference) ? app.state.reference : app.state.active);
    const image = pane && app.imageOf(pane.id);
    if (!image) return null;
    const shrink = MINIMAP_LONGEST / Math.max(width, height);
    const size = [Math.max(1, Math.round(width * shrink)), Math.max(1, Math.round(height * shrink))];
    const ratio = Math.max(1, Math.round(window.devicePixelRatio || 1));
    if (drawn?.image === image && drawn.ratio === ratio) return size;
    // The raw pixels, never an error map: this picture is for finding one's way.
    const surface = createSurface();
    surface.write("raw", new ImageData(image.data, image.width, image.height));
    canvas.width = size[0] * ratio;
    canvas.height = size[1] * ratio;
    frame.style.width = `${size[0]}px`;
    frame.style.height = `${size[1]}px`;
    context.drawImage(surface.level(shrink * ratio).canvas, 0, 0, canvas.width, canvas.height);
    drawn = { image, ratio };
    return size;
  }

  function draw() {
    const size = thumbnail();
    frame.hidden = !size;
    if (!size) return;
    const { width, height } = app.view.state;
    const [left, top, right, bottom] = app.view.visible(app.panes.first());
    box.style.left = `${(left / width) * 100}%`;
    box.style.top = `${(top / height) * 100}%`;
    box.style.width = `${(Math.max(0, right - left) / width) * 100}%`;
    box.style.height = `${(Math.max(0, bottom - top) / height) * 100}%`;
    const shown = app.visibleRect();
    const whole = shown.w >= width && shown.h >= height;
    frame.classList.toggle("whole", whole);
    const text = whole ? `all of ${width} \u00d7 ${height}` : `${shown.w} \u00d7 ${shown.h} at ${shown.x}, ${shown.y}`;
    setText(app.ui("minimap-text"), text);
  }

  function move(event) {
    const rect = canvas.getBoundingClientRect();
    const { width, height } = app.view.state;
    app.view.centerOn(((event.clientX - rect.left) / rect.width) * width, ((event.clientY - rect.top) / rect.height) * height);
    app.viewChanged();
  }

  frame.addEventListener(
    "pointerdown",
    (event) => {
      frame.setPointerCapture(event.pointerId);
      move(event);
    },
    { signal },
  );
  frame.addEventListener("pointermove", (event) => frame.hasPointerCapture(event.pointerId) && move(event), { signal });

  return { draw };
}
