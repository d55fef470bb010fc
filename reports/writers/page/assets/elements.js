"use strict";

// The page's building stones. Text from the records is only ever set as text, never as markup.
const Elements = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  /** make("button", {class: "chip", onclick: f}, "text", child): an element; false and null children are left out. */
  function make(tag, properties = {}, ...children) {
    return fill(document.createElement(tag), properties, children);
  }

  function draw(tag, properties = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), properties, children);
  }

  function fill(element, properties, children) {
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  /** A name that may run in either direction, shown without turning what stands beside it. */
  function name(text) {
    return make("bdi", { title: text.length > 60 ? text : null }, text);
  }

  /** A drop-down with a label; `change` is called with the place of the chosen entry. */
  function choice(label, entries, change) {
    const select = make("select", { onchange: () => change(select.selectedIndex) });
    for (const entry of entries) select.append(make("option", {}, entry));
    return make("label", {}, label, select);
  }

  /** Buttons of which one is pressed. */
  function switches(label, entries, change) {
    const group = make("span", { role: "group", "aria-label": label });
    entries.forEach((entry, place) => {
      const press = () => {
        [...group.children].forEach((other, at) => other.setAttribute("aria-pressed", String(at === place)));
        change(place);
      };
      group.append(make("button", { type: "button", class: "button", "aria-pressed": String(place === 0), onclick: press }, entry), " ");
    });
    return group;
  }

  return { make, draw, name, choice, switches };
})();

const { make, draw } = Elements;
