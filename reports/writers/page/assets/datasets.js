"use strict";

// What is drawn of one data set; its legend switches detectors on and off in all of its plots.
const Datasets = (() => {
  const { plain, colour, faint, axis, logarithmic, layout } = Charts;
  const fixed = (value, places = 3) => (value === null || value === undefined ? "—" : value.toFixed(places));
  const DASHES = { solid: null, dash: "6 3", dot: "2 3", dashdot: "6 3 2 3" };

  function show(container, data) {
    const view = { all: data.series, hidden: new Set(), plots: [] };
    if (!data.series.length) return;
    container.append(legend(view));
    if (data.left_out) container.append(make("p", { class: "note" }, `The best ${data.series.length} rows; ${data.left_out} more are in the table alone.`));
    const row = make("div", { class: "row" });
    const parts = [curve(view, ROC), curve(view, PR), scores(view), losses(view), latent(view), Learned.panel(view.all), tops(view)];
    row.append(...parts.filter(Boolean));
    // a panel that would stand beside nothing has the line for itself
    let alone = null;
    for (const part of row.children) {
      if (part.classList.contains("wide")) {
        alone?.classList.add("wide");
        alone = null;
      } else alone = alone ? null : part;
    }
    alone?.classList.add("wide");
    container.append(row);
  }


  // -------------------------------------------------------------------------------------------------------- legend

  function legend(view) {
    const chips = view.all.map((series) => {
      const line = draw("line", { x1: 0, x2: 22, y1: 5, y2: 5, "stroke-width": 2.5, "stroke-dasharray": DASHES[series.dash] });
      line.style.stroke = series.colour === "ink" ? "var(--ink)" : series.colour;
      const sample = draw("svg", { width: 22, height: 10, "aria-hidden": "true" }, line);
      const chip = make("button", { type: "button", class: "chip", "aria-pressed": "true" }, sample, Elements.name(series.label));
      chip.addEventListener("click", () => {
        if (!view.hidden.delete(series)) view.hidden.add(series);
        chip.setAttribute("aria-pressed", String(!view.hidden.has(series)));
        view.plots.forEach(Charts.again);
      });
      return chip;
    });
    return make("div", { class: "legend", role: "group", "aria-label": "Detectors shown" }, ...chips);
  }

  // -------------------------------------------------------------------------------------------------------- curves

  const ROC = {
    title: "ROC curve", x: "false positive rate", y: "true positive rate (recall)",
    points: (found) => [found.fpr, found.tpr, found.thresholds],
    here: (judged) => [judged.fpr, judged.recall], chance: [[0, 1], [0, 1]], area: (series) => `AUC ${fixed(series.auc)}`,
  };
  const PR = {
    title: "Precision–recall curve", x: "recall", y: "precision",
    points: (found) => [found.recall, found.precision, found.at],
    here: (judged) => [judged.recall, judged.precision], chance: null, area: (series) => `AP ${fixed(series.ap)}`,
  };

  function curve(view, kind) {
    const known = view.all.filter((series) => (series.curves ??= Scores.curves(series)) && kind.points(series.curves)[0].length);
    if (!known.length) return null;
    const { box, element } = Charts.panel(kind.title, `${kind.title} of ${known.length} detectors`);
    Charts.plot(element, () => {
      const traces = known.filter((series) => !view.hidden.has(series)).map((series) => {
        const [x, y, thresholds] = kind.points(series.curves);
        return {
          x, y, mode: "lines", name: plain(series.label), line: { color: colour(series.colour), width: 1.8, dash: series.dash },
          text: thresholds ? thresholds.map((t) => `score > ${t === -Infinity ? "−∞" : t}`) : x.map(() => ""),
          hovertemplate: `${kind.x} %{x:.4f}<br>${kind.y} %{y:.4f}<br>%{text}<br>${kind.area(series)}<extra>%{fullData.name}</extra>`,
        };
      });
      if (kind.chance) traces.unshift({ x: kind.chance[0], y: kind.chance[1], mode: "lines", hoverinfo: "skip", line: { color: Theme.colour("strong"), width: 1, dash: "dot" } });
      if (view.here && !view.here.series.aside && !view.hidden.has(view.here.series)) {
        const [x, y] = kind.here(view.here.judged);
        traces.push({
          x: [x], y: [y], mode: "markers", hoverinfo: "skip",
          marker: { size: 11, color: colour(view.here.series.colour), line: { color: Theme.colour("paper"), width: 2 } },
        });
      }
      const unit = { range: [-0.01, 1.01], tickvals: [0, 0.2, 0.4, 0.6, 0.8, 1] };
      return { traces, layout: layout(axis(kind.x, unit), axis(kind.y, unit)) };
    });
    view.plots.push(element);
    return box;
  }

  // -------------------------------------------------------------------------------------------------------- scores

  function scores(view) {
    // a network's further scores have no curve above, but thresholds of their own
    const more = (series) => (series.others ?? []).map((other) => ({ ...other, label: `${series.label}, ${other.kind}`, seed: series.seed, aside: true }));
    const known = view.all.flatMap((series) => [series, ...more(series)]).filter((series) => series.histogram);
    if (!known.length) return null;
    let series = known.find((one) => one.counts) ?? known[0];
    const pick = Elements.choice("Detector", known.map((one) => one.label), (place) => choose(known[place]));
    pick.querySelector("select").selectedIndex = known.indexOf(series);
    const slider = make("input", { type: "range", class: "slider", min: "0", step: "1", "aria-label": "Threshold", oninput: () => move() });
    const marks = make("span", { class: "marks" });
    const ends = make("div", { class: "ends", "aria-hidden": "true" }, make("span", {}, "all rows flagged"), make("span", {}, "none"));
    const said = make("div", { "aria-live": "polite" });
    const { box, element } = Charts.panel("Scores and threshold", "Distribution of the scores of normal rows and of anomalies", {
      controls: [pick, marks], below: [slider, ends, said], wide: true,
    });
    let path = [];

    function choose(next) {
      series = next;
      marks.replaceChildren();
      if (series.counts) {
        path = Scores.steps(series.counts);
        slider.max = String(path.length - 1);
        const listed = series.counts.marks;
        for (const mark of listed) {
          marks.append(make("button", { type: "button", class: "button", "data-place": mark.place + 1, onclick: () => to(mark.place + 1) }, Elements.name(mark.rule)));
        }
        slider.value = String(listed.length ? listed[0].place + 1 : Math.floor(path.length / 2));
      } else {
        path = [];
      }
      slider.hidden = ends.hidden = !path.length;
      move();
    }

    function to(place) {
      slider.value = String(place);
      move();
    }

    let frame = 0;
    function move() {
      const step = path[Number(slider.value)];
      view.here = step ? { series, judged: Scores.judge(step, series.counts), step } : null;
      said.replaceChildren(...(step ? judged(view.here, series) : [make("p", { class: "note" }, "No scores were kept of this trial, so the threshold cannot be moved.")]));
      for (const button of marks.children) button.setAttribute("aria-pressed", String(button.dataset.place === slider.value));
      if (step) slider.setAttribute("aria-valuetext", `score above ${step.threshold}`);
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => [element, ...view.plots].forEach(Charts.again));
    }

    Charts.plot(element, () => {
      const { edges, normal, anomaly, axis: kind, beyond } = series.histogram;
      const log = kind === "log";
      const title = `score (greater: more anomalous)${log ? ", logarithmic axis" : kind === "clipped" ? `, clipped: ${beyond.toLocaleString("en")} rows lie beyond` : ""}`;
      const middle = normal.map((_, at) => (edges[at] + edges[at + 1]) / 2);
      const width = normal.map((_, at) => edges[at + 1] - edges[at]);
      const span = normal.map((_, at) => `${edges[at]} to ${edges[at + 1]}`);
      const steps = (y, name, property) => ({
        x: edges, y: [...y, 0], name, mode: "lines", line: { shape: "hv", width: 1, color: Theme.colour(property) }, fill: "tozeroy", opacity: 0.85, text: span,
        hovertemplate: "%{y:,} rows with score %{text}<extra>%{fullData.name}</extra>",
      });
      const columns = (y, name, property) => ({
        type: "bar", x: middle, y, width, name, marker: { color: Theme.colour(property) }, opacity: 0.85, text: span, textposition: "none",
        hovertemplate: "%{y:,} rows with score %{text}<extra>%{fullData.name}</extra>",
      });
      const threshold = view.here?.step.threshold;
      const shown = Number.isFinite(threshold) && threshold >= edges[0] && threshold <= edges.at(-1);
      const shapes = shown
        ? [{ type: "line", x0: threshold, x1: threshold, yref: "paper", y0: 0, y1: 1, line: { color: Theme.colour("ink"), width: 1.5 } }]
        : [];
      const range = log ? [Math.log10(edges[0]), Math.log10(edges.at(-1))] : [edges[0], edges.at(-1)];
      const x = log ? logarithmic(title, edges, { range }) : axis(title, { range });
      const more = { barmode: "overlay", bargap: 0, shapes, showlegend: true, legend: { orientation: "h", x: 1, xanchor: "right", y: 1.16, font: { size: 12 } }, margin: { l: 48, r: 10, t: 26, b: 40 } };
      const bars = log ? steps : columns;
      return { traces: [bars(normal, "normal", "normal"), bars(anomaly, "anomaly", "anomaly")], layout: layout(x, axis("test rows"), more) };
    });
    choose(series);
    return box;
  }

  function judged({ judged: found, step }, series) {
    const figure = (title, value) => make("div", {}, make("dt", {}, title), make("dd", { "data-figure": title }, value));
    const head = (title, scope) => make("th", { scope }, title);
    const count = (value, right, key) => make("td", { class: right ? "right" : null, "data-count": key }, value.toLocaleString("en"));
    const note = series.counts.whole
      ? "Every distinct score can be the threshold."
      : `${series.counts.t.length} of the distinct scores can be the threshold; the counts at each are exact.`;
    return [make("div", { class: "judged" },
      make("dl", { class: "figures" },
        figure("threshold", Number.isFinite(step.threshold) ? `> ${step.threshold}` : "all rows"),
        figure("precision", fixed(found.precision, 4)), figure("recall", fixed(found.recall, 4)),
        figure("F1", fixed(found.f1, 4)), figure("accuracy", fixed(found.accuracy, 4)), figure("false positive rate", fixed(found.fpr, 4))),
      make("table", { class: "confusion", "aria-label": "Confusion matrix" },
        make("thead", {}, make("tr", {}, make("th"), head("flagged", "col"), head("passed", "col"))),
        make("tbody", {},
          make("tr", {}, head("anomalies", "row"), count(found.tp, true, "tp"), count(found.fn, false, "fn")),
          make("tr", {}, head("normal rows", "row"), count(found.fp, false, "fp"), count(found.tn, true, "tn"))))),
      make("p", { class: "note" }, `Test rows of seed ${series.seed}. ${note}`),
    ];
  }

  // -------------------------------------------------------------------------------------------------------- losses

  function losses(view) {
    const known = view.all.filter((series) => series.loss);
    if (!known.length) return null;
    let scale = "linear";
    const scales = ["linear", "log"];
    const pick = Elements.switches("Scale of the loss", ["Linear", "Logarithmic"], (place) => {
      scale = scales[place];
      Charts.again(element);
    });
    const longest = Math.max(...known.map((series) => series.loss.epoch.at(-1)));
    const { box, element } = Charts.panel("Loss by epoch (solid: training, dashed: validation)", "Training and validation loss by epoch", { controls: [pick] });
    Charts.plot(element, () => {
      const traces = [];
      for (const series of known.filter((one) => !view.hidden.has(one))) {
        for (const [loss, dash, what] of [[series.loss, "solid", "training"], [series.validation, "dash", "validation"]]) {
          if (!loss) continue;
          const shade = faint(series.colour, 0.12);
          if (loss.low) {
            const none = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", x: loss.epoch };
            traces.push({ ...none, y: loss.low }, { ...none, y: loss.high, fill: "tonexty", fillcolor: shade });
          }
          traces.push({
            x: loss.epoch, y: loss.mean, mode: "lines", name: `${plain(series.label)}, ${what}`, line: { color: colour(series.colour), dash, width: 1.7 },
            hovertemplate: "epoch %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
          });
        }
      }
      return { traces, layout: layout(axis("epoch", { tickformat: "d", nticks: 8, ...(longest <= 8 ? { tick0: 1, dtick: 1 } : {}) }), axis("loss", { type: scale })) };
    });
    view.plots.push(element);
    return box;
  }

  // -------------------------------------------------------------------------------------------------- latent space

  function latent(view) {
    const known = view.all.filter((series) => series.latent);
    if (!known.length) return null;
    const state = { series: known[0], view: 0, by: 0 };
    const views = make("span");
    const pick = Elements.choice("Of", known.map((one) => one.label), (place) => choose(known[place]));
    const by = Elements.switches("Colour", ["By class", "By score"], (place) => set({ by: place }));
    const { box, element } = Charts.panel("Where the test rows lie", "Test rows in the latent space, or in the plane of the data", { controls: [pick, views, by] });

    function set(change) {
      Object.assign(state, change);
      Charts.again(element);
    }

    function choose(series) {
      views.replaceChildren(Elements.choice("in", Object.keys(series.latent.views), (place) => set({ view: place })));
      set({ series, view: 0 });
    }

    Charts.plot(element, () => {
      const found = state.series.latent;
      const [x, y] = Object.values(found.views)[state.view];
      const text = found.row.map((row, at) => `row ${row}: ${found.anomaly[at] ? "anomaly" : "normal"}, score ${found.score[at]}`);
      const common = { mode: "markers", type: "scatter", hovertemplate: "%{text}<extra></extra>" };
      const only = (kind, values) => values.filter((_, at) => found.anomaly[at] === kind);
      const group = (kind, name, property, symbol) => ({
        ...common, name, x: only(kind, x), y: only(kind, y), text: only(kind, text),
        marker: { size: 5.5, symbol, color: Theme.colour(property), opacity: 0.8 },
      });
      const ordered = [...found.score].sort((a, b) => a - b);
      const traces = state.by === 0
        ? [group(0, "normal", "normal", "circle"), group(1, "anomaly", "anomaly", "diamond")]
        : [{
            ...common, x, y, text,
            marker: {
              size: 5.5, symbol: found.anomaly.map((kind) => (kind ? "diamond" : "circle")), color: found.score, colorscale: "Viridis",
              cmin: ordered[0], cmax: ordered[Math.floor(0.98 * (ordered.length - 1))], showscale: true, opacity: 0.9,
              colorbar: { title: { text: "score", side: "right", font: { size: 11 } }, thickness: 10, outlinewidth: 0, tickfont: { size: 10, color: Theme.colour("soft") } },
            },
          }];
      const surface = Object.keys(found.views)[state.view] === "the data" ? state.series.surface : null;
      const images = surface ? [Learned.ground(surface)] : [];
      const bare = { showticklabels: true, zeroline: false, nticks: 6 };
      const legend = { orientation: "h", x: 1, xanchor: "right", y: 1.14, font: { size: 12 } };
      return { traces, layout: layout(axis("", bare), axis("", bare), { images, showlegend: state.by === 0, legend, margin: { l: 40, r: 10, t: 26, b: 30 } }) };
    });
    choose(known[0]);
    return box;
  }

  // ------------------------------------------------------------------------------------------------- top anomalies

  function tops(view) {
    const known = view.all.filter((series) => series.top || series.images);
    if (!known.length) return null;
    const list = make("div", { class: "tops" });
    const choose = (series) => list.replaceChildren(...cards(series));
    const pick = Elements.choice("Detector", known.map((one) => one.label), (place) => choose(known[place]));
    choose(known[0]);
    return make("div", { class: "panel wide" },
      make("h4", {}, "Top anomalies: the test rows that score highest, and why"), make("div", { class: "controls" }, pick), list);
  }

  function cards(series) {
    const explained = new Map((series.top ?? []).map((top) => [top.row, top]));
    const pictured = series.images ? series.images.rows : [];
    const rows = [...new Set([...explained.keys(), ...pictured])];
    return rows.map((row) => {
      const top = explained.get(row);
      const place = pictured.indexOf(row);
      const hit = top ? top.anomaly : series.images.anomaly[place];
      const head = make("h5", {}, `row ${row}`, make("span", { class: hit ? "hit" : null }, hit ? "anomaly" : "normal"));
      return make("div", { class: "top" }, head,
        place >= 0 && image(series.images, series.images.inputs[place], "input"),
        place >= 0 && image(series.images, series.images.outputs[place], "rebuilt"),
        top && make("div", {}, `score ${top.score}`),
        top && place < 0 && features(top.features));
    });
  }

  function image({ width, height }, pixels, caption) {
    const canvas = make("canvas", { width, height, role: "img", "aria-label": `${caption} image` });
    const context = canvas.getContext("2d");
    const picture = context.createImageData(width, height);
    [...atob(pixels)].forEach((byte, place) => {
      const grey = byte.charCodeAt(0);
      picture.data.set([grey, grey, grey, 255], 4 * place);
    });
    context.putImageData(picture, 0, 0);
    return make("figure", {}, canvas, make("figcaption", {}, caption));
  }

  function features(listed) {
    return make("ul", {}, ...listed.map((feature) => {
      const bar = make("i");
      bar.style.width = `${100 * Math.max(0, Math.min(1, feature.share ?? 0))}%`;
      const share = feature.share === null ? "" : ` ${Math.round(100 * feature.share)} %`;
      return make("li", {}, Elements.name(feature.name), share, make("div", { class: "share" }, bar),
        make("small", {}, `is ${feature.value}, rebuilt as ${feature.reconstruction}`));
    }));
  }

  return { show };
})();
