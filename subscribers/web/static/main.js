/**
 * The page: what comes from the server goes into the model, and from there, once a frame at the most,
 * onto the screen.
 */

import { Controls } from "./controls.js";
import { Key, showAxis } from "./axis.js";
import { palette } from "./lane.js";
import { Log } from "./log.js";
import { Model } from "./model.js";
import { RANGES, Scale, ticks } from "./scale.js";
import { select } from "./select.js";
import { Speaker } from "./speaker.js";
import { Status, verdict } from "./status.js";
import { follow } from "./stream.js";
import { Table } from "./table.js";
import { printable, say } from "./text.js";

const LULL = 100; // milliseconds between two pictures: a thousand events make a few, not a thousand

const find = (id) => document.getElementById(id);
const root = document.documentElement;

const model = new Model();
const table = new Table(find("table"), find("tip"));
const log = new Log(find("log"));
const key = new Key(find("key"));
const speaker = new Speaker(find("spoken-changes"));
const status = new Status({
  root,
  word: find("state"),
  since: find("since"),
  why: find("why"),
  spoken: find("spoken-status"),
});
const controls = new Controls({ form: find("controls"), head: find("table").tHead }, refresh);

let clockOffset = Date.now() / 1000 - performance.now() / 1000; // until the server says otherwise
let lost = null; // { since, why } while there is no word of the server
let heard = null; // when there was, on the server's clock
let changed = new Set(); // names to which something has happened since the last picture
let joined = new Set();
let due = false; // whether there is something new to show
let shown = -Infinity; // when it was shown last
let colours = null;

/** The time on the server's clock: the browser's may be wrong. */
function now() {
  return performance.now() / 1000 + clockOffset;
}

const began = now();

function setClock(time) {
  const offset = time - performance.now() / 1000;
  // What a message took on its way makes no clock jump.
  if (heard === null || Math.abs(offset - clockOffset) > 0.25) clockOffset = offset;
  heard = now();
}

const HANDLERS = {
  snapshot(data) {
    const blind = heard === null ? null : (lost?.since ?? null); // it has lost what it had, if anything
    setClock(data.now);
    model.snapshot(data, blind);
    for (const name of model.lanes.keys()) changed.add(name);
    speaker.skip(model.logged);
  },
  added(data) {
    if (model.added(data) && data.origin !== "snapshot") joined.add(data.device.name);
    changed.add(data.device.name);
  },
  removed(data) {
    model.removed(data);
    changed.add(data.device.name);
  },
  live: (data) => model.live(data),
  stale: (data) => model.stale(data),
  pulse(data) {
    setClock(data.now);
    if (data.ahead !== model.ahead) for (const name of model.lanes.keys()) changed.add(name);
    model.pulse(data);
    model.forget(now()); // now that it is known what time it is at the registry
  },
};

function receive(name, data) {
  HANDLERS[name](data);
  heard = now();
  if (lost !== null) {
    lost = null;
    refresh();
  }
  refresh(); // pulses as well: a second has passed, and something may have left the range
}

function lose(why) {
  lost = { since: lost?.since ?? heard ?? began, why };
  refresh();
}

/** What the view is now: all that a row needs to show itself. */
function look() {
  const range = controls.choices.range;
  const [, label] = RANGES.find(([seconds]) => seconds === range);
  const scale = new Scale(now(), range, find("axis").clientWidth, model.ahead);
  const worth = verdict(model, lost);
  const stale = worth.state !== "live" && model.gaps.at(-1)?.end !== null;
  const open = stale ? [{ start: worth.since, end: null }] : [];
  const seen = worth.state === "live" ? scale.to : Math.min(worth.since, scale.to);
  const { step, times: marks } = ticks(scale);
  const unknown = { start: -Infinity, end: model.knownSince - model.ahead };
  const gaps = model.empty ? open : [unknown, ...model.gaps, ...open];
  return { now: scale.to, ahead: model.ahead, label, scale, worth, seen, gaps, step, marks, colours };
}

/** Show what is new, soon. */
function refresh() {
  // In a tab that is hidden nothing is painted, but its title is read.
  if (document.hidden) showWorth();
  if (due) return;
  due = true;
  setTimeout(() => requestAnimationFrame(draw), Math.max(0, shown + LULL - performance.now()));
}

function draw() {
  due = false;
  shown = performance.now();
  showWorth();
  const view = look();
  const selection = select(model.lanes, { ...controls.choices, from: view.scale.from + model.ahead });
  table.show(selection.groups, view, { changed, joined });
  [changed, joined] = [new Set(), new Set()];
  log.show(model, view.now);
  speaker.hear(model.log);
  controls.show(selection, { empty: model.empty });
  showCounts(selection, view);
  showNothing(selection);
  showAxis(find("ticks"), view);
}

function showWorth() {
  const worth = verdict(model, lost);
  status.show(worth, { now: now(), present: model.present, empty: model.empty });
  if (root.dataset.state !== colours?.state) dress();
}

function showCounts({ joins, leaves }, { label }) {
  const sum = Object.values(leaves).reduce((one, other) => one + other, 0);
  const known = model.status.state !== "connecting" || !model.empty;
  const figure = (number) => (known ? number.toLocaleString("en") : "–");
  say(find("present"), figure(model.present));
  say(find("joins"), figure(joins));
  say(find("leaves"), figure(sum));
  say(find("period"), `in ${label}`);
  key.count(leaves);
  say(find("registry"), printable(model.registry, 200));
}

function showNothing({ shown: rows, hidden }) {
  const notice = find("nothing");
  notice.hidden = rows > 0;
  if (rows > 0) return;
  const words = {
    connecting:
      lost === null && model.registry !== ""
        ? "Looking for the registry. The devices appear as soon as it answers."
        : "Waiting for the dashboard server. The devices appear as soon as it has sent them.",
    live: "No devices are present. They appear here as they register.",
    stale: "Nothing is known of any device yet.",
  };
  say(notice, hidden > 0 ? "No device matches the search." : words[root.dataset.state]);
}

/** Take on the colours that the page has now. */
function dress() {
  colours = { ...palette(), state: root.dataset.state };
  key.paint(colours);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  dress();
  refresh();
});

// What is stuck to the top of the window lies below the status, however many lines that has.
new ResizeObserver(() => {
  root.style.setProperty("--top-height", `${find("top").offsetHeight}px`);
}).observe(find("top"));
new ResizeObserver(refresh).observe(find("axis"));

refresh();
follow("api/events", receive, lose);
