// In the head of the page: whether the settings are shown is known before anything is drawn, and the page is seen once all
// of its parts are there, because Gradio adds one after the other. So nothing jumps.
(() => {
  const page = document.documentElement;
  const narrow = matchMedia("(max-width: 760px)");
  // A narrow window, which a wide one is when it is enlarged, has a choice of its own: there settings hide the results.
  const arrange = () => {
    page.dataset.settingsKey = narrow.matches ? "mkpn-settings-narrow" : "mkpn-settings";
    let chosen = null;
    try {
      chosen = localStorage.getItem(page.dataset.settingsKey);
    } catch {
      // Storage may be forbidden.
    }
    page.dataset.settings = ["shown", "hidden"].includes(chosen) ? chosen : narrow.matches ? "hidden" : "shown";
  };
  arrange();
  narrow.addEventListener("change", arrange);

  // The first results stand on the page, but an address that names a view asks for others: `overview.js` tells when they come.
  if (/[?&](image|file)=/.test(location.search)) page.dataset.opening = "true";

  const PARTS = ["#intake .drop", "#source img", "#motion", "#introduction p", "#link button", ".mkpn-viewer .stage", "#overview .html-container *", "#table .html-container *", "#shown input"];
  const arrivals = new MutationObserver(() => {
    if (!PARTS.every((part) => document.querySelector(part))) return;
    arrivals.disconnect();
    // The letters' own font is wider or narrower than the one before it, and rows of buttons break elsewhere.
    requestAnimationFrame(() => document.fonts.ready.then(() => requestAnimationFrame(() => (page.dataset.drawn = "true"))));
  });
  arrivals.observe(page, { childList: true, subtree: true });
})();
