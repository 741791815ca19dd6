/**
 * Joins and leaves as they happen, the latest first, and when the view was lost.
 */

import { clock, count, duration, element, printable } from "./text.js";

const SHOWN = 200;

export class Log {
  constructor(list) {
    this._list = list;
    this._items = new Map(); // by number
    this._ahead = 0;
  }

  /** Show the latest of a model's entries. */
  show(model, now) {
    const latest = model.log.slice(-SHOWN);
    if (this._ahead !== model.ahead) this._clear(); // all of it was at another time
    this._ahead = model.ahead;
    const numbers = new Set(latest.map(({ number }) => number));
    for (const [number, item] of this._items) {
      if (numbers.has(number)) continue;
      item.remove();
      this._items.delete(number);
    }
    for (const entry of latest) {
      if (this._items.has(entry.number)) continue;
      const item = this._item(entry, model.moment(entry), now);
      this._items.set(entry.number, item);
      this._list.prepend(item);
    }
    this._list.classList.toggle("empty", latest.length === 0);
  }

  _clear() {
    for (const item of this._items.values()) item.remove();
    this._items.clear();
  }

  _item(entry, time, now) {
    const item = element("li", entry.kind);
    const shown = element("time", "", clock(time, { now }));
    const moment = new Date(time * 1000);
    if (!Number.isNaN(moment.getTime())) shown.dateTime = moment.toISOString();
    const text = element("p");
    text.append(...PHRASES[entry.kind](entry));
    item.append(shown, text);
    return item;
  }
}

const PHRASES = {
  added: ({ device, origin }) => [
    who("+", device),
    " joined",
    origin === "resync" ? ", as was found out later" : "",
  ],
  removed: ({ device, reason, origin, lasted }) => [
    who("−", device),
    // The sign says so to those who see it, and there is little room.
    element("span", "unseen", " left:"),
    " ",
    element("span", `reason ${reason}`, reason),
    " ",
    element("span", "after", `after ${duration(Math.max(0, lasted))}`),
    origin === "resync" ? ", as was found out later" : "",
  ],
  stale: ({ why }) => [element("strong", "", "stale"), `: ${printable(why, 300)}`],
  live: ({ lasted }) => [element("strong", "", "live"), ` again after ${duration(lasted)}`],
};

function who(sign, device) {
  const made = element("span", "who");
  made.append(element("span", "sign", sign), " ", element("bdi", "", printable(device.name, 60)));
  return made;
}

/** What happened, in few words, for someone who listens. */
export function summary(entries) {
  const joined = entries.filter(({ kind }) => kind === "added");
  const left = entries.filter(({ kind }) => kind === "removed");
  const parts = [];
  if (joined.length > 0) parts.push(tell(joined, "joined", ({ device }) => printable(device.name, 60)));
  if (left.length > 0) {
    const name = ({ device, reason }) => `${printable(device.name, 60)} (${reason})`;
    parts.push(tell(left, "left", name));
  }
  return parts.join("; ");
}

function tell(entries, verb, name) {
  return entries.length > 3
    ? `${count(entries.length, "device")} ${verb}`
    : `${entries.map(name).join(", ")} ${verb}`;
}
