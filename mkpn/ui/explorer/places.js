// Numbered places worth a look.

const PLACE_WORDS = {
  differ: (place, name) => `models differ by ${place.value.toFixed(1)} dB: ${name(place.best)} best, ${name(place.worst)} worst`,
  flat: (place) => `flat (${percentText(place.value)} of the patch): a large kernel may average widely`,
  edge: (place) => `edge (${percentText(place.value)}): averaging across it would blur`,
  texture: (place) => `texture (${percentText(place.value)}): detail in all directions`,
  misaligned: (place) => `misaligned: motion alone puts the plain mean of the burst off by ${(255 * place.value).toFixed(0)} levels of 255`,
  behind: (place, name) => `MKPN is behind here: ${name(place.best)} is better by ${lead(shownDifference(place.psnr[place.best], place.psnr.mkpn))}`,
};
const PLACE_ZOOM = 6;

function createPlaces(app) {
  const { ui, state } = app;
  let answer = null;
  let asked = "";
  let pending = null;
  let current = -1;
  let listed = null; // the answer whose places are the buttons

  function load() {
    const key = `${state.value.token} ${app.models().length}`;
    if (key === asked) return pending;
    asked = key;
    return (pending = ask(key));
  }

  async function ask(key) {
    const found = await app.ask({ what: "places" });
    if (key !== asked) return answer;
    if (!found) asked = "";
    else answer = found;
    return answer;
  }

  async function show() {
    if (app.models().length < 2) return setText(ui("places-note"), "Places need two models or more that have run.");
    if (!answer) setText(ui("places-note"), "Looking for places \u2026");
    if (!(await load()) || listed === answer) return;
    // The place that was gone to, not its number: more models find other places.
    const was = listed?.places[current];
    current = answer.places.findIndex(({ x, y }) => x === was?.x && y === was?.y);
    listed = answer;
    ui("places-list").replaceChildren(...answer.places.map((place, index) => {
      const numbers = Object.entries(place.psnr).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, value]) => `${app.label(name)} ${value.toFixed(2)}`).join(", ");
      const button = make("button", { type: "button", class: "place", "data-place": index, "aria-pressed": String(index === current) },
        make("b", {}, String(index + 1)), make("span", {}, PLACE_WORDS[place.kind](place, app.label), make("small", {}, ` x ${place.x}, y ${place.y}; best here: ${numbers} dB`)));
      button.addEventListener("click", () => go(index));
      return make("li", {}, button);
    }));
    setText(ui("places-note"), `Patches of ${answer.side}\u00d7${answer.side} pixels. ${state.value.rule}`);
    app.redraw();
  }

  function go(index) {
    const place = answer?.places[index];
    if (!place) return;
    current = index;
    for (const button of ui("places-list").querySelectorAll("button")) button.setAttribute("aria-pressed", Number(button.dataset.place) === index);
    app.picture.goTo(place.x, place.y, PLACE_ZOOM);
    app.redraw();
  }

  return {
    load,
    show,
    /** Goes to the first place of a kind, if that is still wanted when the places are known. */
    async goToKind(kind, wanted) {
      const found = await load();
      if (found && wanted()) go(found.places.findIndex((place) => place.kind === kind));
    },
    over(context, place) {
      if (!answer) return;
      const unit = pixelUnit();
      const type = (unit * parseFloat(getComputedStyle(app.root).fontSize)) / 13;
      for (const [index, { x, y }] of answer.places.entries()) {
        // Of an even side the centre lies between two pixels.
        const [cx, cy] = [place.originX + (x + (answer.side % 2) / 2) * place.scale, place.originY + (y + (answer.side % 2) / 2) * place.scale];
        const half = (answer.side / 2) * place.scale;
        context.lineWidth = 3 * unit;
        context.strokeStyle = "#000";
        context.strokeRect(cx - half, cy - half, 2 * half, 2 * half);
        context.lineWidth = 1.5 * unit;
        context.strokeStyle = index === current ? "#fd3" : "#fff";
        context.strokeRect(cx - half, cy - half, 2 * half, 2 * half);
        context.fillStyle = "#000";
        context.fillRect(cx - half, cy - half, 16 * type, 16 * type);
        context.fillStyle = "#fff";
        context.font = `bold ${12 * type}px sans-serif`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(String(index + 1), cx - half + 8 * type, cy - half + 8.5 * type);
      }
    },
    reset: () => ((answer = listed = null), (asked = ""), (current = -1), ui("places-list").replaceChildren()),
  };
}
