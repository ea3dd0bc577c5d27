// Frames x sizes of one pixel, one kernel larger over what it reads, and its numbers in words.

function sizeName(size) {
  return size === "fused" ? "fused" : `${size}\u00d7${size}`;
}

function sizesOf(answer) {
  return Object.keys(answer.kernels).filter((name) => name !== "fused").sort((a, b) => a - b);
}

/** The rows of a pixel's table: every size, and the fused kernel where there are several. */
function rowsOf(answer) {
  const sizes = sizesOf(answer);
  return sizes.length > 1 ? [...sizes, "fused"] : sizes;
}

/** The row that is selected; a network of one size has no fused row of its own. */
function rowOf(state, answer) {
  const rows = rowsOf(answer);
  return rows.includes(state.size) ? state.size : rows[rows.length - 1];
}

const LEAST_OVERLAY = 130;

/** What the table of numbers holds of each kernel: name, field, decimals, always with a sign. */
const KERNEL_NUMBERS = [["sum", "sum", 3, false], ["noise gain", "noise_gain", 3, false], ["radius, px", "radius", 2, false], ["centre x, px", "x", 1, true], ["centre y, px", "y", 1, true]];

/** A number with as many decimals as asked for, and no sign where it rounds to zero. */
function plainText(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

/** The reference frame's part of the weights, 0 to 1. */
function referenceShare(answer) {
  const sums = answer.kernels.fused.sum.map(Math.abs);
  const all = sums.reduce((a, b) => a + b, 0);
  return all > 0 ? sums[0] / all : 0;
}

function referenceWords(answer) {
  const share = referenceShare(answer);
  const sums = answer.kernels.fused.sum.map(Math.abs);
  const equal = 1 / sums.length;
  const percent = Math.round(100 * share);
  const half = (0.5 * sums.reduce((a, b) => a + b, 0)) / sums.length;
  const few = sums.filter((sum, frame) => frame > 0 && sum < half).length;
  const little = `${few} of the other frames ${few === 1 ? "counts" : "count"} for little`;
  const meaning =
    share > 0.6 ? "the network trusts little but the reference here, so little noise is averaged away over time"
    : share > 1.5 * equal ? `the network leans on the reference and ${few ? `averages others in; ${little}` : "averages the others in"}`
    : share > 0.7 * equal ? (few ? `it counts about as much as in a plain mean, but ${little}` : "all frames count about alike, which averages most noise away")
    : "the other frames count for more than the reference";
  return `The reference frame carries ${percent} % of the weight (${(100 * equal).toFixed(1)} % if all were alike): ${meaning}.`;
}

function createKernels(app) {
  const { ui, state, signal } = app;
  const blocks = ui("kernel-blocks");
  const factors = ui("factors");
  let built = "";
  let block = 0; // the one that is looked at closely, where two stand side by side

  /** The largest magnitude that the colour scale of one kernel ends at. */
  function tops(answers, rows) {
    const all = new Map();
    const magnitude = (answer, row, frame) => largestMagnitude(kernelOf(answer.kernels[row].weights, frame).data);
    const frames = answers[0].kernels.fused.sum.length;
    const each = answers.map((answer, i) => rows[i].map((row) => Array.from({ length: frames }, (_, frame) => magnitude(answer, row, frame))));
    const shared = Math.max(...each.flat(2));
    // Side by side, equal rows share their scale: otherwise A and B could not be compared.
    const of = (row) => each.flatMap((values, i) => values[rows[i].indexOf(row)] ?? []);
    for (const [i, answerRows] of each.entries()) {
      for (const [r, values] of answerRows.entries()) {
        for (const frame of values.keys()) {
          const top =
            state.scale === "row" ? Math.max(...of(rows[i][r]))
            : state.scale === "frame" ? Math.max(...each.flatMap((rows_) => rows_.map((v) => v[frame])))
            : shared;
          all.set(`${i} ${rows[i][r]} ${frame}`, top);
        }
      }
    }
    return all;
  }

  function answers() {
    return app.other && state.beside ? [app.answer, app.other] : [app.answer];
  }

  /** Which block is looked at closely. */
  const lookedAt = () => Math.min(block, answers().length - 1);

  function shownRows(answer) {
    // Side by side the fused kernels say it all; there is no room for two times seven rows.
    return answers().length > 1 ? ["fused"] : rowsOf(answer);
  }

  function build() {
    const list = answers();
    const key = `${state.numbers} ${list.map((answer) => `${answer.model} ${shownRows(answer)} ${answer.kernels.fused.sum.length}`).join("|")}`;
    if (key === built) return;
    built = key;
    blocks.replaceChildren(...list.map((answer, index) => blockOf(answer, index)));
  }

  function blockOf(answer, index) {
    const frames = answer.kernels.fused.sum.length;
    const heads = Array.from({ length: frames }, (_, frame) =>
      make("th", { scope: "col", "data-head": frame }, make("span", {}, frame === 0 ? "0 ref." : String(frame)), make("small", { "data-offset": frame })),
    );
    const kernel = (row, frame, inside) => make("button", { type: "button", class: "kernel", "data-row": row, "data-frame": frame, "data-block": index }, inside);
    const across = (cell) => Array.from({ length: frames }, (_, frame) => cell(frame));
    const pictures = (row) => [
      make("tr", {},
        make("th", { scope: "row" }, sizeName(row), make("small", { "data-top": row })),
        ...across((frame) => make("td", {}, kernel(row, frame, make("canvas", { "aria-hidden": "true" })))),
      ),
    ];
    const numbers = (row) => KERNEL_NUMBERS.map(([name], line) =>
      make("tr", {},
        make("th", { scope: "row" }, line ? "" : make("b", {}, `${sizeName(row)} `), name),
        ...across((frame) => make("td", { "data-number": line, "data-row": row, "data-frame": frame }, line ? "" : kernel(row, frame, ""))),
      ),
    );
    const body = shownRows(answer).map((row) => make("tbody", {}, ...(state.numbers ? numbers(row) : pictures(row))));
    const sums = make("tr", { class: "sums" }, make("th", { scope: "row" }, "sum"), ...Array.from({ length: frames }, (_, frame) => make("td", { "data-sum": frame })));
    return make("div", { class: "block", "data-block": index },
      make("p", { class: "block-name" }),
      make("table", { class: state.numbers ? "kernels in-numbers" : "kernels" },
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "frame"), ...heads)), ...body, ...(state.numbers ? [] : [make("tfoot", {}, sums)]),
      ),
    );
  }

  function cellSide() {
    const panel = blocks.closest(".panel");
    const frames = app.answer.kernels.fused.sum.length;
    const rows = answers().reduce((count, answer) => count + shownRows(answer).length, 0);
    const across = Math.floor((blocks.clientWidth - 66) / frames) - 4;
    // Heads, sums, the colour bar and, where it stands below and not beside, the enlarged kernel take the rest of the height.
    const detail = ui("kernel-detail");
    const below = detail.offsetLeft > blocks.offsetLeft + 100 ? 0 : detail.previousElementSibling.offsetHeight + LEAST_OVERLAY + 24;
    const heads = (node) => node.querySelector("thead").offsetHeight + node.querySelector("tfoot").offsetHeight + node.firstChild.offsetHeight + 8;
    const others = [...blocks.children].reduce((sum, node) => sum + heads(node), 0) + ui("kernel-bar").offsetHeight + 10;
    const down = Math.floor((panel.clientHeight - others - below) / rows) - 6;
    return Math.max(18, Math.min(across, Math.max(down, 24), below ? 72 : 110));
  }

  function paint(canvas, kernel, top, side, truth, reach) {
    const context = prepare(canvas, side, side);
    const taps = state.extent ? reach : kernel.size;
    const tap = side / taps;
    const edge = ((taps - kernel.size) / 2) * tap;
    const picture = smallPicture(kernel.size, kernel.size, (i) => colorAt("blue to red", onScale(state.scale, kernel.data[i], top)));
    enlarge(context, picture, edge, edge, kernel.size * tap, kernel.size * tap);
    if (truth && kernel.size > 1) {
      context.strokeStyle = "#000";
      context.lineWidth = 1.5;
      context.strokeRect(edge + truth[0] * tap + 0.75, edge + truth[1] * tap + 0.75, Math.max(3, tap - 1.5), Math.max(3, tap - 1.5));
    }
  }

  function drawGrid() {
    const list = answers();
    const rows = list.map(shownRows);
    const top = tops(list, rows);
    const side = state.numbers ? 0 : cellSide();
    for (const [index, answer] of list.entries()) {
      const node = blocks.children[index];
      const name = list.length === 1 ? "" : `${index ? "B" : "A"}: ${app.label(answer.model)} at x ${answer.x}, y ${answer.y}`;
      setText(node.querySelector(".block-name"), name);
      const reach = Math.max(...sizesOf(answer));
      const focusRow = rows[index].includes(state.size) ? state.size : rows[index][rows[index].length - 1];
      for (const button of node.querySelectorAll("button.kernel")) {
        const { row, frame } = button.dataset;
        const kernel = answer.kernels[row];
        const chosen = row === focusRow && Number(frame) === state.frame;
        if (!state.numbers) paint(button.firstChild, kernelOf(kernel.weights, Number(frame)), top.get(`${index} ${row} ${frame}`), side, kernel.true[frame], reach);
        button.setAttribute("aria-pressed", chosen && index === lookedAt());
        button.tabIndex = chosen ? 0 : -1;
        button.setAttribute("aria-label", `${sizeName(row)}, frame ${frame}, sum ${kernel.sum[frame].toFixed(3)}`);
      }
      for (const cell of node.querySelectorAll("[data-number]")) {
        const [, field, digits, sign] = KERNEL_NUMBERS[cell.dataset.number];
        const value = answer.kernels[cell.dataset.row][field][cell.dataset.frame];
        setText(cell.firstElementChild ?? cell, sign ? signedText(value, digits) : plainText(value, digits));
        cell.classList.toggle("now", cell.dataset.row === focusRow && Number(cell.dataset.frame) === state.frame);
      }
      for (const cell of node.querySelectorAll("[data-offset]")) {
        const frame = Number(cell.dataset.offset);
        const [x, y] = state.value.offsets[frame];
        const out = !answer.kernels.fused.true[frame];
        setText(cell, out ? "out of reach" : `${signedText(x)}, ${signedText(y)}`);
        cell.closest("th").classList.toggle("out", out);
        cell.closest("th").title = `The frame looks x ${signedText(x)}, y ${signedText(y)} px away${out ? ": further than the kernel reaches" : ""}`;
      }
      for (const cell of node.querySelectorAll("[data-sum]")) setText(cell, plainText(answer.kernels[focusRow].sum[cell.dataset.sum], 2));
      for (const cell of node.querySelectorAll("[data-top]")) {
        setText(cell, state.scale === "row" ? `\u00b1${shortText(top.get(`${index} ${cell.dataset.top} 0`))}` : "");
      }
    }
    const at = lookedAt();
    const shown = rows[at].includes(state.size) ? state.size : rows[at][rows[at].length - 1];
    const one = top.get(`${at} ${shown} ${state.frame}`);
    const which = state.scale === "row" ? `, shown: ${sizeName(shown)}` : state.scale === "frame" ? `, shown: frame ${state.frame}` : "";
    drawBar(ui("kernel-bar"), "blue to red", divergingTicks(state.scale, one), `weight (${SCALE_TEXT[state.scale]}${which})`);
    return one;
  }

  function drawOverlay(top) {
    const answer = answers()[lookedAt()];
    const row = rowOf(state, answer);
    const kernel = kernelOf(answer.kernels[row].weights, state.frame);
    const [, channels, largest] = answer.values.shape;
    const figure = ui("overlay").closest("figure");
    const open = factors.getAttribute("aria-pressed") === "true" && row !== "fused" && answer.factors[row];
    const margin = open ? 34 : 0;
    const detail = ui("kernel-detail");
    const beside = detail.offsetLeft > blocks.offsetLeft + 100;
    const left = figure.closest(".panel").clientHeight - detail.offsetTop - (beside ? 190 : 8);
    const side = Math.max(LEAST_OVERLAY, Math.min(left, detail.clientWidth * (beside ? 1 : 0.52), 420));
    figure.style.flexBasis = `${side}px`;
    const context = prepare(ui("overlay"), side, side);
    const tap = (side - margin) / largest;
    const edge = margin + ((largest - kernel.size) / 2) * tap;
    const planes = Array.from({ length: channels }, (_, channel) => valuesOf(answer.values, state.frame, channel, largest));
    const level = (v) => Math.round(255 * Math.min(1, Math.max(0, v)));
    const noisy = smallPicture(largest, largest, (i) => [0, 1, 2].map((c) => level(planes[Math.min(c, planes.length - 1)][i])));
    enlarge(context, noisy, margin, margin, largest * tap, largest * tap);
    const colors = (i) => colorAt("blue to red", onScale(state.scale, kernel.data[i], top));
    enlarge(context, smallPicture(kernel.size, kernel.size, colors), edge, edge, kernel.size * tap, kernel.size * tap, state.opacity);
    if (tap >= 30) {
      const digits = largestMagnitude(kernel.data) < 0.1 ? 3 : 2;
      context.font = `${Math.min(12, tap * 0.3)}px ui-monospace, monospace`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (let i = 0; i < kernel.size * kernel.size; i += 1) {
        context.fillStyle = state.opacity > 0.4 && isDark(colors(i)) ? "#fff" : "#000";
        const text = plainText(kernel.data[i], digits).replace("0.", ".");
        context.fillText(text, edge + ((i % kernel.size) + 0.5) * tap, edge + (Math.floor(i / kernel.size) + 0.5) * tap);
      }
    }
    const truth = answer.kernels[row].true[state.frame];
    if (truth) {
      context.strokeStyle = "#000";
      context.lineWidth = 3.5;
      context.strokeRect(edge + truth[0] * tap, edge + truth[1] * tap, tap, tap);
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      context.strokeRect(edge + truth[0] * tap, edge + truth[1] * tap, tap, tap);
    }
    if (open) drawFactors(context, answer.factors[row], kernel.size, margin, edge, tap);
    factors.disabled = row === "fused" || !answer.factors[row];
    factors.title = factors.disabled ? "Choose one size of a separable kernel" : "The vertical and horizontal factor whose product is the kernel";
  }

  function drawFactors(context, pair, size, margin, edge, tap) {
    const ink = inkOf(app.root);
    const at = (axis, i) => pair.data[(state.frame * 2 + axis) * size + i];
    const top = largestMagnitude(pair.data.subarray(state.frame * 2 * size, (state.frame + 1) * 2 * size)) || 1;
    for (let i = 0; i < size; i += 1) {
      for (const axis of [0, 1]) {
        const value = at(axis, i);
        const length = ((margin - 4) / 2) * (value / top);
        context.fillStyle = cssColor(colorAt("blue to red", 0.5 + Math.sign(value) * 0.38));
        if (axis === 0) context.fillRect(margin / 2, edge + i * tap + 1, length, Math.max(1, tap - 2));
        else context.fillRect(edge + i * tap + 1, margin / 2, Math.max(1, tap - 2), -length);
      }
    }
    context.fillStyle = ink.soft;
    context.fillRect(margin / 2 - 0.5, edge, 1, size * tap);
    context.fillRect(edge, margin / 2 - 0.5, size * tap, 1);
  }

  function words() {
    const answer = answers()[lookedAt()];
    const name = answers().length > 1 ? `${lookedAt() ? "B" : "A"}: ` : "";
    const row = rowOf(state, answer);
    const kernel = answer.kernels[row];
    const frame = state.frame;
    const [x, y] = state.value.offsets[frame];
    const size = kernel.weights.shape[1];
    const truth = kernel.true[frame];
    const gain = kernel.noise_gain[frame];
    const number = (value, digits = 2) => plainText(value, digits);
    const pairs = [
      ["sum", number(kernel.sum[frame], 3), `${rowsOf(answer).length > 1 ? "of the fused kernels, " : ""}the sums of all frames together are about eight where the brightness is kept: the result is their mean`],
      ["noise gain", number(gain, 3), gain > 0 ? `sum of squares: the noise's variance is multiplied by it, as by a mean of ${number(1 / gain, 1)} equal values` : ""],
      ["radius", `${number(kernel.radius[frame])} px`, "effective radius: how far around its centroid it gathers, weights by their squares"],
      ["centroid", `x ${signedText(kernel.x[frame], 1)}, y ${signedText(kernel.y[frame], 1)} px`, "where it looks, relative to the pixel"],
    ];
    const weight = truth ? number(kernelOf(kernel.weights, frame).data[truth[1] * size + truth[0]], 3) : "";
    const place = truth
      ? `The true place, x ${signedText(-x)}, y ${signedText(-y)} from the centre, has a box; its weight is ${weight}.`
      : `The true place is out of reach: the frame has moved x ${signedText(x)}, y ${signedText(y)} px, this kernel reaches ${(size - 1) / 2}.`;
    ui("kernel-words").replaceChildren(
      make("p", { class: "kernel-title" }, `${name}${app.label(answer.model)}, ${sizeName(row)}, frame ${frame}${frame ? "" : " (reference)"}`),
      make("dl", {}, ...pairs.flatMap(([term, value, meaning]) => [make("dt", { title: meaning }, term), make("dd", { title: meaning }, value)])),
      make("p", {}, place),
      make("p", { "data-ui": "reference-words" }, referenceWords(answer)),
    );
  }

  function draw() {
    if (!app.answer) return;
    build();
    ui("numbers").setAttribute("aria-pressed", state.numbers);
    ui("kernel-bar").hidden = state.numbers;
    drawOverlay(drawGrid());
    words();
  }

  function select(button, row, frame, focus) {
    block = Number(button.dataset.block);
    state.size = row;
    state.frame = frame;
    app.remember();
    draw();
    if (focus) blocks.querySelector(`button.kernel[data-block="${block}"][data-row="${row}"][data-frame="${frame}"]`)?.focus();
  }

  blocks.addEventListener("click", (event) => {
    const button = event.target.closest("button.kernel");
    if (button) select(button, button.dataset.row, Number(button.dataset.frame), false);
  }, { signal });
  blocks.addEventListener("keydown", (event) => {
    const button = event.target.closest("button.kernel");
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!button || !moves[event.key]) return;
    const answer = answers()[button.dataset.block];
    const rows = shownRows(answer);
    const frames = answer.kernels.fused.sum.length;
    const row = Math.min(rows.length - 1, Math.max(0, rows.indexOf(button.dataset.row) + moves[event.key][0]));
    const frame = Math.min(frames - 1, Math.max(0, Number(button.dataset.frame) + moves[event.key][1]));
    select(button, rows[row], frame, true);
    event.preventDefault();
  }, { signal });
  ui("scale").addEventListener("change", () => ((state.scale = ui("scale").value), app.remember(), draw()), { signal });
  ui("extent").addEventListener("change", () => ((state.extent = ui("extent").checked), draw()), { signal });
  ui("opacity").addEventListener("input", () => ((state.opacity = Number(ui("opacity").value)), draw()), { signal });
  ui("numbers").addEventListener("click", () => {
    state.numbers = !state.numbers;
    app.remember();
    draw();
  }, { signal });
  factors.addEventListener("click", () => {
    factors.setAttribute("aria-pressed", factors.getAttribute("aria-pressed") !== "true");
    draw();
  }, { signal });
  ui("beside").addEventListener("change", () => {
    state.beside = ui("beside").value;
    // The pixel that was looked at stays as B; the one that is dragged from now on is A.
    state.second = state.beside === "pixel" ? { x: state.x, y: state.y } : null;
    if (state.beside) state.size = "fused";
    block = 0;
    app.remember();
    app.probe();
  }, { signal });

  return { draw, reset: () => ((built = ""), (block = 0), blocks.replaceChildren()) };
}
