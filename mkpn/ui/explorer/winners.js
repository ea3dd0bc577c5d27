// Which model has the lowest error where; grey where other noise would say otherwise.

/** What fits into a patch. */
const SHORT_NAMES = { ...Object.fromEntries(BASELINES.map((name) => [name, `L${SIZE_OF[name]}`])), kpn: "5\u00d75", mkpn: "M" };

/** The lead in decibels from which on a patch has its full colour. */
const FULL_COLOUR = 1;

/** A share in per cent; what is not quite nothing or everything is not rounded to it. */
function percentText(share) {
  if (share > 0 && share < 0.01) return "<1 %";
  return share < 1 && share > 0.99 ? ">99 %" : `${(100 * share).toFixed(0)} %`;
}

function createWinners(app) {
  const { ui, state, signal } = app;
  let answer = null;
  let image = null;
  let seeds = [];
  let running = null;
  let asked = "";
  let pending = null;

  const colorOf = (index) => (index === 0 ? TIE_COLOR : MODEL_COLORS[answer.models[index - 1]] ?? TIE_COLOR);

  /** Resolves when the winners of the chosen patches are there; an answer to an earlier question comes too late. */
  function request() {
    if (app.models().length < 2) {
      setText(ui("winners-words"), "The winner map needs two models or more that have run.");
      return null;
    }
    const question = { what: "winners", side: Number(ui("patch").value), least: Number(ui("least").value), seeds };
    const key = JSON.stringify([question, state.value.token, app.models().length]);
    if (key === asked) return pending;
    asked = key;
    if (!answer) setText(ui("winners-words"), "Measuring the patches \u2026");
    return (pending = load(question, key));
  }

  async function load(question, key) {
    const found = await app.ask(question);
    if (key !== asked) return;
    if (!found) {
      asked = "";
      return;
    }
    answer = { ...found, least: question.least, winner: unpack(found.winner), margin: unpack(found.margin) };
    paint();
    table();
    app.redraw();
  }

  function paint() {
    const [height, width] = state.value.size.slice().reverse();
    const [, across] = answer.winner.shape;
    image = { width, height, data: new Uint8ClampedArray(4 * width * height) };
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const at = Math.floor(y / answer.side) * across + Math.floor(x / answer.side);
        const [r, g, b] = colorOf(answer.winner.data[at]);
        // Ties are striped: a grey alone would look like some colours to eyes that do not tell red from green.
        const alpha = answer.winner.data[at] === 0 ? ((x + y) % 8 < 4 ? 0.75 : 0.15) : 0.45 + 0.5 * Math.min(1, answer.margin.data[at] / FULL_COLOUR);
        image.data.set([r, g, b, 255 * alpha], 4 * (y * width + x));
      }
    }
    const canvas = newCanvas(width, height);
    canvas.getContext("2d").putImageData(new ImageData(image.data, width, height), 0, 0);
    image.canvas = canvas;
  }

  /** Writes who wins into each patch that has room for it: nobody needs to tell ten colours apart. */
  function nameWinners(context, { originX, originY, scale }, pane) {
    const unit = (pixelUnit() * parseFloat(getComputedStyle(app.root).fontSize)) / 13;
    const side = answer.side * scale;
    if (side < 24 * unit) return;
    const [height, width] = answer.winner.shape;
    context.font = `bold ${11 * unit}px sans-serif`;
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.lineWidth = 2.5 * unit;
    context.strokeStyle = "#000";
    context.fillStyle = "#fff";
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const [left, upper] = [Math.max(0, originX + column * side), Math.max(0, originY + row * side)];
        const right = Math.min(originX + (column + 1) * side, originX + state.value.size[0] * scale, pane.width);
        const lower = Math.min(originY + (row + 1) * side, originY + state.value.size[1] * scale, pane.height);
        // The last row and column may be narrower, and what is in sight of a patch may be.
        if (right - left < 24 * unit || lower - upper < 14 * unit) continue;
        const index = answer.winner.data[row * width + column];
        const name = index === 0 ? "tie" : SHORT_NAMES[answer.models[index - 1]];
        context.strokeText(name, right - 2 * unit, lower - unit);
        context.fillText(name, right - 2 * unit, lower - unit);
      }
    }
  }

  function table() {
    const columns = [["all", "whole"], ["flat", "flat third"], ["edge", "edges"], ["texture", "texture"]];
    const order = answer.models.map((name, i) => [name, i]).concat([[null, answer.models.length]]);
    const best = columns.map(([key]) => Math.max(...answer.shares[key].slice(0, -1)));
    const rows = order.map(([name, i]) => {
      const color = cssColor(name ? MODEL_COLORS[name] : TIE_COLOR);
      const fill = name ? color : `repeating-linear-gradient(135deg, ${color} 0 3px, transparent 3px 6px)`;
      return make("tr", {},
        make("th", { scope: "row" }, make("i", { class: "swatch", style: `background:${fill}` }), name ? `${app.label(name)}${name === "mkpn" ? " (M)" : ""}` : "tie"),
        ...columns.map(([key], c) => make("td", { class: name && best[c] > 0 && percentText(answer.shares[key][i]) === percentText(best[c]) ? "best" : "" }, percentText(answer.shares[key][i]))),
      );
    });
    ui("winners-table").replaceChildren(
      make("table", { class: "numbers" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "lowest error in"), ...columns.map(([, text]) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows)),
    );
    const count = answer.seeds.length;
    const small = answer.least > 0 ? "the lead is too small" : "";
    const grey = [count > 1 ? `${count} seeds do not agree` : "", small].filter(Boolean).join(", or where ");
    const stripes = grey ? `A patch is grey and striped where ${grey}.` : "";
    const other = count > 1 ? "" : "One seed: other noise may give other winners. More seeds show where.";
    setText(ui("winners-words"), `Each ${answer.side}\u00d7${answer.side} patch has the colour of the model with the lowest error, stronger where it leads by more (full at ${FULL_COLOUR} dB). ${[stripes, other].filter(Boolean).join(" ")}`);
    setText(ui("winners-note"), `Seeds: ${answer.seeds.join(", ")}. ${state.value.rule}`);
  }

  async function moreSeeds() {
    const from = Math.max(state.value.seed, ...seeds);
    const models = app.models().map((pane) => pane.id);
    const wanted = [from + 1, from + 2];
    const mine = (running = app.sweep());
    const button = ui("more-seeds");
    swapButtons(button, ui("winners-stop"), () => {
      button.disabled = true;
      ui("winners-stop").hidden = false;
    });
    let done = 0;
    for (const seed of wanted) {
      for (const model of models) {
        setText(ui("winners-words"), `Seed ${seed}: ${app.label(model)} (${done + 1} of ${2 * models.length}) \u2026`);
        const found = await mine.ask({ gain: "run", seed, model });
        if (!found) return finish(mine);
        done += 1;
      }
      seeds = [...seeds, seed];
      await request();
    }
    finish(mine);
  }

  function finish(mine) {
    mine.running = false;
    swapButtons(ui("winners-stop"), ui("more-seeds"), () => {
      ui("more-seeds").disabled = false;
      ui("winners-stop").hidden = true;
    });
    if (answer) table();
  }

  function here() {
    if (!answer) return null;
    const [, across] = answer.winner.shape;
    const at = Math.floor(state.y / answer.side) * across + Math.floor(state.x / answer.side);
    const index = answer.winner.data[at];
    return index === 0 ? "this patch: a tie" : `this patch: ${app.label(answer.models[index - 1])} by ${answer.margin.data[at].toFixed(2)} dB`;
  }

  for (const name of ["patch", "least"]) ui(name).addEventListener("change", () => (app.remember(), request()), { signal });
  ui("more-seeds").addEventListener("click", moreSeeds, { signal });
  ui("winners-stop").addEventListener("click", () => running?.stop(), { signal });

  return {
    show: request,
    layer: app.picture.greyOf,
    hover: here,
    over(context, place, pane) {
      if (!image) return;
      context.imageSmoothingEnabled = false;
      const [width, height] = state.value.size;
      context.drawImage(image.canvas, place.originX, place.originY, width * place.scale, height * place.scale);
      nameWinners(context, place, pane);
    },
    link: () => ({ patch: ui("patch").value === "32" ? null : ui("patch").value }),
    open(fields) {
      if (!["8", "16", "64"].includes(fields.get("patch"))) return;
      ui("patch").value = fields.get("patch");
      request();
    },
    shares: () => answer?.shares,
    models: () => answer?.models,
    reset() {
      answer = image = null;
      seeds = [];
      asked = "";
      ui("winners-table").replaceChildren();
      setText(ui("winners-note"), "");
      running?.stop();
    },
  };
}
