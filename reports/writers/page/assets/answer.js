"use strict";

// The answer in two small figures, and detectors by their mean rank.
const Answer = (() => {
  const { plain, colour, axis, layout, short } = Charts;

  function bounds(lines) {
    return {
      type: "data", symmetric: false, thickness: 1.4, width: 3,
      array: lines.map((line) => (line.high === null ? null : Math.max(0, line.high - line.value))),
      arrayminus: lines.map((line) => (line.low === null ? null : Math.max(0, line.value - line.low))),
    };
  }

  function names(lines, element, share = 1) {
    const most = Math.max(14, Math.floor((share * element.clientWidth) / 16));
    const cut = (text) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
    const font = { size: 12, color: Theme.colour("ink") };
    return axis("", { tickvals: lines.map((_, at) => at), ticktext: lines.map((line) => plain(cut(line.label))), showgrid: false, showline: false, tickfont: font, ticks: "outside", ticklen: 6, tickcolor: "rgba(0,0,0,0)", range: [-0.6, lines.length - 0.4] });
  }

  function said(lines, write) {
    return lines.map((line) => `${plain(line.label)}<br>${write(line.value)}${line.low === null ? "" : `, 95 % interval ${write(line.low)} to ${write(line.high)}`}`);
  }

  /** A panel for each data set, side by side in one plot; all have the same detectors in the same order. */
  function quality(panels) {
    const lines = panels[0].lines.toReversed();
    const titles = panels.map((panel) => panel.title).join(", ");
    const several = panels.length > 1;
    const head = several ? "ROC AUC by detector" : `ROC AUC · ${titles}`;
    const { box, element } = Charts.panel(head, `ROC AUC by detector, with intervals: ${titles}`, { wide: several });
    Charts.plot(element, () => {
      const three = (value) => value.toFixed(3);
      const width = 1 / panels.length;
      const axes = {};
      const annotations = [];
      const traces = panels.flatMap((panel, number) => {
        const own = panel.lines.toReversed();
        const [key, anchor] = number ? [`xaxis${number + 1}`, `x${number + 1}`] : ["xaxis", "x"];
        const domain = [number * width, (number + 1) * width - (several ? 0.07 : 0)];
        axes[key] = axis(several ? "" : "ROC AUC", { nticks: several ? 4 : 6, domain, anchor: "y" });
        const cut = panel.title.length > 28 ? `${panel.title.slice(0, 27)}…` : panel.title;
        if (several) annotations.push({ xref: "paper", yref: "paper", x: domain[0], y: 1, xanchor: "left", yanchor: "bottom", text: plain(cut), showarrow: false, font: { size: 12 } });
        const known = own.map((line, at) => ({ ...line, at })).filter((line) => line.value !== null);
        const dots = known.flatMap((line) => line.dots.map((x) => ({ x, y: line.at, colour: colour(line.colour) })));
        return [
          { xaxis: anchor, x: dots.map((dot) => dot.x), y: dots.map((dot) => dot.y), mode: "markers", hoverinfo: "skip", opacity: 0.35, marker: { size: 5, color: dots.map((dot) => dot.colour) } },
          ...known.map((line) => ({
            xaxis: anchor, x: [line.value], y: [line.at], mode: "markers", marker: { size: 9, color: colour(line.colour) }, error_x: { ...bounds([line]), color: colour(line.colour) },
            text: said([line], three), hovertemplate: "%{text}<extra></extra>",
          })),
          { xaxis: anchor, x: known.map((line) => line.high ?? line.value), y: known.map((line) => line.at), mode: "text", text: known.map((line) => `  ${three(line.value)}`), textposition: "middle right", hoverinfo: "skip", cliponaxis: false, textfont: { size: 11 } },
        ];
      });
      const look = { height: (several ? 70 : 74) + 25 * lines.length, annotations, margin: { l: 10, r: several ? 4 : 44, t: several ? 24 : 4, b: several ? 26 : 42 } };
      return { traces, layout: layout(axes.xaxis, names(lines, element, 1 / panels.length), { ...look, ...axes }) };
    });
    return box;
  }

  /** Beside a single panel of quality, or over the whole line. */
  function rates(found, wide) {
    const lines = found.lines.toReversed();
    const { box, element } = Charts.panel(`Training rate · ${found.title}`, `Training samples/s by backend, with intervals: ${found.title}`, { wide });
    Charts.plot(element, () => {
      const places = lines.map((_, at) => at);
      const traces = [
        {
          type: "bar", orientation: "h", x: lines.map((line) => line.value), y: places, width: 0.66, marker: { color: lines.map((line) => colour(line.colour)) },
          error_x: { ...bounds(lines), color: Theme.colour("ink") }, text: said(lines, short), textposition: "none", hovertemplate: "%{text} samples/s<extra></extra>",
        },
        { x: lines.map((line) => Math.max(line.high ?? 0, line.value)), y: places, mode: "text", text: lines.map((line) => `  ${short(line.value)}`), textposition: "middle right", hoverinfo: "skip", cliponaxis: false, textfont: { size: 11 } },
      ];
      const look = { height: 74 + 25 * lines.length, margin: { l: 10, r: 44, t: 4, b: 42 } };
      return { traces, layout: layout(axis("training samples/s", { tickformat: "~s", rangemode: "tozero", nticks: 5 }), names(lines, element), look) };
    });
    return box;
  }

  function show(container, data) {
    if (data.quality.length) container.append(quality(data.quality));
    if (data.rates.lines.length) container.append(rates(data.rates, data.quality.length !== 1));
  }

  function ranks(container, data) {
    const lines = data.names.map((label, at) => ({ label, value: data.ranks[at] }));
    const { box, element } = Charts.panel("Mean rank", "Mean rank of the detectors", { wide: true });
    Charts.plot(element, () => {
      const traces = [
        { x: data.ranks, y: lines.map((_, at) => at), mode: "markers", marker: { size: 9, color: Theme.colour("ink") }, text: lines.map((line) => `${plain(line.label)}: ${line.value.toFixed(2)}`), hovertemplate: "%{text}<extra></extra>" },
        ...data.bars.map(([start, end], at) => ({
          x: [data.ranks[start], data.ranks[end]], y: [-0.6 - 0.3 * at, -0.6 - 0.3 * at], mode: "lines", line: { width: 5, color: Theme.colour("strong") },
          text: `not told apart: ${data.names.slice(start, end + 1).map(plain).join(", ")}`, hovertemplate: "%{text}<extra></extra>",
        })),
      ];
      const y = { ...names(lines, element), range: [lines.length - 0.4, -0.9 - 0.3 * data.bars.length] };
      return { traces, layout: layout(axis("mean rank (1 is the best)"), y, { height: 90 + 26 * (lines.length + data.bars.length / 3), margin: { l: 10, r: 14, t: 4, b: 42 } }) };
    });
    container.append(box);
  }

  return { show, ranks };
})();
