"use strict";

// What a network has learned: rows and their reconstructions, rows from the prior, a walk, and the decision surface.
const Learned = (() => {
  function panel(all) {
    const known = all.filter((series) => series.learned?.length);
    if (!known.length) return null;
    const list = make("div", { class: "sheets" });
    const choose = (series) => list.replaceChildren(...series.learned.map(sheet));
    const pick = Elements.choice("Network", known.map((one) => one.label), (place) => choose(known[place]));
    choose(known[0]);
    return make("div", { class: "panel wide" },
      make("h4", {}, "What the network has learned"), make("div", { class: "controls" }, pick), list);
  }

  /** Shades from light to dark as the paper's figures have them; 0 is what lies between images. */
  function sheet({ title, down, across, width, height, pixels }) {
    const canvas = make("canvas", { width, height, role: "img", "aria-label": title });
    const context = canvas.getContext("2d");
    const picture = context.createImageData(width, height);
    [...atob(pixels)].forEach((byte, place) => {
      const value = byte.charCodeAt(0);
      picture.data.set(value ? [256 - value, 256 - value, 256 - value, 255] : [0, 0, 0, 0], 4 * place);
    });
    context.putImageData(picture, 0, 0);
    const axes = [down && `down: ${down}`, across && `across: ${across}`].filter(Boolean).join("; ");
    return make("figure", {}, canvas, make("figcaption", {}, title, axes ? make("small", {}, ` (${axes})`) : null));
  }

  /** The decision surface under the points of the plane: where rows are flagged, and how high they score. */
  function ground({ low, high, width, height, ranks, flagged }) {
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d");
    const picture = context.createImageData(width, height);
    const [shades, marks] = [atob(ranks), atob(flagged)];
    for (let place = 0; place < shades.length; place += 1) {
      // rows of an image go down, those of the plane up
      const at = (height - 1 - Math.floor(place / width)) * width + (place % width);
      const hue = marks.charCodeAt(place) ? [170, 51, 119] : [90, 120, 160];
      picture.data.set([...hue, 12 + 0.45 * shades.charCodeAt(place)], 4 * at);
    }
    context.putImageData(picture, 0, 0);
    return {
      source: canvas.toDataURL(), xref: "x", yref: "y", x: low[0], y: high[1], sizex: high[0] - low[0], sizey: high[1] - low[1],
      sizing: "stretch", layer: "below",
    };
  }

  return { panel, ground };
})();
