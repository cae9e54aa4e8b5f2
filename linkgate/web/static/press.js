// Says with the press how the button was pressed: by a person's input or by a script, and how long
// the page had been in sight. It fills one hidden field, sends nothing by itself and keeps nothing.
// Without this script, or where it fails, the button works all the same.
// ES5, for the browsers of old phones.
(function () {
  "use strict";
  var form = document.querySelector("form");
  var field = form && form.querySelector("input[name=gesture]");
  var button = form && form.querySelector("button:not([hidden])");
  // A browser too old to know isTrusted has nothing to say here; it counts as one without script.
  if (!field || !button || !("isTrusted" in document.createEvent("Event"))) return;

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
    if (event.persisted) {
      // Back from where the press led: that press is spent.
      press = null;
      field.value = "ran";
    }
  });

  button.addEventListener("click", function (event) {
    press = { trusted: event.isTrusted === true, seen: seen() };
  });

  form.addEventListener("submit", function () {
    // What stands should a line below fail: the same as without script.
    field.value = "";
    var words = ["ran"];
    if (press) words.push("pressed");
    if (press && press.trusted) words.push("trusted");
    if (navigator.webdriver === true) words.push("driver");
    words.push("seen=" + Math.ceil(press ? press.seen : seen()));
    press = null;
    field.value = words.join(" ");
  });

  // Last, so that a script that failed above has not run. A form that a script submits raises no
  // event, and then this word stands alone.
  field.value = "ran";
})();
