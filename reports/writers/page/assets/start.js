"use strict";

// Fills the page from its data: tables and plots at once, those that are folded away when they are opened.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const draw = {
    answer: Answer.show,
    ranks: Answer.ranks,
    dataset: Datasets.show,
    bars: Speed.bars,
    roofline: Speed.roofline,
    batch: (element, found) => Speed.curves(element, found, "batch size"),
    rows: (element, found) => Speed.curves(element, found, "training rows"),
    ladder: Speed.ladder,
    sweep: Studies.overKeys,
    heat: Studies.heat,
    parallel: Studies.parallel,
    training: Studies.training,
    series: SeriesPlots.show,
  };

  function fill(element) {
    if (element.childElementCount) return;
    if (element.dataset.grid) Grids.show(element, data.tables[element.dataset.grid]);
    else draw[element.dataset.kind](element, data.plots[element.dataset.plot]);
  }

  Theme.start();
  Charts.start();
  const places = [...document.querySelectorAll("[data-grid], [data-plot]")];
  places.filter((element) => !element.closest("details")).forEach(fill);
  const open = (fold) => fold.querySelectorAll("[data-grid], [data-plot]").forEach(fill);
  document.querySelectorAll("details").forEach((fold) => fold.addEventListener("toggle", () => fold.open && open(fold)));
  // on paper there is nothing to click; what a link leads to is open
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
  const follow = () => document.getElementById(location.hash.slice(1))?.querySelectorAll("details:only-of-type").forEach((fold) => (fold.open = true));
  addEventListener("hashchange", follow);
  follow();
})();
