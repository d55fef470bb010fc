"use strict";

// Plots: one look for all, drawn when they come near the screen, and drawn again when the theme changes.
const Charts = (() => {
  // Dragging zooms and a double click shows all again; under a finger it would keep the page from scrolling.
  const CONFIG = { displayModeBar: false, responsive: true };
  const DRAG = matchMedia("(pointer: coarse)").matches ? false : "zoom";
  const waiting = new Map(); // element → draw
  const drawn = new Map();

  /** A plot's own markup would read `<b>` in a name: here it is text. */
  function plain(text) {
    return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }

  function colour(name) {
    return name === "ink" ? Theme.colour("ink") : name;
  }

  function faint(name, opacity) {
    const probe = colour(name);
    const parts = probe.startsWith("#")
      ? [1, 3, 5].map((at) => parseInt(probe.slice(at, at + 2), 16))
      : probe.match(/\d+/g).slice(0, 3);
    return `rgba(${parts.join(",")},${opacity})`;
  }

  function axis(title, more = {}) {
    const line = Theme.colour("line");
    return {
      title: { text: title, font: { size: 12, color: Theme.colour("soft") }, standoff: 8 },
      gridcolor: line,
      zeroline: false,
      linecolor: Theme.colour("strong"),
      showline: true,
      tickfont: { size: 11, color: Theme.colour("soft") },
      automargin: true,
      ...more,
    };
  }

  /** 1, 2 and 5 times the powers of ten; the powers alone where there are many. */
  function logarithmic(title, values, more = {}) {
    const known = values.filter((value) => value > 0);
    const [low, high] = [Math.min(...known), Math.max(...known)].map(Math.log10);
    const steps = high - low > 3 ? [1] : [1, 2, 5];
    const places = [];
    for (let power = Math.floor(low) - 1; power <= Math.ceil(high) + 1; power += 1) places.push(...steps.map((step) => step * 10 ** power));
    return axis(title, { type: "log", tickvals: places, ticktext: places.map(short), ...more });
  }

  function layout(x, y, more = {}) {
    return {
      font: { family: getComputedStyle(document.body).fontFamily, color: Theme.colour("ink"), size: 12 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 48, r: 10, t: 8, b: 40 },
      height: 300,
      showlegend: false,
      hovermode: "closest",
      hoverlabel: { bgcolor: Theme.colour("paper"), bordercolor: Theme.colour("strong"), font: { color: Theme.colour("ink"), size: 12 }, align: "left", namelength: -1 },
      dragmode: DRAG,
      xaxis: x,
      yaxis: y,
      ...more,
    };
  }

  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => now(entry.target)),
    { rootMargin: "400px" },
  );

  function now(element) {
    const build = waiting.get(element);
    if (!build) return;
    waiting.delete(element);
    watcher.unobserve(element);
    drawn.set(element, build);
    const { traces, layout: look } = build();
    element.plotted = Plotly.newPlot(element, traces, look, CONFIG);
  }

  /** Registers what returns a plot's traces and layout. */
  function plot(element, build) {
    waiting.set(element, build);
    watcher.observe(element);
  }

  /** Draws a plot anew, where it is drawn at all. */
  function again(element) {
    const build = drawn.get(element);
    if (!build) return;
    const { traces, layout: look } = build();
    Plotly.react(element, traces, look, CONFIG);
  }

  function start() {
    Theme.follow(() => drawn.forEach((_, element) => again(element)));
    addEventListener("beforeprint", () => [...waiting.keys()].forEach(now));
  }

  /** A titled box around a plot, with controls beside the title and under it. */
  function panel(title, label, { controls = [], below = [], wide = false } = {}) {
    const element = make("div", { class: "plot", role: "img", "aria-label": label });
    const head = make("h4", {}, Elements.name(title));
    const box = make("div", { class: wide ? "panel wide" : "panel" }, head);
    if (controls.length) box.append(make("div", { class: "controls" }, ...controls));
    box.append(element, ...below);
    return { box, element };
  }

  /** Letters that stand for a power of a thousand, as in the tables. */
  function short(value) {
    if (value === null || value === undefined) return "—";
    if (Math.abs(value) < 1) return String(Number(value.toPrecision(3)));
    const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1) / 3)));
    return `${Number((value / 1000 ** power).toPrecision(3))}${["", "k", "M", "G", "T"][power]}`;
  }

  return { plain, colour, faint, axis, logarithmic, layout, plot, again, panel, short, start };
})();
