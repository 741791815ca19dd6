/**
 * What the reader chose to see. It is kept in the address, after the #: a screen on a wall is set up
 * once, and a link shows somebody else the same.
 */

import { COLUMNS } from "./select.js";
import { RANGES } from "./scale.js";

export const DEFAULTS = { query: "", column: "name", descending: false, range: 600, departed: true };

/** The choices in an address. Whatever is none is left out. */
export function read(hash) {
  const found = new URLSearchParams(hash.replace(/^#/u, ""));
  const sort = found.get("sort") ?? "";
  const column = sort.replace(/^-/u, "");
  const range = Number(found.get("range"));
  return {
    ...DEFAULTS,
    query: found.get("q") ?? "",
    ...(COLUMNS.includes(column) && { column, descending: sort.startsWith("-") }),
    ...(RANGES.some(([seconds]) => seconds === range) && { range }),
    departed: found.get("departed") !== "no",
  };
}

/** The part of an address that stands for these choices. */
export function write({ query, column, descending, range, departed }) {
  const said = new URLSearchParams();
  if (query !== "") said.set("q", query);
  if (column !== DEFAULTS.column || descending) said.set("sort", `${descending ? "-" : ""}${column}`);
  if (range !== DEFAULTS.range) said.set("range", range);
  if (!departed) said.set("departed", "no");
  return `#${said}`;
}
