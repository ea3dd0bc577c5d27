// The lesson: each step sets up the live explorer and says what the numbers on the screen show, and nothing else.

const LESSON_PICTURES = [["coffee", 8, "Coffee cup, gain 8"], ["chelsea", 4, "Chelsea, gain 4"], ["brick", 8, "Brick wall, gain 8"]];
const BURST_MS = 280;

const GLOSSARY = [
  ["gain", "how much the sensor's signal was amplified; the paper's four gains stand for four strengths of noise"],
  ["burst", "several photographs of one scene, taken one after the other; here eight, and the first is the reference"],
  ["kernel", "a small square of weights; a pixel of the result is the sum of weights times noisy values around it"],
  ["separable", "a kernel that is the product of a column and a row of weights: 2K numbers instead of K times K"],
  ["full", "a kernel whose K times K weights are all free"],
  ["fused", "the mean of one frame's kernels of all sizes, the small ones padded with zeros: one kernel that gives the same picture as the six"],
  ["MKPN", "multi-kernel prediction network: predicts separable kernels of six sizes for each pixel and frame, and fuses them"],
  ["PSNR", "peak signal-to-noise ratio: how small the squared error is, in decibels; 3 dB more is half of it"],
  ["SSIM", "structural similarity: how alike local brightness, contrast and structure are; 1 is equal"],
];

const lead = (by) => (by < 0.005 ? "less than 0.01 dB" : `${by.toFixed(2)} dB`);
const decibels = (value) => (typeof value === "number" ? `${value.toFixed(2)} dB` : "\u2013");

/** The frame that has moved farthest, and how far. */
function farthest(offsets) {
  const lengths = offsets.map(([x, y]) => Math.max(Math.abs(x), Math.abs(y)));
  const frame = lengths.indexOf(Math.max(...lengths));
  return { frame, reach: lengths[frame] };
}

/** The single sizes by their PSNR in a region, the best first; none before all are measured, since another may be better. */
function rank(app, region) {
  const names = app.models().map((pane) => pane.id).filter((id) => id in SIZE_OF);
  const figures = names.map((name) => ({ name, psnr: app.parts.sizes.figure(name, region) }));
  return figures.some((one) => one.psnr === null) ? [] : figures.sort((a, b) => b.psnr - a.psnr);
}

const NOT_YET = "Wait for the figures.";
const NO_TEXTURE = "This picture has no texture: try another one.";

/** A region's figures, in the answers of two steps. */
function bestFirst(app, region, text) {
  const order = rank(app, region);
  const named = new Set([order[0].name, order[1].name, "kpn-l1", "kpn-l5", "kpn-l25"]);
  const list = order.filter(({ name }) => named.has(name)).map(({ name, psnr }) => `${app.label(name)} ${decibels(psnr)}`);
  return `${text}, best first: ${list.join(", ")}.`;
}

const LESSON = [
  {
    title: "Eight noisy frames",
    async enter(app) {
      app.setView("kernels");
      app.picture.choose("frame-0");
    },
    text(app) {
      const { offsets, small, gain } = app.state.value;
      const far = offsets.filter(([x, y]) => Math.max(Math.abs(x), Math.abs(y)) > small).length;
      const { frame, reach } = farthest(offsets);
      return [`A burst: eight frames of one scene${gain ? ` at gain ${gain}` : ""}. ${far ? `${far} of them moved by more than ${small} px; frame ${frame} moved farthest, ${reach} px.` : reach ? `All moved by at most ${reach} px.` : "None has moved."} Above a frame's kernels stands its offset, or that it is out of reach.`];
    },
    burst: true,
    question: "The plain mean of all eight frames has less noise. Why is it not the answer?",
    answer: (app) => `${farthest(app.state.value.offsets).reach ? "It blurs what has moved." : "It would blur what moves; here nothing has, and only noise is left."} Here it reaches ${decibels(app.pane("mean")?.psnr)}; the noisy frame has ${decibels(app.pane("noisy")?.psnr)} and MKPN ${decibels(app.pane("mkpn")?.psnr)}.`,
  },
  {
    title: "What one kernel does",
    async enter(app) {
      app.setModel("kpn-l3");
      app.state.step = 1;
      app.setView("rebuild");
    },
    text: () => ["KPN L3 has nine weights for each frame, for this very pixel. Each weight is multiplied by the noisy value under it; the products of a frame add up, and the mean over the frames is the pixel. Press Play and watch the sum grow."],
    question: "How many products make one colour of one pixel here?",
    answer: () => "8 frames times 9 weights: 72. KPN L1 has 8, KPN L25 has 8 times 625, which is 5,000.",
  },
  {
    title: "Flat areas: who can average most?",
    async enter(app) {
      app.setView("sizes");
      app.parts.sizes.choose("flat");
      await app.parts.sizes.fill();
    },
    text: (app) => ["In a flat area every neighbour has the same true value, so more weights can average more noise away.", rank(app, "flat").length ? "The curve shows what each size reaches." : "Reading the run \u2026"],
    withholds: true,
    question: "Which single size is best in the flat third?",
    answer(app) {
      const [best, next] = rank(app, "flat");
      return next ? `${app.label(best.name)}, by ${lead(shownDifference(best.psnr, next.psnr))} over ${app.label(next.name)}. ${bestFirst(app, "flat", "Flat third")} A small lead may turn with other noise: measure three seeds.` : NOT_YET;
    },
  },
  {
    title: "Detail: neighbours are other things",
    async enter(app) {
      app.setView("sizes");
      app.parts.sizes.choose("texture");
      await app.parts.sizes.fill();
    },
    text(app) {
      const flat = rank(app, "flat");
      const texture = rank(app, "texture");
      if (!flat.length) return ["Reading the run \u2026"];
      if (!texture.length) return [NO_TEXTURE];
      const gap = (order) => shownDifference(order[0].psnr, order[order.length - 1].psnr).toFixed(2);
      return ["In texture a neighbour has another true value: a large kernel must choose its weights well, or it blurs.", `From best to worst single size: ${gap(texture)} dB here, ${gap(flat)} dB in the flat third.`];
    },
    withholds: true,
    question: "Does the best size here differ from the flat third's?",
    answer(app) {
      const [flat] = rank(app, "flat");
      const [texture] = rank(app, "texture");
      return flat && texture ? `${flat.name === texture.name ? "No" : "Yes"}. Flat: ${app.label(flat.name)}; texture: ${app.label(texture.name)}. ${bestFirst(app, "texture", "Texture third")}` : flat ? NO_TEXTURE : NOT_YET;
    },
  },
  {
    title: "Reach against motion",
    async enter(app, still) {
      const { frame } = farthest(app.state.value.offsets);
      app.state.frame = frame;
      app.state.size = "fused";
      app.setModel("kpn-l5");
      app.setView("kernels");
      app.picture.choose(`frame-${frame}`);
      await app.parts.places.goToKind("misaligned", still);
    },
    text(app) {
      const { frame, reach } = farthest(app.state.value.offsets);
      const { x, y } = app.state;
      const here = app.answer?.model === "kpn-l5" && app.answer.x === x && app.answer.y === y;
      const sum = here ? ` At this pixel KPN L5 gives frame ${frame} a sum of ${plainText(app.answer.kernels.fused.sum[frame], 2)}.` : "";
      return [`Frame ${frame} has moved ${reach} px. KPN L5 reaches 2 px, MKPN 5, KPN L25 12: of these, ${reach > 12 ? "none reaches its true place" : reach > 5 ? "only KPN L25 reaches its true place" : reach > 2 ? "MKPN and KPN L25 reach its true place" : "all three reach its true place"}.${sum}`];
    },
    question: "What should a kernel do with a frame whose true place is out of reach?",
    answer: () => "Leave it out, with weights near zero or weights that cancel: what it reads there is another part of the scene. Compare its sum with the other frames'.",
  },
  {
    title: "Why separable",
    async enter(app) {
      app.setView("kernels");
      app.setModel("kpn-l5");
      app.state.beside = app.pane("kpn")?.url ? "kpn" : "";
      app.controls();
      app.probe();
    },
    text: (app) => [`A full kernel of side 25 has 625 weights per frame, the two factors of a separable one 50; MKPN's six sizes have 286 weights and 72 numbers. Beside this: the same pixel with a separable and a full 5\u00d75. Whole image: KPN L5 ${decibels(app.pane("kpn-l5")?.psnr)}, full KPN 5\u00d75 ${decibels(app.pane("kpn")?.psnr)}.`],
    question: "Which shape can a product of a column and a row not take?",
    answer: () => "A slanted line: the product is always aligned with rows and columns. The sum of several sizes is less restricted than one product.",
    leave(app) {
      app.state.beside = "";
      app.controls();
      app.probe();
    },
  },
  {
    title: "Why fuse",
    async enter(app, still) {
      app.setModel("mkpn");
      app.setView("ablation");
      const costs = [];
      for (const size of app.pane("mkpn")?.sizes ?? []) {
        const sizes = app.pane("mkpn").sizes.filter((other) => other !== size);
        const found = await app.ask({ what: "ablate", model: "mkpn", sizes, frames: app.state.value.frames.map((_, i) => i), renormalise: true });
        if (!still()) return;
        if (typeof found?.psnr === "number" && typeof found.full === "number") costs.push({ size, cost: shownDifference(found.full, found.psnr) });
      }
      app.lesson.costs = costs;
    },
    text(app) {
      const costs = app.lesson.costs ?? [];
      const list = costs.map(({ size, cost }) => `${size}\u00d7${size} ${signedText(-cost, 2)}`).join(", ");
      return ["MKPN's kernels of six sizes are one mean: a single 11\u00d711 kernel per frame gives the same picture. Switch sizes off and see what each gives.", list ? `Without one size, renormalised, in dB: ${list}.` : "Leaving out one size after the other \u2026"];
    },
    question: "Does this say how good a network with five sizes would be?",
    answer: () => "No. These kernels were trained to work together; what is left out is only missing from the sum. A retrained network would share its work out anew.",
  },
  {
    title: "What MKPN does where",
    async enter(app) {
      app.setModel("mkpn");
      app.parts.maps.choose("radius");
      app.setView("maps");
      await app.parts.maps.show();
    },
    text(app) {
      const means = app.parts.maps.means("mkpn");
      if (!means) return ["Reading the kernels of every pixel \u2026"];
      const three = (values, digits) => values.map((v) => (v === null ? "\u2013" : v.toFixed(digits))).join(" / ");
      return [`Means over flat / edges / texture: effective radius ${three(means.radius, 2)} px, noise gain ${three(means.noise_gain, 3)}. A lower noise gain means more averaging.`];
    },
    question: "Where does it average more, and does the map follow the picture's content?",
    answer(app) {
      const gain = app.parts.maps.means("mkpn")?.noise_gain;
      if (!gain) return NOT_YET;
      const lowest = gain.indexOf(Math.min(...gain.filter((value) => value !== null)));
      return `By noise gain, most in ${["the flat third", "edges", "texture"][lowest]} (${gain[lowest].toFixed(3)}). Move the pixel across an edge and read the values.`;
    },
  },
  {
    title: "Its limits",
    async enter(app, still) {
      app.setView("winners");
      const [found] = await Promise.all([app.parts.places.load(), app.parts.winners.show()]);
      if (!still() || !found) return;
      app.lesson.loss = found.places
        .filter((place) => place.psnr.mkpn !== undefined && place.best !== "mkpn")
        .map((place) => ({ place, by: shownDifference(place.psnr[place.best], place.psnr.mkpn) }))
        .sort((a, b) => b.by - a.by)[0] ?? null;
      const worst = app.lesson.loss?.place;
      if (worst) app.picture.goTo(worst.x, worst.y, 4);
    },
    text(app) {
      const shares = app.parts.winners.shares()?.all;
      const index = app.parts.winners.models()?.indexOf("mkpn") ?? -1;
      const share = shares && index >= 0 ? shares[index] : null;
      const most = share === 1 ? "MKPN has the lowest error in every patch of this size. Smaller patches may show where another network leads." : `MKPN has the lowest error in ${percentText(share).replace(">", "more than ").replace("<", "less than ")} of the area; elsewhere another network leads, or it is a tie.`;
      const area = share === null ? "" : most;
      const { loss } = app.lesson;
      if (loss === undefined) return ["Looking for a place where it loses \u2026"];
      const case_ = loss ? `At x ${loss.place.x}, y ${loss.place.y} it loses by ${lead(loss.by)}: ${app.label(loss.place.best)} has ${loss.place.psnr[loss.place.best].toFixed(2)} dB, MKPN ${loss.place.psnr.mkpn.toFixed(2)}.` : "At the listed places of this picture MKPN loses nowhere; try another picture.";
      return [area, case_].filter(Boolean);
    },
    question: (app) => `Is a patch where another network leads${app.lesson.loss ? ` by ${lead(app.lesson.loss.by)}` : ""} a defeat?`,
    answer: () => "Only if it stays one with other noise: press \u201cTwo more seeds\u201d. What turns grey depended on the noise.",
  },
];

function createLesson(app) {
  const { ui, state, signal } = app;
  const card = ui("lesson");
  let timer = 0;
  let revealed = false;
  let current = null;
  let entered = 0;

  function stopBurst() {
    clearInterval(timer);
    timer = 0;
  }

  const ready = () => state.value && state.value.panes.filter((pane) => pane.sizes && pane.url).length === 10;

  async function open(step) {
    if (step < 0 || step >= LESSON.length) return;
    stopBurst();
    current?.leave?.(app);
    current = null;
    state.lesson = step;
    revealed = false;
    card.hidden = false;
    ui("lesson-toggle").setAttribute("aria-pressed", "true");
    tell();
    card.scrollTop = 0;
    intoSight();
    if (ready()) await enter();
  }

  /** On a phone the card lies below the picture and the view beside it. At once, not gliding: some people bear no motion. */
  const intoSight = () => card.scrollIntoView({ block: "nearest", behavior: "instant" });

  /** Sets up the live app for the step that is open. What a step still waits for when another one is open is dropped. */
  async function enter() {
    const number = (entered += 1);
    const still = () => number === entered && current !== null;
    current = LESSON[state.lesson];
    await current.enter(app, still);
    if (!still()) return;
    app.remember();
    const { top, bottom } = card.getBoundingClientRect();
    tell();
    // With its figures the card is longer; whoever has scrolled away from it stays there.
    if (top < window.innerHeight && bottom > 0) intoSight();
  }

  /** After new results: a lesson that has waited for the run's end, or has lost its run to a new one, begins its step. */
  function follow() {
    if (state.lesson === null) return;
    tell();
    if (ready() && !current) enter();
  }

  function close() {
    stopBurst();
    current?.leave?.(app);
    current = null;
    state.lesson = null;
    if (card.contains(document.activeElement)) ui("lesson-toggle").focus({ preventScroll: true });
    card.hidden = true;
    ui("lesson-toggle").setAttribute("aria-pressed", "false");
    app.remember();
    app.redraw();
  }

  function playBurst() {
    if (timer) return stopBurst();
    let frame = 0;
    timer = setInterval(() => {
      app.picture.choose(`frame-${frame % state.value.frames.length}`);
      frame += 1;
      if (frame > 3 * state.value.frames.length) stopBurst();
    }, BURST_MS);
  }

  function button(text, action, name, disabled) {
    const node = make("button", { type: "button", class: "tool", "data-lesson": name, disabled });
    node.append(text);
    node.addEventListener("click", action);
    return node;
  }

  /** Writes the step with what the numbers are now. */
  function tell() {
    if (state.lesson === null) return;
    const step = LESSON[state.lesson];
    const focus = card.contains(document.activeElement) ? document.activeElement.dataset.lesson : null;
    const wasOpen = card.querySelector("details")?.open;
    const parts = [make("p", { class: "lesson-title" }, `${state.lesson + 1} of ${LESSON.length}: ${step.title}`)];
    if (!ready()) {
      parts.push(make("p", {}, "The lesson reads its numbers from a finished run of all ten models. Wait for its end, choose all ten and press Run, or open one of these: "));
      parts.push(make("p", { class: "row" }, ...LESSON_PICTURES.map(([image, gain, text]) => make("a", { class: "tool", "data-lesson": `open-${image}`, href: `?image=${image}&gain=${gain}&seed=4#explore=kernels&lesson=1` }, text))));
    } else {
      parts.push(...step.text(app).map((text) => make("p", {}, text)));
      parts.push(make("p", { class: "question" }, typeof step.question === "string" ? step.question : step.question(app)));
      if (revealed) parts.push(make("p", { class: "revealed" }, step.answer(app)));
    }
    const row = make("div", { class: "row" },
      button("\u25c0 Back", () => open(state.lesson - 1), "back", state.lesson === 0),
      button(state.lesson === LESSON.length - 1 ? "End" : "Next \u25b6", () => (state.lesson === LESSON.length - 1 ? close() : open(state.lesson + 1)), "next", false),
    );
    if (ready() && !revealed) row.append(button("Reveal", () => ((revealed = true), tell(), intoSight()), "reveal", false));
    if (ready() && step.burst) row.append(button("Play the burst", playBurst, "burst", false));
    parts.push(row, make("details", {}, make("summary", { "data-lesson": "glossary" }, "Glossary"), make("dl", {}, ...GLOSSARY.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]))));
    const { scrollTop } = card;
    card.replaceChildren(...parts);
    card.scrollTop = scrollTop;
    if (wasOpen) card.querySelector("details").open = true;
    if (focus) (card.querySelector(`[data-lesson="${focus}"]:not(:disabled)`) ?? card).focus({ preventScroll: true });
    app.redraw();
  }

  ui("lesson-toggle").addEventListener("click", () => (state.lesson === null ? open(0) : close()), { signal });
  return {
    open,
    close,
    follow,
    /** Whether the step asks for what a view would say in words. */
    withholds: () => state.lesson !== null && Boolean(LESSON[state.lesson].withholds) && ready() && !revealed,
    /** A new run: the figures of the last one are not its own. */
    reset() {
      stopBurst();
      app.lesson.costs = app.lesson.loss = undefined;
      current = null;
      revealed = false;
    },
  };
}
