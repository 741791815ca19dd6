/**
 * What explains the lanes: the times above them, and the key to their colours and shapes.
 */

import { paintSample } from "./lane.js";
import { REASONS } from "./model.js";
import { clock, element, say } from "./text.js";

const EDGE = 24; // pixels: a label does not fit closer to the beginning
const NOW = 60; // nor closer to the end, where "now" is

/** Show the times at the ticks of a view. */
export function showAxis(axis, { scale, marks, step }) {
  const fitting = marks.filter((time) => {
    const x = scale.x(time);
    return x > EDGE && x < scale.width - NOW;
  });
  while (axis.children.length > fitting.length + 1) axis.lastChild.remove();
  while (axis.children.length < fitting.length + 1) axis.append(element("span"));
  fitting.forEach((time, index) => {
    const label = axis.children[index];
    say(label, clock(time, { seconds: step < 60 }));
    label.className = "";
    label.style.transform = `translateX(${Math.round(scale.x(time))}px) translateX(-50%)`;
  });
  const last = axis.lastChild;
  last.className = "now";
  last.style.transform = "";
  say(last, "now");
}

const SAMPLES = [
  ["present", "present"],
  ...REASONS.map((reason) => [reason, reason]),
  ["gap", "not known"],
];

/** The key: a sample of each bar, what it means, and how often it occurs. */
export class Key {
  constructor(list) {
    this._samples = SAMPLES.map(([what, words]) => {
      const item = element("li");
      const canvas = element("canvas");
      canvas.setAttribute("aria-hidden", "true");
      const number = element("span", "count");
      item.append(canvas, element("span", "", words), " ", number);
      list.append(item);
      return { what, canvas, number };
    });
  }

  paint(colours) {
    for (const { what, canvas } of this._samples) paintSample(canvas, what, colours);
  }

  /** Show how many left for each reason. */
  count(leaves) {
    for (const { what, number } of this._samples) {
      say(number, leaves[what] > 0 ? leaves[what].toLocaleString("en") : "");
    }
  }
}
