/**
 * Search, order, range: what the reader chooses, and where it is chosen.
 */

import { read, write } from "./choices.js";
import { RANGES } from "./scale.js";
import { MOST_FIRST } from "./select.js";
import { count, element, say } from "./text.js";

export class Controls {
  /**
   * @param {{form: HTMLFormElement, head: HTMLElement}} page the form, and the head with the columns
   * @param {() => void} change called when there is another choice
   */
  constructor({ form, head }, change) {
    this.choices = read(location.hash);
    this._change = change;
    this._head = head;
    this._query = form.querySelector("#query");
    this._departed = form.querySelector("#departed");
    this._found = form.querySelector("#found");
    this._ranges = this._makeRanges(form.querySelector("#ranges"));
    form.addEventListener("submit", (event) => event.preventDefault());
    this._query.addEventListener("input", () => this._choose({ query: this._query.value }));
    this._departed.addEventListener("change", () => {
      this._choose({ departed: this._departed.checked });
    });
    head.addEventListener("click", ({ target }) => this._sort(target.closest("[data-column]")));
    document.addEventListener("keydown", (event) => this._key(event));
    addEventListener("hashchange", () => {
      this.choices = read(location.hash);
      this._reflect();
      change();
    });
    this._reflect();
  }

  /** Say what the search has found. */
  show({ shown, hidden }) {
    const words = `${shown.toLocaleString("en")} of ${count(shown + hidden, "device")}`;
    say(this._found, this.choices.query.trim() === "" ? "" : words);
  }

  _makeRanges(fieldset) {
    return RANGES.map(([seconds, words]) => {
      const label = element("label");
      const radio = element("input");
      radio.type = "radio";
      radio.name = "range";
      radio.value = seconds;
      radio.addEventListener("change", () => this._choose({ range: seconds }));
      label.append(radio, element("span", "", words));
      fieldset.append(label);
      return radio;
    });
  }

  _choose(choice) {
    Object.assign(this.choices, choice);
    this._reflect();
    history.replaceState(null, "", write(this.choices));
    this._change();
  }

  /** Let the controls show what is chosen. */
  _reflect() {
    const { query, column, descending, range, departed } = this.choices;
    if (this._query.value !== query) this._query.value = query;
    this._departed.checked = departed;
    for (const radio of this._ranges) radio.checked = Number(radio.value) === range;
    for (const button of this._head.querySelectorAll("[data-column]")) {
      const head = button.closest("th");
      if (button.dataset.column !== column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    }
  }

  _sort(button) {
    if (button === null) return;
    const { column } = button.dataset;
    const again = column === this.choices.column;
    const descending = again ? !this.choices.descending : MOST_FIRST.includes(column);
    this._choose({ column, descending });
  }

  _key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const typing = event.target.matches("input[type=search], input[type=text], textarea");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      this._query.focus();
      this._query.select();
    } else if (event.key === "Escape" && event.target === this._query) {
      this._choose({ query: "" });
    }
  }
}
