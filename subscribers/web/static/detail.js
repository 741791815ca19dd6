/**
 * All there is to know of a device: what it says of itself in full, and when it was there.
 */

import { clock, duration, element, printable } from "./text.js";

const SPANS = 20; // of the latest

/** A row to put below the device's own. */
export function detail(lane, view) {
  const row = element("tr", "detail");
  row.setAttribute("role", "row");
  const cell = element("td");
  cell.setAttribute("role", "cell");
  cell.colSpan = 6;
  cell.append(facts(lane), history(lane, view));
  row.append(cell);
  return row;
}

function facts({ device, present }) {
  const list = element("dl");
  const entries = [
    ["name", device.name],
    ["type", device.device_type],
    ["address", device.addr],
    ...Object.entries(device.metadata),
  ];
  if (present) entries.push(["revision", device.revision]);
  for (const [key, value] of entries) {
    const term = element("dt");
    const definition = element("dd");
    term.append(element("bdi", "", printable(key)));
    definition.append(element("bdi", "", printable(value)));
    list.append(term, definition);
  }
  return list;
}

function history({ spans }, view) {
  const list = element("ol");
  for (const span of spans.slice(-SPANS).reverse()) list.append(element("li", "", words(span, view)));
  return list;
}

/** A span in words: "12:01:03 – 12:04:05 (3 min 2 s): expired". */
export function words(span, { now, seen, ahead }) {
  const { reason, exact } = span;
  const start = span.start - ahead;
  const end = span.end === null ? null : span.end - ahead;
  const lasted = duration(Math.max(0, (end ?? seen) - start));
  if (end === null) return `since ${clock(start, { now })} (${lasted}): present`;
  const about = exact ? "" : "about ";
  return `${clock(start, { now })} – ${about}${clock(end, { now })} (${lasted}): ${reason}`;
}
