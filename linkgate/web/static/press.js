// Says with the press how the button was pressed: by a person's input or by a script, and how long
// the page had been in sight. It fills one hidden field, sends nothing by itself and keeps nothing.
// Without this script, or where it fails, the button works all the same.
// ES5, for the browsers of old phones.
(function () {
  "use strict";
  // Looked up anew each time: extensions rebuild pages, and copies of a form press as well.
  function fieldOf(form) {
    return form && form.querySelector && form.querySelector("input[name=gesture]");
  }

  var field = fieldOf(document);
  // A browser too old to know isTrusted has nothing to say here; it counts as one without script.
  if (!field || !("isTrusted" in document.createEvent("Event"))) return;

  var clock = window.performance && performance.now ? performance : Date;
  var timing = window.performance && performance.timing;
  var press = null;
  var total = 0;
  var since = null;

  // A browser too old to know visibilityState shows what it loads.
  function inSight() {
    return !document.prerendering && (document.visibilityState || "visible") === "visible";
  }

  function seen() {
    return since === null ? total : total + Math.max(0, clock.now() - since);
  }

  function look() {
    total = seen();
    since = inSight() ? clock.now() : null;
  }

  function leave() {
    total = seen();
    since = null;
  }

  // The button that an event was meant for: the page's own has no name, the hidden one has.
  function buttonOf(element) {
    while (element && element.nodeName !== "BUTTON") element = element.parentNode;
    return element && !element.name && fieldOf(element.form) ? element : null;
  }

  look();
  // The page was there before this file had come: on a slow line, long before.
  if (since !== null && clock !== Date && timing && timing.domLoading) {
    since = Math.min(since, timing.domLoading - timing.navigationStart);
  }
  document.addEventListener("visibilitychange", look);
  document.addEventListener("prerenderingchange", look);
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", function (event) {
    look();
    var again = fieldOf(document);
    if (event.persisted && again) {
      // Back from where the press led: that press is spent.
      press = null;
      again.value = "ran";
    }
  });

  // On the window and before all others, so that whatever else listens on the page comes later.
  window.addEventListener("click", function (event) {
    if (buttonOf(event.target)) press = { trusted: event.isTrusted === true, seen: seen() };
  }, true);

  window.addEventListener("submit", function (event) {
    var into = fieldOf(event.target);
    if (!into) return;
    // What stands should a line below fail: the same as without script.
    into.value = "";
    var words = ["ran"];
    if (press) words.push("pressed");
    if (press && press.trusted) words.push("trusted");
    if (navigator.webdriver === true) words.push("driver");
    words.push("seen=" + Math.ceil(press ? press.seen : seen()));
    press = null;
    into.value = words.join(" ");
  }, true);

  // Last, so that a script that failed above has not run. A form that a script submits raises no
  // event, and then this word stands alone.
  field.value = "ran";
})();
