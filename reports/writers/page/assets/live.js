"use strict";

// Only in a page that `bench report --serve` or `bench run --watch` serves: loads it again when records have arrived.
(() => {
  const note = (text) => document.body.append(make("div", { class: "reload", role: "status" }, text));
  const events = new EventSource(`/events?seen=${document.body.dataset.version}`);
  events.addEventListener("changed", () => location.reload());
  events.addEventListener("error", () => {
    if (!document.querySelector(".reload")) note("No longer served: this is the last state");
  });
  addEventListener("beforeunload", () => events.close());
})();
