/**
 * One device: its row, whose last cell is its lane, and below that, on demand, all there is to know.
 */

import { detail } from "./detail.js";
import { HEIGHT, paintLane } from "./lane.js";
import { count, duration, element, printable, say } from "./text.js";

const CHIPS = 4; // entries of the metadata that are shown without asking
const LONGEST = 60; // characters of a text that are; all of it is in the detail

export class Row {
  constructor(lane) {
    this.lane = lane;
    this.left = 0;
    this.visible = false; // nothing is painted that nobody sees
    this._device = null; // the one that is shown
    this._build();
    this.update(lane, 0);
  }

  /** The nodes, in order. */
  get nodes() {
    return this._detail === null ? [this.node] : [this.node, this._detail];
  }

  _build() {
    this.node = element("tr", "device");
    this.node.setAttribute("role", "row");
    const name = cell("th", "name", "rowheader");
    this.button = element("button");
    this.button.type = "button";
    this.button.tabIndex = -1; // the table lets one of them be reached, and the arrows do the rest
    this.button.setAttribute("aria-expanded", "false");
    this._name = element("bdi");
    this.button.append(this._name);
    name.append(this.button);
    this._addr = cell("td", "addr");
    this._age = cell("td", "age");
    this._for = element("span", "for");
    this._reason = element("span", "reason");
    this._age.append(this._for, this._reason);
    this._left = cell("td", "left");
    this._metadata = cell("td", "metadata");
    const lane = cell("td", "lane");
    this.canvas = element("canvas");
    this.canvas.height = HEIGHT;
    this.canvas.setAttribute("role", "img");
    lane.append(this.canvas);
    this._detail = null;
    this.node.append(name, this._addr, this._age, this._left, this._metadata, lane);
  }

  /** Take in what the lane is now, and how often it was left within the range. */
  update(lane, left) {
    this.lane = lane;
    this.left = left;
    if (this._device !== lane.device) this._describe(lane.device);
    this.node.classList.toggle("gone", !lane.present);
    const reason = lane.present ? "" : lane.spans.at(-1).reason;
    say(this._reason, reason);
    this._reason.className = `reason ${reason}`;
    say(this._left, left === 0 ? "" : `${left.toLocaleString("en")}×`);
    this._left.setAttribute("aria-label", left === 0 ? "never" : count(left, "time"));
  }

  /** Take in that time has passed. */
  tick(view) {
    const { start, end } = this.lane.spans.at(-1);
    const [now, seen] = [view.now + view.ahead, view.seen + view.ahead]; // on the registry's clock
    say(
      this._for,
      this.lane.present
        ? duration(Math.max(0, seen - start))
        : now - end < 1
          ? "has just left"
          : `left ${duration(now - end)} ago`,
    );
    if (this.visible) paintLane(this.canvas, { ...view, spans: this.lane.spans });
    const words = this._summary(view);
    if (this.canvas.getAttribute("aria-label") !== words) {
      this.canvas.setAttribute("aria-label", words);
    }
  }

  /** Draw attention to it for a moment: it has just joined. */
  flash() {
    this.node.classList.remove("new");
    this.node.addEventListener("animationend", () => this.node.classList.remove("new"), {
      once: true,
    });
    this.node.classList.add("new");
  }

  /** Show or hide all there is to know. */
  toggle(view) {
    const open = this._detail === null;
    this._detail?.remove();
    this._detail = open ? detail(this.lane, view) : null;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.node.after(this._detail);
  }

  /** Bring what is known in full up to date, if it is shown. */
  refresh(view) {
    if (this._detail === null) return;
    const renewed = detail(this.lane, view);
    this._detail.replaceWith(renewed);
    this._detail = renewed;
  }

  _describe(device) {
    this._device = device;
    say(this._name, printable(device.name, LONGEST));
    this._addr.replaceChildren(element("bdi", "", printable(device.addr, LONGEST)));
    const entries = Object.entries(device.metadata);
    const chips = entries.slice(0, CHIPS).map(([key, value]) => {
      const chip = element("span", "chip");
      const label = element("bdi", "key-word", printable(key, LONGEST));
      chip.append(label, " ", element("bdi", "", printable(value, LONGEST)));
      return chip;
    });
    if (entries.length > CHIPS) chips.push(element("span", "chip", `+${entries.length - CHIPS}`));
    this._metadata.replaceChildren(...chips.flatMap((chip) => [chip, " "]));
  }

  _summary({ label }) {
    const now = this.lane.present ? "present" : `left, ${this.lane.spans.at(-1).reason}`;
    return this.left === 0 ? now : `${now}; left ${count(this.left, "time")} in ${label}`;
  }
}

function cell(tag, className, role = "cell") {
  const made = element(tag, className);
  made.setAttribute("role", role);
  return made;
}
