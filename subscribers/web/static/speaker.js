/**
 * Who came and went, for someone who listens: now and then, and in few words, so that a flapping
 * device does not talk all the time.
 */

import { summary } from "./log.js";
import { say } from "./text.js";

const PAUSE = 8_000; // milliseconds between two announcements

export class Speaker {
  constructor(place) {
    this._place = place;
    this._told = 0; // number of the last entry that was told
    this._timer = 0;
    this._log = [];
  }

  /** Take entries up to this number as told: they are the past, and no news. */
  skip(number) {
    this._told = number;
  }

  /** Take in the log as it is now. */
  hear(log) {
    this._log = log;
    if (this._timer === 0 && this._news().length > 0) this._tell();
  }

  _news() {
    return this._log.filter(({ number }) => number > this._told);
  }

  _tell() {
    this._timer = 0;
    const words = summary(this._news());
    this._told = this._log.at(-1)?.number ?? this._told;
    if (words === "") return;
    say(this._place, words);
    this._timer = setTimeout(() => this._tell(), PAUSE);
  }
}
