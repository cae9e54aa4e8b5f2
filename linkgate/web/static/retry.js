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
  const spread = Number(form.dataset.spread) || Math.min(Math.max(1, wait / 2), 15);
  const delay = 1000 * (wait + Math.random() * spread);
  // Whoever has long to wait looks in before it is their turn: that one is what they read of.
  const shown = Math.max(delay, 1000 * (Number(form.dataset.left) || 0));
  const { auto, one, other, minutes, now } = line.dataset;
  const title = document.title;
  let steady = 0;
  let wall = 0;
  let timer = 0;

  // In minutes above 90 seconds, as the page itself says it.
  const time = (seconds) =>
    seconds > 90
      ? minutes.replace("{count}", String(Math.ceil(seconds / 60)))
      : (seconds === 1 ? one : other).replace("{count}", String(seconds));

  const sentence = (seconds) => auto.replace("{time}", time(seconds));

  // Neither clock does alone: one stands still while some machines sleep, and the other may be set.
  const passed = () => Math.max(performance.now() - steady, Date.now() - wall);

  const stop = () => {
    clearInterval(timer);
    timer = 0;
  };

  const tick = () => {
    const seen = document.visibilityState === "visible";
    const over = passed();
    // Nobody looks at a hidden tab, but its title shows that it is time to come back to it.
    document.title = over >= delay && !seen ? `\u25cf ${title}` : title;
    if (over < delay) {
      line.textContent = sentence(Math.ceil((shown - over) / 1000));
    } else if (seen && navigator.onLine !== false) {
      // A hidden tab waits, and so does an offline one: there the POST would only trade this page
      // for the browser's own error page.
      stop();
      line.textContent = spoken.textContent = now;
      form.submit();
    }
  };

  const start = () => {
    steady = performance.now();
    wall = Date.now();
    // The eye gets every second; a screen reader hears the sentence once, and again at the end.
    line.setAttribute("aria-hidden", "true");
    spoken.textContent = sentence(Math.ceil(shown / 1000));
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
