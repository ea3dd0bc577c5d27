// In the head of the page: Gradio opens its heartbeat once. Where that connection breaks, as when a computer sleeps or a
// proxy cuts it, the page would count as closed, and its run would be forgotten. An EventSource connects again by itself.
(() => {
  let beats = false;
  // A request has its entry when it has ended, and this one ends only where it breaks.
  new PerformanceObserver((list) => {
    const broken = list.getEntries().find(({ name }) => name.includes("/gradio_api/heartbeat/"));
    if (!broken || beats) return;
    beats = true;
    new EventSource(broken.name);
  }).observe({ type: "resource", buffered: true });
})();
