"use strict";

// Speed: bars with intervals, the roofline, curves over batch size and rows; and the ladder of equality.
const Speed = (() => {
  const { plain, colour, axis, logarithmic, layout, short } = Charts;
  const LETTER = 15; // pixels of a panel for each letter of a bar's label: these take less than half of it

  /** A label's first and last letters: settings that tell bars apart mostly stand at the end. */
  function cut(text, width) {
    const most = Math.max(18, Math.floor(width / LETTER));
    const end = Math.floor(most / 2);
    return text.length > most ? `${text.slice(0, most - end - 1)}…${text.slice(-end)}` : text;
  }

  /** Distances from the value to its bounds, as error bars want them. */
  function bounds(values, lows, highs) {
    const known = (low, at) => (low === null ? null : Math.max(0, values[at] - low));
    const over = (high, at) => (high === null ? null : Math.max(0, high - values[at]));
    return {
      type: "data", symmetric: false, array: highs.map(over), arrayminus: lows.map(known),
      color: Theme.colour("ink"), thickness: 1.1, width: 3,
    };
  }

  function bars(container, sets) {
    for (const set of sets) {
      let kind = "train";
      const kinds = ["train", "scoring"];
      const pick = Elements.switches("Rate", ["Training", "Scoring"], (place) => {
        kind = kinds[place];
        Charts.again(element);
      });
      let every = !set.bars.some((bar) => bar.network);
      const mixed = !every && set.bars.some((bar) => !bar.network);
      const whose = mixed && Elements.switches("Detectors", ["Networks", "All"], (place) => {
        every = place === 1;
        Charts.again(element);
      });
      const { box, element } = Charts.panel(set.name, `Rates on ${set.name}`, { controls: [pick, whose].filter(Boolean) });
      if (set.left_out) box.append(make("p", { class: "note" }, `${set.left_out} more rows are in the tables alone.`));
      Charts.plot(element, () => {
        const shown = set.bars.filter((bar) => bar[kind] !== null && (every || bar.network)).toReversed();
        const x = shown.map((bar) => bar[kind]);
        const [lows, highs] = ["_low", "_high"].map((part) => shown.map((bar) => bar[kind + part]));
        const said = shown.map((bar, at) => (lows[at] === null ? "" : `<br>95 % interval ${short(lows[at])} to ${short(highs[at])}`));
        const trace = {
          type: "bar", orientation: "h", x, y: shown.map((_, at) => at), marker: { color: shown.map((bar) => colour(bar.colour)) },
          error_x: bounds(x, lows, highs), width: 0.7, customdata: shown.map((bar) => plain(bar.label)), text: said, textposition: "none",
          hovertemplate: "%{customdata}<br>%{x:.3s} samples/s%{text}<extra></extra>",
        };
        const y = axis("", { tickvals: shown.map((_, at) => at), ticktext: shown.map((bar) => plain(cut(bar.label, element.clientWidth))), showgrid: false, showline: false, tickfont: { size: 11, color: Theme.colour("ink") } });
        const look = { height: Math.max(150, 74 + 23 * shown.length), hovermode: "closest", margin: { l: 10, r: 14, t: 4, b: 42 } };
        return { traces: [trace], layout: layout(axis(`${kind === "train" ? "training" : "scoring"} samples/s`, { tickformat: "~s", rangemode: "tozero", nticks: 6 }), y, look) };
      });
      container.append(box);
    }
  }

  // ------------------------------------------------------------------------------------------------------ roofline

  const SYMBOLS = ["circle", "diamond", "square", "triangle-up"];

  function roofline(container, roofs) {
    for (const roof of roofs) {
      const title = roof.roofs.map((one) => one.name).join("; ");
      const { box, element } = Charts.panel(title, `Roofline of ${title}`, { wide: true });
      if (roof.left_out) box.append(make("p", { class: "note" }, `${roof.left_out} more scenarios are left out.`));
      Charts.plot(element, () => {
        const xs = roof.points.map((point) => point.x);
        const ridges = roof.roofs.map((one) => one.peak / one.copy);
        const [low, high] = [Math.min(...xs, ...ridges) / 2, Math.max(...xs, ...ridges) * 3];
        const line = { color: Theme.colour("soft"), width: 2.5 };
        const roofLines = roof.roofs.map((one, at) => ({
          x: [low, ridges[at], high], y: [low * one.copy, one.peak, one.peak], mode: "lines", line,
          text: ["copying", "ridge", "large products"].map((word) => `${plain(one.name)}, ${word}: ${short(one.copy)}B/s, ${short(one.peak)}FLOP/s`), hovertemplate: "%{text}<extra>the roof</extra>",
        }));
        const limits = {
          x: xs, y: roof.points.map((point) => point.products), mode: "markers", hoverinfo: "skip",
          marker: { symbol: "line-ew", size: 13, line: { width: 1.6, color: Theme.colour("soft") } },
        };
        const groups = roof.kinds.map((kind, place) => {
          const own = roof.points.filter((point) => point.kind === place);
          return {
            x: own.map((point) => point.x), y: own.map((point) => point.y), mode: "markers",
            marker: { size: 9, symbol: SYMBOLS[place % SYMBOLS.length], color: own.map((point) => colour(point.colour)), line: { width: 1, color: Theme.colour("paper") } },
            text: own.map((point) => `${plain(point.backend)} · ${plain(kind)}<br>${short(point.y)}FLOP/s, ${point.fraction ?? "—"} of its products' rate`),
            hovertemplate: "%{text}<extra></extra>",
          };
        });
        return {
          traces: [...roofLines, limits, ...groups],
          layout: layout(logarithmic("operations per byte moved", [low, high]), logarithmic("operations a second", [...roofLines.flatMap((one) => one.y), ...roof.points.map((point) => point.y)]), { height: 380, margin: { l: 60, r: 14, t: 8, b: 44 } }),
        };
      });
      const key = roof.kinds.slice(0, 8).map((kind, place) => `${["●", "◆", "■", "▲"][place % 4]} ${kind}`).join("   ");
      box.append(make("p", { class: "note" }, Elements.name(key), "   – the products alone, this point's limit"));
      container.append(box);
    }
  }

  // -------------------------------------------------------------------------------------------------------- curves

  function curves(container, figures, what) {
    for (const figure of figures) {
      const { box, element } = Charts.panel(figure.name, `Training throughput over ${what}: ${figure.name}`);
      Charts.plot(element, () => {
        const traces = figure.lines.map((line) => ({
          x: line.x, y: line.y, mode: "lines+markers", name: plain(line.label), line: { color: colour(line.colour), dash: line.dash, width: 1.8 }, marker: { size: 6 },
          error_y: bounds(line.y, line._low, line._high), text: line.y.map(short),
          hovertemplate: `${what} %{x:,}: %{text} samples/s<extra>%{fullData.name}</extra>`,
        }));
        if (figure.limit.length) {
          traces.unshift({
            x: figure.limit.map((point) => point[0]), y: figure.limit.map((point) => point[1]), mode: "lines", name: "limit: the products alone",
            line: { color: Theme.colour("strong"), width: 4 }, hovertemplate: "%{y:.3s} samples/s<extra>%{fullData.name}</extra>",
          });
        }
        const places = [...new Set(figure.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
        const x = axis(what, { type: "log", tickvals: places, ticktext: places.map((place) => place.toLocaleString("en")) });
        const legend = { orientation: "h", y: -0.24, yanchor: "top", font: { size: 11 } };
        return { traces, layout: layout(x, logarithmic("training samples/s", traces.flatMap((trace) => trace.y)), { height: 360, showlegend: true, legend }) };
      });
      container.append(box);
    }
  }

  // -------------------------------------------------------------------------------------------------------- ladder

  const SHADES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
  const FLOOR = 1e-17; // where an error of 0 is drawn on a logarithmic axis

  function ladder(container, ladders) {
    const rungs = [...new Set(ladders.flatMap((one) => one.rungs.map((rung) => rung.name)))].toReversed();
    const { box, element } = Charts.panel("Largest error of every rung, beside its bound", "The largest error of every rung, beside its bound", { wide: true });
    container.append(box);
    Charts.plot(element, () => {
      const traces = ladders.flatMap((one, place) => {
        const at = (rung) => rungs.indexOf(rung.name) + (place - (ladders.length - 1) / 2) * 0.22;
        const known = one.rungs.filter((rung) => rung.error !== null);
        const bound = one.rungs.filter((rung) => rung.bound);
        const shade = SHADES[place % SHADES.length];
        return [
          {
            x: bound.map((rung) => rung.bound), y: bound.map(at), mode: "markers", showlegend: false, hovertemplate: "bound %{x:.1e}<extra></extra>",
            marker: { symbol: "line-ns", size: 11, line: { width: 2, color: shade } },
          },
          {
            x: known.map((rung) => Math.max(rung.error, FLOOR)), y: known.map(at), mode: "markers", name: plain(one.name),
            marker: { size: 8, color: shade }, text: known.map((rung) => `${plain(rung.name)}: ${rung.error}`), hovertemplate: "%{text}<extra>%{fullData.name}</extra>",
          },
        ];
      });
      const y = axis("", { tickvals: rungs.map((_, at) => at), ticktext: rungs.map(plain), tickfont: { size: 11, color: Theme.colour("ink") } });
      const x = axis("largest error (dot) and bound (stroke)", { type: "log", exponentformat: "power", dtick: 2 });
      const legend = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } };
      return { traces, layout: layout(x, y, { height: 110 + 26 * rungs.length, showlegend: true, legend, margin: { l: 10, r: 14, t: 30, b: 44 } }) };
    });
  }

  return { bars, roofline, curves, ladder };
})();
