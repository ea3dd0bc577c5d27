// In the head of the page: whether the settings are shown is known before anything is drawn, and the page is seen once all
// of its parts are there, because Gradio adds one after the other. So nothing jumps.
(() => {
  const page = document.documentElement;
  let chosen = null;
  try {
    chosen = localStorage.getItem("mkpn-settings");
  } catch {
    // Storage may be forbidden.
  }
  const narrow = matchMedia("(max-width: 760px)").matches;
  page.dataset.settings = ["shown", "hidden"].includes(chosen) ? chosen : narrow ? "hidden" : "shown";

  const PARTS = ["#intake .drop", "#source img", "#motion", "#introduction p", "#link button", ".mkpn-viewer .stage", "#overview .html-container *", "#table .html-container *", "#shown input"];
  const arrivals = new MutationObserver(() => {
    if (!PARTS.every((part) => document.querySelector(part))) return;
    arrivals.disconnect();
    // The letters' own font is wider or narrower than the one before it, and rows of buttons break elsewhere.
    requestAnimationFrame(() => document.fonts.ready.then(() => requestAnimationFrame(() => (page.dataset.drawn = "true"))));
  });
  arrivals.observe(page, { childList: true, subtree: true });
})();
