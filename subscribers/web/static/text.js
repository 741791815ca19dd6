/**
 * Text from strangers, and times, as a page shows them.
 *
 * Whatever comes out of here is set with `textContent` and never as HTML.
 */

// What Python's str.isprintable leaves out: controls, formats (which turn text round or hide it),
// halves of characters, private use, what is not assigned, and every kind of space but the space.
const UNPRINTABLE = /(?! )[\p{C}\p{Z}]/gu;

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];
const LONGEST_DURATION = 100 * 365 * 86_400;

/** Text on one line, with each character that does not print shown by its number: `\u202e`. */
export function printable(text, longest = Infinity) {
  const shown = String(text).replace(UNPRINTABLE, escape);
  const characters = shown.length > longest ? [...shown] : [];
  return characters.length > longest ? characters.slice(0, longest - 1).join("") + "…" : shown;
}

function escape(character) {
  const number = character.codePointAt(0);
  return number < 0x1_0000
    ? `\\u${number.toString(16).padStart(4, "0")}`
    : `\\U${number.toString(16).padStart(8, "0")}`;
}

/** A time span in its two largest units: "2 h 13 min". */
export function duration(seconds) {
  if (!(seconds < LONGEST_DURATION)) return `> ${LONGEST_DURATION / 86_400} d`;
  const largest = UNITS.findIndex(([size]) => seconds >= size);
  if (largest < 0) return "0 s";
  const [size, unit] = UNITS[largest];
  const first = `${Math.floor(seconds / size)} ${unit}`;
  // From an hour on, seconds say nothing any more; up to then they are all that moves.
  const next = UNITS[largest + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[0]);
  return rest > 0 && seconds < 100 * 86_400 ? `${first} ${rest} ${next[1]}` : first;
}

/** A time of day, on the reader's clock face; with the date where that is another day. */
export function clock(time, { now = time, seconds = true } = {}) {
  const moment = new Date(time * 1000);
  if (Number.isNaN(moment.getTime())) return "?";
  const parts = [moment.getHours(), moment.getMinutes(), ...(seconds ? [moment.getSeconds()] : [])];
  const face = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return moment.toDateString() === new Date(now * 1000).toDateString()
    ? face
    : `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${face}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** "1 device", "2,000 devices". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** An element with a class and text; the text is text, whatever it looks like. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** Set an element's text, unless that is what it says already: nothing is laid out for nothing. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
