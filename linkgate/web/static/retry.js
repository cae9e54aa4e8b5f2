// The busy page tries again by itself: by POST, as its button does, and only for someone who is
// there to see it. Without this script the button alone works.
(() => {
  "use strict";
  const form = document.querySelector("form[data-retry-after]");
  const line = form?.querySelector(".count");
  const spoken = form?.querySelector("[role=status]");
  if (!form || !line || !spoken) return;

  const wait = Math.max(1, Number(form.dataset.retryAfter) || 5);
  // Jitter, so that the people who were sent away together do not come back together. Whoever has
  // a turn of their own is told how little of it that needs.
  const spread = Number(form.dataset.spread) || Math.max(1, wait / 2);
  const delay = 1000 * (wait + Math.random() * spread);
  const { auto, one, other, minutes, now } = line.dataset;
  let due = 0;
  let timer = 0;

  // In minutes above 90 seconds, as the page itself says it.
  const time = (seconds) =>
    seconds > 90
      ? minutes.replace("{count}", String(Math.ceil(seconds / 60)))
      : (seconds === 1 ? one : other).replace("{count}", String(seconds));

  const sentence = (seconds) => auto.replace("{time}", time(seconds));

  const stop = () => {
    clearInterval(timer);
    timer = 0;
  };

  const tick = () => {
    const left = Math.ceil((due - performance.now()) / 1000);
    if (left > 0) {
      line.textContent = sentence(left);
    } else if (document.visibilityState === "visible" && navigator.onLine !== false) {
      // A hidden tab waits, and so does an offline one: there the POST would only trade this page
      // for the browser's own error page.
      stop();
      line.textContent = spoken.textContent = now;
      form.submit();
    }
  };

  const start = () => {
    due = performance.now() + delay;
    // The eye gets every second; a screen reader hears the sentence once, and again at the end.
    line.setAttribute("aria-hidden", "true");
    spoken.textContent = sentence(Math.ceil(delay / 1000));
    timer = setInterval(tick, 500);
    tick();
  };

  form.addEventListener("submit", stop);
  // Someone who comes back with the back button wants to be here, not to be sent on again.
  window.addEventListener("pagehide", stop);
  document.addEventListener("visibilitychange", () => timer && tick());
  window.addEventListener("online", () => timer && tick());

  if (document.prerendering) {
    document.addEventListener("prerenderingchange", start, { once: true });
  } else {
    start();
  }
})();
