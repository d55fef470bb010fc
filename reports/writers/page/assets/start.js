"use strict";

// Fills the page from its data.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const each = (attribute, fill) => document.querySelectorAll(`[data-${attribute}]`).forEach((element) => fill(element, element.dataset[attribute]));

  Theme.start();
  Charts.start();
  each("grid", (element, key) => Grids.show(element, data.tables[key]));
  each("dataset", (element, key) => Datasets.show(element, data.datasets[key]));
  each("key", (element) => Grids.phasesKey(element, data.tables.trials.phases));
  each("plots", (element, kind) => {
    if (kind === "bars") Speed.bars(element, data.speed.bars);
    if (kind === "roofline") Speed.roofline(element, data.speed.roofline);
    if (kind === "batch") Speed.curves(element, data.speed.batch, "batch size");
    if (kind === "rows") Speed.curves(element, data.speed.rows, "training rows");
  });
  each("plot", (element) => Speed.ladder(element, data.ladder));
})();
