/**
 * Paints strips of the timeline: a device's lane, and the samples of the key.
 *
 * The end of a bar has a shape for each reason, so that no colour has to be told from another:
 * a plain end where a device said goodbye; a tall stroke where it fell silent; a point where another
 * took its place; a block where it was shut out; an open end where nobody knows.
 */

import { bars } from "./scale.js";

export const HEIGHT = 28;
const BAR = 12;
const TOP = (HEIGHT - BAR) / 2;
const TIP = 6; // pixels that an end takes

const COLOURS = [
  "present", "unregistered", "expired", "replaced", "revoked", "unknown", "grid", "gap", "surface",
];

/** The colours of the page as it looks now, light or dark, live or stale. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(
    COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
  return { ...colours, hatching: hatching(colours.gap) };
}

/** Paint a lane: `spans` and `gaps` as in the model; `seen`: until when the view knew. */
export function paintLane(canvas, { spans, gaps, scale, marks, colours, seen }) {
  const pen = prepare(canvas, scale.width);
  pen.fillStyle = colours.grid;
  for (const time of marks) pen.fillRect(Math.round(scale.x(time)), 0, 1, HEIGHT);
  for (const bar of bars(spans, scale)) {
    paintBar(pen, bar, colours, scale.x(knownUntil(bar.span, gaps, seen, scale.ahead)));
  }
  paintGaps(pen, gaps, scale, colours, HEIGHT);
}

/** Shade when the view did not know. */
function paintGaps(pen, gaps, scale, colours, height) {
  pen.fillStyle = colours.hatching;
  for (const { start, end } of gaps) {
    if ((end ?? Infinity) < scale.from || start > scale.to) continue;
    const x = Math.floor(scale.x(Math.max(start, scale.from)));
    pen.fillRect(x, 0, Math.max(2, Math.ceil(scale.x(end ?? scale.to)) - x), height);
  }
}

/** Paint a sample for the key: a bar with the end of a reason, "present", or "gap". */
export function paintSample(canvas, what, colours, width = 26) {
  const pen = prepare(canvas, width);
  if (what === "gap") {
    pen.fillStyle = colours.hatching;
    pen.fillRect(0, TOP - 4, width, BAR + 8);
    return;
  }
  pen.fillStyle = colours[what];
  if (what === "present") pen.fillRect(0, TOP, width, BAR);
  else paintEnded(pen, { x: 0, width: width - 4, end: width - 4, reason: what, exact: true });
}

function prepare(canvas, width) {
  const ratio = window.devicePixelRatio;
  const [columns, rows] = [Math.round(width * ratio), Math.round(HEIGHT * ratio)];
  if (canvas.width !== columns) canvas.width = columns;
  if (canvas.height !== rows) canvas.height = rows;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, HEIGHT);
  return pen;
}

/** Until when it is known that a device was there: not in a gap at the end of which it was gone. */
function knownUntil(span, gaps, seen, ahead) {
  if (span.end === null) return seen;
  const [start, end, exact] = [span.start - ahead, span.end - ahead, span.exact];
  const blind = gaps.find((gap) => gap.start > start && (gap.end ?? Infinity) >= end - 1);
  return exact || blind === undefined ? end : Math.min(end, blind.start);
}

function paintBar(pen, { x, width, end, span }, colours, knownX) {
  pen.fillStyle = colours[span.reason ?? "present"];
  const known = Math.min(width, Math.max(0, Math.round(knownX) - x));
  if (width - known > TIP) {
    pen.fillRect(x, TOP, known, BAR);
    paintOutline(pen, x + known, width - known);
  } else if (end === null) {
    pen.fillRect(x, TOP, width, BAR);
  } else {
    paintEnded(pen, { x, width, end, reason: span.reason, exact: span.exact });
  }
}

function paintEnded(pen, { x, width, end, reason, exact }) {
  const shape = width <= TIP ? "plain" : exact ? reason : "unknown";
  const body = { replaced: width - TIP, unknown: width - TIP }[shape] ?? width;
  pen.fillRect(x, TOP, body, BAR);
  const tip = x + body;
  if (shape === "replaced") {
    pen.beginPath();
    pen.moveTo(tip, TOP);
    pen.lineTo(tip + TIP, TOP + BAR / 2);
    pen.lineTo(tip, TOP + BAR);
    pen.fill();
  } else if (shape === "unknown") {
    paintOutline(pen, tip, TIP);
  } else if (shape === "revoked") {
    pen.fillRect(tip - 4, TOP - 4, 4, BAR + 8);
  } else if (reason === "expired" && end !== null) {
    // However short: that devices fall silent is what a lab looks for.
    pen.fillRect(tip - 2, TOP - 6, 2, BAR + 12);
  }
}

function paintOutline(pen, x, width) {
  pen.strokeStyle = pen.fillStyle;
  pen.lineWidth = 1;
  pen.setLineDash([2, 2]);
  pen.strokeRect(x - 0.5, TOP + 0.5, width, BAR - 1);
  pen.setLineDash([]);
}

function hatching(colour) {
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.lineCap = "square";
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}
