// Drawing one picture into one canvas: only the visible rectangle, nearest neighbour from 100 % up.

/** Draws the part of a surface that a pane shows; `from` and `to` limit it to columns of device pixels. */
function drawSurface(context, surface, imageSize, place, pane, from, to) {
  const { scale, originX, originY } = place;
  const left = Math.max(0, Math.floor((from - originX) / scale));
  const top = Math.max(0, Math.floor(-originY / scale));
  const right = Math.min(imageSize.width, Math.ceil((to - originX) / scale));
  const bottom = Math.min(imageSize.height, Math.ceil((pane.height - originY) / scale));
  if (right <= left || bottom <= top) return;
  const { canvas, factor } = surface.level(scale);
  context.imageSmoothingEnabled = scale < 1;
  context.imageSmoothingQuality = "low";
  context.save();
  if (from > 0 || to < pane.width) {
    context.beginPath();
    context.rect(from, 0, to - from, pane.height);
    context.clip();
  }
  context.drawImage(
    canvas,
    left / factor,
    top / factor,
    (right - left) / factor,
    (bottom - top) / factor,
    originX + left * scale,
    originY + top * scale,
    (right - left) * scale,
    (bottom - top) * scale,
  );
  context.restore();
}

/** Prints the values inside the pixels: three 8-bit levels, or the error in [0,1]. */
function drawValues(context, image, place, pane, from, to, describe) {
  const { scale, originX, originY } = place;
  const left = Math.max(0, Math.ceil((from - originX) / scale - 0.5));
  const top = Math.max(0, Math.ceil(-originY / scale - 0.5));
  const right = Math.min(image.width, Math.floor((to - originX) / scale + 0.5));
  const bottom = Math.min(image.height, Math.floor((pane.height - originY) / scale + 0.5));
  const size = Math.max(8, Math.min(scale * 0.27, 15 * pixelUnit()));
  context.font = `${size}px ui-monospace, monospace`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const { lines, dark } = describe(4 * (y * image.width + x));
      context.fillStyle = dark ? "#fff" : "#000";
      const middle = originY + (y + 0.5) * scale;
      lines.forEach((line, i) => {
        context.fillText(line, originX + (x + 0.5) * scale, middle + (i - (lines.length - 1) / 2) * size * 1.08);
      });
    }
  }
}

function isDark([r, g, b]) {
  return 0.299 * r + 0.587 * g + 0.114 * b < 128;
}

/** Returns the function that words one pixel of a pane for `drawValues`. */
function valueWriter(app, pane, image) {
  const { errorOn, errorKind, reference, channel, falseColor, colors } = app.state;
  if (errorOn && pane.id !== reference) {
    const pair = app.surfaces.errorPair(pane, errorKind);
    const map = app.mapOf(errorKind);
    return (at) => {
      const value = errorAt(pair, at);
      const text = value.toFixed(ERROR_KINDS[errorKind].digits).replace(/^(-?)0\./, "$1.").replace("-", "\u2212");
      return { lines: [text], dark: isDark(colorAt(map, scalePlace(errorKind, value, app.top()))) };
    };
  }
  const { data } = image;
  if (channel !== "rgb" || falseColor) {
    const words = levelWords(app.state, colors.magnitude);
    return (at) => {
      const level = channelLevel(data, at, channel);
      const word = words[level];
      return { lines: [String(level)], dark: isDark([word & 255, (word >> 8) & 255, (word >> 16) & 255]) };
    };
  }
  const tone = toneTable(app.state);
  return (at) => {
    const rgb = [data[at], data[at + 1], data[at + 2]];
    const grey = rgb[0] === rgb[1] && rgb[1] === rgb[2];
    return { lines: (grey ? rgb.slice(0, 1) : rgb).map(String), dark: isDark(rgb.map((v) => tone[v])) };
  };
}
