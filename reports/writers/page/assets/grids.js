"use strict";

// Tables that sort by a click or a key on a heading, filter by words, and show a page of rows at a time.
const Grids = (() => {
  const PAGE = 50;
  const FILTERED_FROM = 8; // rows
  const PHASES = ["#8a8a8a", "#56b4e9", "#cc79a7", "#e69f00", "#f0e442", "#0072b2", "#009e73", "#d55e00"];

  const text = (cell) => (typeof cell === "string" ? cell : cell.t);
  const value = (cell) => (typeof cell === "string" ? null : (cell.v ?? null));

  /** Numbers by size, texts by the alphabet, what is unknown behind all others in both directions. */
  function compare(one, other, sign) {
    const [a, b] = [value(one), value(other)];
    if (a !== null && b !== null) return sign * (a - b);
    if (a !== null || b !== null) return a !== null ? -1 : 1;
    const [left, right] = [text(one), text(other)];
    const missing = (word) => word === "" || word === "—";
    if (missing(left) || missing(right)) return missing(left) - missing(right);
    return sign * left.localeCompare(right, "en", { numeric: true });
  }

  const CELLS = {
    share(cell) {
      const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("i"));
      meter.firstChild.style.width = `${100 * Math.min(1, cell.v)}%`;
      return [cell.t, meter];
    },
    phases(cell, grid) {
      const bar = make("span");
      cell.p.forEach((seconds, phase) => {
        if (!seconds) return;
        const part = make("i", { title: `${grid.parts[phase]}: ${seconds} s` });
        part.style.width = `${(100 * seconds) / grid.longest}%`;
        part.style.background = PHASES[phase % PHASES.length];
        bar.append(part);
      });
      const said = cell.p.map((seconds, phase) => `${grid.parts[phase]} ${seconds} s`).join(", ");
      bar.setAttribute("role", "img");
      bar.setAttribute("aria-label", said);
      return [make("div", { class: "stretch" }, make("b", {}, cell.t), bar)];
    },
  };

  /** A piece of a text with its look: b strong, c code. */
  function piece([look, text]) {
    const inner = look.includes("c") ? make("code", {}, Elements.name(text)) : text;
    return look.includes("b") ? make("strong", {}, inner) : inner;
  }

  function cellOf(cell, kind, grid) {
    const element = make("td", { class: kind === "share" ? "number" : kind });
    if (typeof cell === "string") {
      element.append(kind === "name" ? Elements.name(cell || "—") : cell || "—");
    } else if (CELLS[kind]) {
      element.append(...CELLS[kind](cell, grid));
    } else {
      element.append(make("span", {}, ...(cell.h ? cell.h.map(piece) : [cell.t])));
      if (cell.s) element.append(make("small", {}, cell.s));
    }
    return element;
  }

  /** Fills a container with a table of the data. */
  function show(container, grid) {
    const label = container.dataset.label;
    let sorted = null; // {column, sign}
    let page = 0;
    let words = [];
    let shown = grid.rows;
    if (grid.parts) grid.longest = Math.max(...grid.rows.map((row) => value(row.at(-1)) ?? 0), 1e-9);

    const body = make("tbody");
    const heads = grid.columns.map((column, place) => {
      const number = column.kind === "number" || column.kind === "share";
      const press = column.title ? make("button", { type: "button", onclick: () => sort(place) }, Elements.name(column.title)) : null;
      return make("th", { scope: "col", class: number ? "number" : column.kind === "name" ? "name" : null }, press);
    });
    const table = make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...heads)), body);
    const count = make("span", { class: "count", role: "status" });
    const filter = make("input", { type: "search", placeholder: "Filter rows", "aria-label": `Filter: ${label}`, oninput: search });
    const pages = make("div", { class: "pages" });

    function search() {
      words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      page = 0;
      arrange();
    }

    /** A number's first order is largest first, a name's the alphabet. */
    function sort(place) {
      const number = ["number", "share", "phases"].includes(grid.columns[place].kind);
      const sign = sorted && sorted.column === place ? -sorted.sign : number ? -1 : 1;
      sorted = { column: place, sign };
      heads.forEach((head, at) => {
        if (at === place) head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      page = 0;
      arrange();
    }

    function arrange() {
      shown = grid.rows.filter((row) => {
        const all = words.length ? row.map(text).join(" ").toLowerCase() : "";
        return words.every((word) => all.includes(word));
      });
      if (sorted) shown = shown.toSorted((a, b) => compare(a[sorted.column], b[sorted.column], sorted.sign));
      drawPage();
    }

    function drawPage() {
      const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
      page = Math.min(page, last);
      const rows = shown.slice(page * PAGE, (page + 1) * PAGE);
      body.replaceChildren(...rows.map((row) => make("tr", {}, ...row.map((cell, at) => cellOf(cell, grid.columns[at].kind, grid)))));
      hold();
      const many = shown.length.toLocaleString("en");
      count.textContent = words.length ? `${many} of ${grid.rows.length.toLocaleString("en")} rows` : `${many} rows`;
      pages.hidden = last === 0;
      const turn = (title, to) =>
        make("button", { type: "button", class: "button", disabled: to < 0 || to > last ? "" : null, onclick: () => { page = to; drawPage(); } }, title);
      pages.replaceChildren(turn("Previous", page - 1), `Page ${page + 1} of ${last + 1}`, turn("Next", page + 1));
    }

    // the leading columns that name a row stay in sight, as far as they leave room for the others
    const named = grid.columns.findIndex((column) => column.kind !== "name");
    const holding = named < 0 ? grid.columns.length : named;

    function hold() {
      const room = 0.5 * (table.parentElement?.clientWidth ?? 0);
      const lines = [...table.rows];
      let left = 0;
      let held = 0;
      while (held < holding && left + heads[held].offsetWidth <= room) left += heads[held++].offsetWidth;
      if (holding && !held && room) held = 1; // a single long name is kept in any case, if cut
      for (const line of lines) {
        let place = 0;
        for (let at = 0; at < holding; at += 1) {
          const cell = line.cells[at];
          cell.classList.toggle("held", at < held);
          cell.classList.toggle("last", at === held - 1);
          cell.style.left = at < held ? `${place}px` : "";
          place += heads[at].offsetWidth;
        }
      }
    }

    if (grid.parts) container.append(phasesKey(grid.parts));
    if (grid.rows.length >= FILTERED_FROM) container.append(make("div", { class: "controls" }, filter, count));
    container.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table), pages);
    arrange();
    new ResizeObserver(hold).observe(container);
  }

  function phasesKey(names) {
    return make("div", { class: "key" }, ...names.map((phase, place) => {
      const patch = make("i");
      patch.style.background = PHASES[place % PHASES.length];
      return make("span", {}, patch, Elements.name(phase));
    }));
  }

  return { show };
})();
