// The words in a chart: each stands where it covers no other one and, where there is room, no line.

/** Collects what is drawn in a chart, and writes its labels around it; `unit` is the size of the type. */
function createLabels(context, ink, unit, { left, right, lower }) {
  const half = 8 * unit;
  const bottom = lower + half;
  const taken = [{ left: -Infinity, right: Infinity, top: -Infinity, bottom: 0 }, { left: -Infinity, right: Infinity, top: bottom, bottom: Infinity }];
  const strokes = [];
  const clash = (a, boxes) => boxes.some((b) => a.left < b.right && a.right > b.left && a.top < b.bottom && a.bottom > b.top);

  return {
    /** A level line, which no label crosses. */
    level: (y) => taken.push({ left, right, top: y - 1, bottom: y + 1 }),
    /** A curve through points [x, y]: short boxes along it, and one for the mark at each point. */
    curve(points) {
      points.forEach(([x, y], i) => {
        strokes.push({ left: x - 4, right: x + 4, top: y - 4, bottom: y + 4 });
        if (i === 0) return;
        const [x0, y0] = points[i - 1];
        const steps = Math.max(1, Math.ceil(Math.hypot(x - x0, y - y0) / 4));
        for (let k = 1; k < steps; k += 1) {
          const [sx, sy] = [x0 + ((x - x0) * k) / steps, y0 + ((y - y0) * k) / steps];
          strokes.push({ left: sx - 2, right: sx + 2, top: sy - 2, bottom: sy + 2 });
        }
      });
    },
    /** Writes a label at a place, or above or below it, and so far aside; nothing where all of that is taken. */
    write(text, x, y, color, aside = 0) {
      const width = context.measureText(text).width;
      const box = ([from, at]) => ({ left: from - 2, right: from + width + 2, top: at - half, bottom: at + half });
      const columns = [x, x - aside, x + aside].filter((from) => from === x || (from > left - 4 && from + width < right));
      const places = [0, -1, 1, -2, 2, -3, 3, -4, 4].flatMap((shift) => columns.map((from) => [from, y + shift * half]));
      const free = places.filter((place) => !clash(box(place), taken));
      const place = free.find((one) => !clash(box(one), strokes)) ?? free[0];
      if (!place) return;
      taken.push(box(place));
      context.textAlign = "left";
      context.lineWidth = 4;
      context.strokeStyle = ink.paper;
      context.strokeText(text, ...place);
      context.fillStyle = color;
      context.fillText(text, ...place);
    },
  };
}
