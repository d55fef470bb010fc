"use strict";

// Sweeps: quality over each swept key, over two at once, and every setting as a line through all of its values.
const Studies = (() => {
  const { plain, colour, axis, layout } = Charts;
  const SHADES = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]; // viridis, from low to high

  function channels(shade) {
    return [1, 3, 5].map((at) => parseInt(shade.slice(at, at + 2), 16));
  }

  /** The colour of a share in [0, 1]. */
  function shade(share) {
    const place = Math.min(1, Math.max(0, share)) * (SHADES.length - 1);
    const at = Math.min(SHADES.length - 2, Math.floor(place));
    const [low, high] = [channels(SHADES[at]), channels(SHADES[at + 1])];
    return `rgb(${low.map((value, i) => Math.round(value + (high[i] - value) * (place - at))).join(",")})`;
  }

  function scale(values) {
    const known = values.filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    return (value) => (high > low ? (value - low) / (high - low) : 0.5);
  }

  // ------------------------------------------------------------------------------------------------------ each key

  function bounds(line) {
    const away = (values, sign) => values.map((value, at) => (value === null ? null : Math.max(0, sign * (value - line.y[at]))));
    return { type: "data", symmetric: false, array: away(line._high, 1), arrayminus: away(line._low, -1), thickness: 1.1, width: 3 };
  }

  function overKeys(container, figures) {
    for (const figure of figures) {
      for (const panel of figure.panels) {
        const { box, element } = Charts.panel(`${figure.name} · ${panel.key}`, `ROC AUC over ${panel.key}: ${figure.name}`);
        Charts.plot(element, () => {
          const traces = panel.lines.flatMap((line, number) => {
            const look = figure.lines[number];
            const x = line.x.map((place) => place + 0.06 * (number - (figure.lines.length - 1) / 2));
            const shown = line.x.map((place) => `${plain(panel.key)} ${plain(panel.labels[place])}`);
            const mean = {
              x, y: line.y, mode: "lines+markers", name: plain(look.label), line: { color: colour(look.colour), dash: look.dash, width: 1.8 }, marker: { size: 6 },
              error_y: bounds(line), hovertemplate: "%{text}: %{y:.3f}<extra>%{fullData.name}</extra>", text: shown,
            };
            if (!line.chosen.length) return [mean];
            const chosen = {
              x, y: line.chosen, mode: "lines+markers", name: `${plain(look.label)}, others chosen`, line: { color: colour(look.colour), dash: "dot", width: 1.4 },
              marker: { size: 7, symbol: "diamond-open" }, hovertemplate: "%{text}: %{y:.3f}<extra>%{fullData.name}</extra>", text: shown,
            };
            return [mean, chosen];
          });
          const x = axis(panel.key, { tickvals: panel.labels.map((_, at) => at), ticktext: panel.labels.map(plain), range: [-0.4, panel.labels.length - 0.6] });
          const legend = { orientation: "h", y: -0.26, yanchor: "top", font: { size: 11 } };
          return { traces, layout: layout(x, axis("ROC AUC"), { height: 320, showlegend: traces.length > 1, legend }) };
        });
        container.append(box);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------- training data

  const MARKERS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];

  function training(container, figures) {
    for (const figure of figures) {
      for (const panel of figure.panels) {
        const { box, element } = Charts.panel(panel.name, `ROC AUC over ${figure.axis}: ${panel.name}`);
        const ticks = panel.ticks.filter(([place]) => place !== null);
        const said = new Map(ticks);
        Charts.plot(element, () => {
          const traces = panel.lines.map((line) => {
            const look = figure.lines[line.look];
            return {
              x: line.x, y: line.y, mode: "lines+markers", name: plain(look.label), line: { color: colour(look.colour), dash: look.dash, width: 1.8 },
              marker: { size: 7, symbol: MARKERS[look.marker] }, error_y: bounds(line), text: line.x.map((place) => plain(said.get(place) ?? place)),
              hovertemplate: `${plain(figure.axis)} %{text}: %{y:.3f}<extra>%{fullData.name}</extra>`,
            };
          });
          const type = figure.logarithmic && ticks.every(([place]) => place > 0) ? "log" : "linear";
          const x = axis(figure.axis, { type, tickvals: ticks.map(([place]) => place), ticktext: ticks.map(([, text]) => plain(text)) });
          const legend = { orientation: "h", y: -0.26, yanchor: "top", font: { size: 11 } };
          return { traces, layout: layout(x, axis("ROC AUC"), { height: 340, showlegend: true, legend }) };
        });
        container.append(box);
      }
    }
  }

  // ------------------------------------------------------------------------------------------------------ two keys

  const CELL = { width: 74, height: 34, left: 110, bottom: 52 };

  function heat(container, figures) {
    for (const figure of figures) {
      const share = scale(figure.panels.flatMap((panel) => panel.cells.flat()));
      for (const panel of figure.panels) {
        const [width, height] = [panel.columns.length * CELL.width, panel.rows.length * CELL.height];
        const svg = draw("svg", {
          class: "heat", viewBox: `0 0 ${CELL.left + width + 8} ${height + CELL.bottom}`, width: CELL.left + width + 8, role: "img",
          "aria-label": `ROC AUC over ${panel.down} and ${panel.across}: ${figure.name}`,
        });
        const text = (x, y, said, more = {}) => svg.append(draw("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central", ...more }, said));
        panel.cells.forEach((line, y) => line.forEach((value, x) => {
          if (value === null) return;
          const place = [CELL.left + x * CELL.width, y * CELL.height];
          const signs = panel.marks.filter((mark) => mark[0] === x && mark[1] === y).map((mark) => mark[2]).join("");
          const cell = draw("rect", { x: place[0] + 1, y: place[1] + 1, width: CELL.width - 2, height: CELL.height - 2, rx: 3, fill: shade(share(value)) });
          cell.append(draw("title", {}, `${panel.down} ${panel.rows[y]}, ${panel.across} ${panel.columns[x]}: ${value.toFixed(3)}`));
          svg.append(cell);
          text(place[0] + CELL.width / 2, place[1] + CELL.height / 2, `${value.toFixed(3)} ${signs}`.trim(), { class: share(value) < 0.6 ? "light" : "dark" });
        }));
        panel.rows.forEach((label, y) => text(CELL.left - 8, (y + 0.5) * CELL.height, cut(label, 10), { "text-anchor": "end" }));
        panel.columns.forEach((label, x) => text(CELL.left + (x + 0.5) * CELL.width, height + 14, cut(label, 10)));
        text(CELL.left + width / 2, height + 36, panel.across, { class: "soft" });
        text(14, height / 2, panel.down, { class: "soft", transform: `rotate(-90 14 ${height / 2})` });
        container.append(make("div", { class: "panel" }, make("h4", {}, Elements.name(`${figure.name} · ${panel.down} and ${panel.across}`)), make("div", { class: "scrolled" }, svg)));
      }
    }
  }

  function cut(text, most) {
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
  }

  // ----------------------------------------------------------------------------------------------------------- all

  const VIEW = { width: 960, height: 340, left: 70, right: 70, top: 40, bottom: 24 };

  function parallel(container, figures) {
    figures.forEach((figure) => container.append(coordinates(figure)));
  }

  function coordinates(figure) {
    const share = scale(figure.lines.map((line) => line.auc));
    const step = (VIEW.width - VIEW.left - VIEW.right) / Math.max(1, figure.axes.length - 1);
    const x = (at) => VIEW.left + at * step;
    const y = (place) => VIEW.height - VIEW.bottom - place * (VIEW.height - VIEW.top - VIEW.bottom);
    const svg = draw("svg", { class: "parallel", viewBox: `0 0 ${VIEW.width} ${VIEW.height}`, role: "group", "aria-label": `Every setting of ${figure.name}` });
    const said = make("p", { class: "note", "aria-live": "polite" }, " ");
    const kept = new Map(); // axis → places that lines have to go through

    const lines = figure.lines.map((line) => {
      const points = line.at.map((place, at) => `${x(at)},${y(place)}`).join(" ");
      const sign = line.sign ? `${line.sign} ` : "";
      const tell = `${sign}${line.text}: ROC AUC ${line.auc.toFixed(3)}`;
      const drawn = draw("polyline", { points, fill: "none", stroke: shade(share(line.auc)), class: line.sign ? "signed" : null });
      // what is pointed at is wider than what is seen
      const reach = draw("polyline", { points, class: "reach" }, draw("title", {}, tell));
      reach.addEventListener("pointerenter", () => {
        drawn.classList.add("told");
        said.textContent = tell;
      });
      reach.addEventListener("pointerleave", () => drawn.classList.remove("told"));
      return { line, drawn, reach };
    });
    const order = [...lines].sort((one, other) => one.line.auc - other.line.auc); // the best on top
    order.forEach(({ drawn }) => svg.append(drawn));
    order.forEach(({ reach }) => svg.append(reach));
    for (const { line } of lines) {
      if (line.sign) svg.append(draw("text", { x: x(figure.axes.length - 1) + 10, y: y(line.at.at(-1)), "dominant-baseline": "central" }, line.sign));
    }

    function choose() {
      for (const { line, drawn, reach } of lines) {
        const out = [...kept].some(([at, places]) => places.size && !places.has(line.at[at]));
        drawn.classList.toggle("out", out);
        reach.classList.toggle("out", out);
      }
    }

    figure.axes.forEach((one, at) => {
      svg.append(draw("line", { x1: x(at), x2: x(at), y1: y(0), y2: y(1), class: "axis" }));
      svg.append(draw("text", { x: x(at), y: 14, "text-anchor": "middle", class: "soft" }, cut(one.name, 22)));
      for (const [place, label] of one.ticks) {
        const near = Math.round(place * 1e4) / 1e4;
        const properties = { x: x(at) - 7, y: y(place), "text-anchor": "end", "dominant-baseline": "central" };
        if (!one.levels) {
          svg.append(draw("text", properties, label));
          continue;
        }
        const toggle = () => {
          const places = kept.get(at) ?? kept.set(at, new Set()).get(at);
          if (!places.delete(near)) places.add(near);
          button.setAttribute("aria-pressed", String(places.has(near)));
          choose();
        };
        const button = draw("text", {
          ...properties, class: "level", role: "button", tabindex: "0", "aria-pressed": "false", onclick: toggle,
          onkeydown: (event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            toggle();
          },
        }, cut(label, 12));
        svg.append(button);
      }
    });
    const more = figure.left_out ? make("p", { class: "note" }, `${figure.left_out} more settings are not drawn.`) : null;
    return make("div", { class: "panel wide" }, make("h4", {}, Elements.name(figure.name)), svg, said, more);
  }

  return { overKeys, training, heat, parallel };
})();
