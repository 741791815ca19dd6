/**
 * From times to places on a strip, and back. Pure: no page, no clock.
 */

export const RANGES = [
  [120, "2 min"],
  [600, "10 min"],
  [3_600, "1 h"],
  [6 * 3_600, "6 h"],
];

const STEPS = [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200];
const NOISE = 3; // seconds
const ROOM = 64; // pixels that the label of a tick takes, with some air

/**
 * A stretch of time that ends now, on a strip `width` pixels wide. Spans are on a clock that is `ahead`
 * seconds ahead of the strip's.
 */
export class Scale {
  constructor(now, range, width, ahead = 0) {
    this.ahead = ahead;
    this.to = now;
    this.from = now - range;
    this.width = width;
    this.density = width / range; // pixels in a second
  }

  x(time) {
    return (Math.min(Math.max(time, this.from), this.to) - this.from) * this.density;
  }

  time(x) {
    return this.from + x / this.density;
  }
}

/** Round times between which there is room for their labels, in the reader's time zone. */
export function ticks(scale) {
  const step = STEPS.find((seconds) => seconds * scale.density >= ROOM) ?? STEPS.at(-1);
  const offset = new Date(scale.to * 1000).getTimezoneOffset() * 60;
  const times = [];
  for (let time = Math.ceil((scale.from - offset) / step) * step + offset; time <= scale.to; ) {
    times.push(time);
    time += step;
  }
  return { step, times };
}

/**
 * The bars of a lane: `{ x, width, end, span }`, oldest first, with `end` the place of a bar's end
 * that is on the strip.
 *
 * Each is wide enough to be seen, and apart from the next: a device that came and went within a
 * pixel still leaves a mark. Bars that would lie on the same pixel become the latest of them.
 */
export function bars(spans, scale) {
  const found = [];
  for (const span of spans) {
    const [from, to] = [span.start - scale.ahead, span.end === null ? Infinity : span.end - scale.ahead];
    // What has just begun may seem to begin in a moment: clocks are known to within seconds.
    if (to < scale.from || from > scale.to + NOISE) continue;
    const x = Math.round(scale.x(from));
    const end = Math.round(scale.x(to));
    const bar = { x, width: Math.max(2, end - x), end: span.end === null ? null : end, span };
    const last = found.at(-1);
    if (last !== undefined && last.x >= x) found.pop();
    else if (last !== undefined && last.x + last.width >= x) last.width = Math.max(1, x - last.x - 1);
    found.push(bar);
  }
  return found;
}

/** The span that is shown at a place, or within a few pixels of it; undefined if none. */
export function spanAt(spans, scale, x, slack = 3) {
  const near = bars(spans, scale).filter((bar) => x >= bar.x - slack && x <= bar.x + bar.width + slack);
  return near.at(-1)?.span;
}

/** How often a lane was left since a time. */
export function departures(spans, from) {
  return spans.reduce((sum, span) => sum + (span.end !== null && span.end > from ? 1 : 0), 0);
}
