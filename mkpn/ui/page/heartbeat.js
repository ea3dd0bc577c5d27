// In the head of the page: Gradio opens its heartbeat once. Where that connection breaks, as when a computer sleeps or a
// proxy cuts it, the page would count as closed, and its run would be forgotten. An EventSource connects again by itself.
(() => {
  let beats = false;
  // A request has its entry when it has ended, and this one ends only where it breaks.
  new PerformanceObserver((list) => {
    const broken = list.getEntries().find(({ name }) => name.includes("/gradio_api/heartbeat/"));
    if (!broken || beats) return;
    beats = true;
    const connect = () => {
      const heartbeat = new EventSource(broken.name);
      // It gives up where a proxy answers in the app's place.
      heartbeat.onerror = () => heartbeat.readyState === EventSource.CLOSED && setTimeout(connect, 5000);
    };
    connect();
  }).observe({ type: "resource", buffered: true });
})();
