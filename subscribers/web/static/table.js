/**
 * The devices, in groups, one row each. Nodes are kept and moved, never made anew: with a thousand
 * of them, only what changes may cost anything, and focus and selection stay where they are.
 */

import { Row } from "./row.js";
import { spanAt } from "./scale.js";
import { words } from "./detail.js";
import { count, element, printable, say } from "./text.js";

export class Table {
  /**
   * @param {HTMLTableElement} table
   * @param {HTMLElement} tip where to tell of the bar below the pointer
   */
  constructor(table, tip) {
    this._table = table;
    this._tip = tip;
    this._rows = new Map(); // by name
    this._byNode = new WeakMap();
    this._groups = new Map(); // by type: { body, button, counts, rows }
    this._reachable = null; // the button that Tab leads to: the first, or where the reader was last
    this._visited = false;
    this._view = null;
    this._observer = new IntersectionObserver((entries) => this._see(entries), {
      rootMargin: "200px 0px",
    });
    table.addEventListener("click", (event) => this._click(event));
    table.addEventListener("keydown", (event) => this._key(event));
    table.addEventListener("focusin", ({ target }) => {
      if (target.matches(".device button")) this._reach(target, true);
    });
    table.addEventListener("pointermove", (event) => this._point(event));
    table.addEventListener("pointerleave", () => (tip.hidden = true));
  }

  /** Show these groups, as `select` gives them. `changed`: the names to which something happened. */
  show(groups, view, { changed, joined }) {
    this._view = view;
    const focused = document.activeElement;
    const names = new Set();
    const bodies = groups.map((group) => {
      const section = this._section(group.type);
      const nodes = group.rows.flatMap(({ lane, left }) => {
        names.add(lane.name);
        const row = this._row(lane);
        row.update(lane, left);
        if (joined.has(lane.name)) row.flash();
        if (changed.has(lane.name)) row.refresh(view);
        row.tick(view);
        return row.nodes;
      });
      section.count(group);
      arrange(section.body, [section.head, ...nodes]);
      return section.body;
    });
    for (const [name, row] of this._rows) if (!names.has(name)) this._drop(name, row);
    for (const [type, { body }] of this._groups) {
      if (bodies.includes(body)) continue;
      body.remove();
      this._groups.delete(type);
    }
    arrange(this._table, [this._table.tHead, ...bodies]);
    this._keepFocus(focused);
  }

  _row(lane) {
    let row = this._rows.get(lane.name);
    if (row === undefined) {
      row = new Row(lane);
      this._rows.set(lane.name, row);
      this._byNode.set(row.node, row);
      this._observer.observe(row.node);
    }
    return row;
  }

  _drop(name, row) {
    this._observer.unobserve(row.node);
    for (const node of row.nodes) node.remove();
    this._rows.delete(name);
  }

  _section(type) {
    let section = this._groups.get(type);
    if (section === undefined) {
      section = makeSection(type);
      this._groups.set(type, section);
    }
    return section;
  }

  _see(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this._byNode.get(target);
      row.visible = isIntersecting;
      if (isIntersecting) row.tick(this._view);
    }
  }

  _click({ target }) {
    const row = this._byNode.get(target.closest("tr.device"));
    if (row !== undefined) {
      if (getSelection().isCollapsed) row.toggle(this._view);
      return;
    }
    const button = target.closest(".group button");
    if (button === null) return;
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    button.closest("tbody").classList.toggle("closed", !open);
  }

  /** From device to device with the arrows; Tab goes past them all. */
  _key(event) {
    if (!event.target.matches(".device button") || event.altKey || event.ctrlKey) return;
    const buttons = [...this._table.querySelectorAll("tbody:not(.closed) .device button")];
    const at = buttons.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  }

  _reach(target, visited) {
    this._visited = visited;
    if (this._reachable !== null) this._reachable.tabIndex = -1;
    this._reachable = target;
    target.tabIndex = 0;
  }

  /** Moving a node takes the focus away from what is in it. */
  _keepFocus(focused) {
    if (!this._visited || !this._reachable.isConnected) {
      const first = this._table.querySelector(".device button");
      if (first !== null) this._reach(first, false);
    }
    if (focused === document.activeElement || !focused?.matches(".device button")) return;
    (focused.isConnected ? focused : this._reachable).focus({ preventScroll: true });
  }

  _point({ target, clientX, clientY }) {
    const row = this._byNode.get(target.closest("tr.device"));
    const x = clientX - (row?.canvas.getBoundingClientRect().left ?? 0);
    const onLane = target.closest("canvas") !== null && row !== undefined;
    const span = onLane ? spanAt(row.lane.spans, this._view.scale, x) : undefined;
    this._tip.hidden = span === undefined;
    if (span === undefined) return;
    say(this._tip, words(span, this._view));
    const left = Math.min(clientX + 12, document.documentElement.clientWidth - this._tip.offsetWidth - 8);
    this._tip.style.transform = `translate(${Math.max(8, left)}px, ${clientY + 16}px)`;
  }
}

function makeSection(type) {
  const body = element("tbody");
  body.setAttribute("role", "rowgroup");
  const head = element("tr", "group");
  head.setAttribute("role", "row");
  const cell = element("th");
  cell.setAttribute("role", "rowheader");
  cell.colSpan = 6;
  const button = element("button");
  button.type = "button";
  button.setAttribute("aria-expanded", "true");
  const name = element("bdi", "", printable(type, 60));
  const counts = element("span", "count");
  button.append(name, " ", counts);
  cell.append(button);
  head.append(cell);
  return {
    body,
    head,
    count: ({ present, rows }) => {
      const gone = rows.length - present;
      say(counts, `${count(present, "present", "present")}${gone > 0 ? `, ${gone} left` : ""}`);
    },
  };
}

/** Give a parent these children, in this order, with as few moves as may be. */
function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    // Where one has gone to a later place, it makes way, rather than all others moving before it.
    if (at !== node && at?.nextSibling === node) at.remove(), (at = node);
    if (at === node) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
