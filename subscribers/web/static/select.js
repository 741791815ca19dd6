/**
 * Which lanes are shown, in which groups and in which order. Pure: no page, no clock.
 */

import { REASONS } from "./model.js";
import { departures } from "./scale.js";
import { printable } from "./text.js";

const collator = new Intl.Collator("en", { numeric: true });

const ORDERS = {
  name: (one, other) => collator.compare(one.lane.name, other.lane.name),
  addr: (one, other) => collator.compare(one.lane.device.addr, other.lane.device.addr),
  age: (one, other) => other.start - one.start,
  left: (one, other) => one.left - other.left,
};

/** The columns to sort by. */
export const COLUMNS = Object.keys(ORDERS);

/** Those of them that one looks at for who has most. */
export const MOST_FIRST = ["age", "left"];

/**
 * The groups to show.
 *
 * @param {Map} lanes a model's
 * @param {object} options `query`: words, each of which has to occur; `column` and `descending`: the
 *     order; `from`: when the timeline begins; `departed`: whether to show who has left
 * @returns {{groups: Array, shown: number, joins: number, leaves: object, hidden: number}} groups by
 *     type, each `{ type, present, rows: [{ lane, left, start }] }`, how many rows they have, how many
 *     the search hides, and what has happened since `from`, whoever is shown
 */
export function select(lanes, { query, column, descending, from, departed }) {
  const words = query.toLowerCase().split(/\s+/u).filter(Boolean);
  const groups = new Map();
  const leaves = Object.fromEntries(REASONS.map((reason) => [reason, 0]));
  let [joins, shown, hidden] = [0, 0, 0];
  for (const lane of lanes.values()) {
    for (const { start, end, reason } of lane.spans) {
      if (start > from) joins += 1;
      if (end !== null && end > from) leaves[reason] += 1;
    }
    const left = departures(lane.spans, from);
    if (!lane.present && (!departed || left === 0)) continue;
    if (!matches(lane.device, words)) {
      hidden += 1;
      continue;
    }
    const type = lane.device.device_type;
    if (!groups.has(type)) groups.set(type, { type, present: 0, rows: [] });
    const group = groups.get(type);
    group.present += lane.present ? 1 : 0;
    group.rows.push({ lane, left, start: lane.spans.at(-1).start });
    shown += 1;
  }
  const order = ORDERS[column];
  const sign = descending ? -1 : 1;
  const sorted = [...groups.values()].sort((one, other) => collator.compare(one.type, other.type));
  for (const group of sorted) {
    group.rows.sort(
      (one, other) =>
        // Who has left comes last by age: it is not here.
        (column === "age" ? Number(other.lane.present) - Number(one.lane.present) : 0) ||
        sign * order(one, other) ||
        ORDERS.name(one, other),
    );
  }
  return { groups: sorted, shown, hidden, joins, leaves };
}

const texts = new WeakMap(); // what a device is found by, made once

function matches(device, words) {
  if (words.length === 0) return true;
  let text = texts.get(device);
  if (text === undefined) {
    const { name, device_type, addr, metadata } = device;
    const parts = [name, device_type, addr, ...Object.entries(metadata).map(([key, value]) => `${key}=${value}`)];
    text = parts.map((part) => printable(part)).join("\n").toLowerCase();
    texts.set(device, text);
  }
  return words.every((word) => text.includes(word));
}
