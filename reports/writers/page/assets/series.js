"use strict";

// A series over time: its channels with the anomalies shaded, and under them scores, thresholds and flags.
const SeriesPlots = (() => {
  const { plain, colour, faint, axis, layout } = Charts;
  const ANOMALY = "#AA3377";
  const [CHANNEL, SCORE] = [54, 84]; // pixels of a channel and of the scores of a detector

  /** The stretches between the lowest and the highest values, as one closed line. */
  function band(at, low, high) {
    return { x: [...at, ...at.toReversed()], y: [...high, ...low.toReversed()] };
  }

  function show(container, figures) {
    figures.forEach((figure) => container.append(one(figure)));
  }

  function one(figure) {
    const rows = figure.channels.length + figure.lines.length;
    const { box, element } = Charts.panel(figure.name, `The series over time: ${figure.name}`, { wide: true });
    Charts.plot(element, () => {
      const whole = CHANNEL * figure.channels.length + SCORE * figure.lines.length;
      const axes = {};
      const traces = [];
      const names = [];
      let top = 1;
      const place = (row, height, title, more) => {
        const key = row ? `yaxis${row + 1}` : "yaxis";
        const bottom = Math.max(0, top - height / whole);
        axes[key] = axis("", { domain: [bottom + 0.004, top - 0.004], anchor: "x", showgrid: false, ...more });
        const middle = { xref: "paper", yref: "paper", x: -0.035, y: (bottom + top) / 2, xanchor: "right", yanchor: "middle" };
        names.push({ ...middle, text: plain(title), showarrow: false, font: { size: 11, color: Theme.colour("soft") } });
        top = bottom;
        return row ? `y${row + 1}` : "y";
      };
      figure.channels.forEach((channel, row) => {
        const yaxis = place(row, CHANNEL, channel.name, { showticklabels: false });
        traces.push({ ...band(figure.at, channel.low, channel.high), yaxis, mode: "lines", line: { color: Theme.colour("ink"), width: 0.8 }, fill: "toself", fillcolor: faint("ink", 0.6), hoverinfo: "skip" });
      });
      figure.lines.forEach((line, number) => {
        const yaxis = place(figure.channels.length + number, SCORE, line.name, { nticks: 3 });
        const flagged = line.flags.flatMap(([start, stop]) => [start, stop, null]);
        const [low, high] = [Math.min(...line.score), Math.max(...line.score)];
        const floor = low - 0.12 * (high - low || 1);
        const hue = colour(line.colour);
        traces.push(
          { x: figure.at, y: line.score, yaxis, mode: "lines", line: { color: hue, width: 1.2 }, hovertemplate: `step %{x:.0f}: score %{y:.4g}<extra>${plain(line.name)}</extra>` },
          { x: [0, figure.steps], y: [line.threshold, line.threshold], yaxis, mode: "lines", line: { color: Theme.colour("ink"), width: 1, dash: "dash" }, hovertemplate: "threshold %{y:.4g}<extra></extra>" },
          { x: flagged, y: flagged.map((step) => (step === null ? null : floor)), yaxis, mode: "lines", line: { color: hue, width: 5 }, hoverinfo: "skip" },
        );
      });
      const shapes = figure.events.map(([start, stop]) => ({ type: "rect", xref: "x", yref: "paper", x0: start, x1: Math.max(stop, start + figure.steps / 600), y0: 0, y1: 1, fillcolor: ANOMALY, opacity: 0.22, line: { width: 0 }, layer: "below" }));
      const x = axis("step of the test part", { range: [0, figure.steps], showgrid: false, anchor: rows > 1 ? `y${rows}` : "y" });
      const look = { height: whole + 60, shapes, annotations: names, margin: { l: 150, r: 14, t: 4, b: 40 }, ...axes };
      return { traces, layout: layout(x, axes.yaxis, look) };
    });
    return box;
  }

  return { show };
})();
