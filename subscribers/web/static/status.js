/**
 * What the view is worth: always to be seen, and said when it changes.
 */

import { clock, duration, printable, say } from "./text.js";

const WORDS = { connecting: "Connecting", live: "Live", stale: "Stale" };

/**
 * What the view is worth, the page's own link included.
 *
 * @param {object} model what the server said last
 * @param {{since: number, why: string} | null} lost since when there is no word of the server
 */
export function verdict({ status, empty }, lost) {
  if (lost !== null) {
    // What was never there is not out of date.
    return { ...lost, state: empty && status.state === "connecting" ? "connecting" : "stale" };
  }
  // A server that was started anew, or is about to end, does not vouch for what is shown here.
  const old = status.state === "closed" || (status.state === "connecting" && !empty);
  return old ? { ...status, state: "stale", why: status.why || "the server is not there" } : status;
}

export class Status {
  constructor(page) {
    this._page = page;
    this._said = "";
  }

  /** Show what the view is worth, and how many devices are in it. */
  show({ state, since, why }, { now, present, empty }) {
    const { root, word, since: when, why: reason, spoken } = this._page;
    root.dataset.state = state;
    say(word, WORDS[state]);
    const moment = `since ${clock(since, { now })}`;
    say(when, since > 0 ? `${moment} (${duration(Math.max(0, now - since))})` : "");
    say(reason, this._reason(state, why, empty));
    document.title = title(state, present);
    const sentence = `${WORDS[state]}${since > 0 ? ` ${moment}` : ""}. ${why && printable(why, 300)}`;
    // What is said once the state has changed is not said again as it gets older.
    if (this._said === `${state} ${why}`) return;
    this._said = `${state} ${why}`;
    say(spoken, sentence);
  }

  _reason(state, why, empty) {
    if (state === "live") return "";
    const words = printable(why, 300);
    if (state !== "stale" || empty) return words;
    return `${words}. The devices are shown as they were then`;
  }
}

function title(state, present) {
  const words = { connecting: "connecting", live: `${present} present`, stale: "stale" };
  return `${words[state]} · devicewatch`;
}
