"use strict";

// Light and dark: what the system asks for, until the reader chooses.
const Theme = (() => {
  const KEY = "vaebench-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const followers = [];
  const probe = document.body.appendChild(make("span", { hidden: "" }));

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // a browser that keeps nothing for files
    }
  }

  function store(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // the choice then holds for this visit
    }
  }

  const current = () => root.dataset.theme || (system.matches ? "dark" : "light");

  /** The colour that a custom property of the style sheet stands for just now. */
  function colour(property) {
    probe.style.color = `var(--${property})`;
    return getComputedStyle(probe).color;
  }

  function follow(redraw) {
    followers.push(redraw);
  }

  function tell() {
    document.getElementById("theme").textContent = current() === "dark" ? "Light" : "Dark";
    for (const redraw of followers) redraw();
  }

  function choose(theme) {
    root.dataset.theme = theme;
    tell();
  }

  function start() {
    const chosen = stored();
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
    document.getElementById("theme").addEventListener("click", () => {
      choose(current() === "dark" ? "light" : "dark");
      store(root.dataset.theme);
    });
    system.addEventListener("change", tell);
    // paper is white
    let before;
    addEventListener("beforeprint", () => {
      before = root.dataset.theme;
      choose("light");
    });
    addEventListener("afterprint", () => {
      if (before) choose(before);
      else {
        delete root.dataset.theme;
        tell();
      }
    });
    tell();
  }

  return { colour, follow, start };
})();
