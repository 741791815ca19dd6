/**
 * What the page knows: who is present, who was when, and what that is worth. Pure: no page, no
 * clock, no network. Times are seconds since 1970: those of spans and events on the registry's clock,
 * those of gaps and of the status on the server's. `ahead` is how far the one is ahead of the other.
 *
 * A lane is the spans of one name, oldest first; only its last one may still go on. A device that
 * left stays in its lane, for as long as the timeline goes back.
 */

export const REASONS = ["unregistered", "expired", "replaced", "revoked", "unknown"];

/** Seconds for which a span is kept after its end: as far as the timeline goes back. */
export const KEEP = 6 * 3600;

/** Entries of the log that are kept. */
export const LOGGED = 300;

const SAME = 0.01; // seconds: two accounts of one moment

export class Model {
  constructor() {
    this.registry = "";
    this.status = { state: "connecting", since: 0, why: "" };
    this.ahead = 0;
    this.lanes = new Map(); // name -> { name, device, present, spans, type }
    this.gaps = []; // { start, end, why }
    this.knownSince = Infinity; // who left before is not known
    this.log = []; // what happened, oldest first: { number, time, kind, … }
    this.present = 0;
    this.logged = 0; // entries ever: each has a number that stays with it
  }

  /** Whether there is a picture at all, be it an old one. */
  get empty() {
    return this.lanes.size === 0;
  }

  /**
   * Take in the server's whole picture.
   *
   * What the page saw before stays in its timeline: a server that was started anew knows who is
   * there, and not who was. `lost` is when the page heard the server last, if it lost it.
   */
  snapshot(data, lost = null) {
    const before = this.registry === data.registry ? this.lanes : new Map();
    const gaps = this.registry === data.registry ? this.gaps : [];
    this.registry = data.registry;
    this.status = data.status;
    this.ahead = data.ahead;
    if (data.cursor === null && before.size > 0) {
      // The server has not found the registry yet, which says nothing about the devices. It sends
      // another picture when it has.
      return;
    }
    this.lanes = new Map();
    this.present = 0;
    for (const { name, metadata, spans } of data.timeline.lanes) {
      const { device_type, addr } = spans.at(-1);
      const device = { name, device_type, addr, metadata: metadata ?? {} };
      this.lanes.set(name, { name, device, present: false, spans: [...spans] });
    }
    for (const device of data.devices) this._enter(device);
    for (const lane of before.values()) this._remember(lane, (lost ?? data.now) + this.ahead);
    this.gaps = merged(gaps, data.timeline.gaps);
    const knownSince = data.timeline.known_since ?? data.now;
    this.knownSince = before.size > 0 ? Math.min(this.knownSince, knownSince) : knownSince;
    this._lose(lost, data.now);
    this._relate();
  }

  /** Take in an `added`; true unless it was known. */
  added({ device, time, origin }) {
    const known = this.lanes.get(device.name);
    if (known?.present && known.device.revision === device.revision) return false;
    if (known?.present) this._leave(known, time, "unknown", false);
    this._enter(device);
    this._note({ kind: "added", time, device, origin });
    return true;
  }

  /** Take in a `removed`; true unless it was known. */
  removed({ device, time, reason, origin }) {
    const lane = this.lanes.get(device.name);
    // A late one never ends a newer registration.
    if (!lane?.present || lane.device.revision !== device.revision) return false;
    const span = this._leave(lane, time, reason, origin !== "resync");
    this._note({ kind: "removed", time, device, reason, origin, lasted: span.end - span.start });
    return true;
  }

  /** The view is right again. */
  live({ time }) {
    const gap = this.gaps.at(-1);
    if (gap?.end === null) {
      gap.end = Math.max(time, gap.start);
      this._note({ kind: "live", time, lasted: gap.end - gap.start });
    } else if (gap?.presumed && time >= gap.start) {
      // The word on it has come after all, with when it was.
      gap.end = Math.min(time, gap.end);
      gap.presumed = false;
    }
    this.status = { state: "live", since: time, why: "" };
  }

  /** The view may not be right any longer. */
  stale({ time, why }) {
    const gap = this.gaps.at(-1);
    // A pulse may have told of it already, and even of its end.
    if (gap?.end !== null && !(Math.abs(gap?.start - time) < SAME)) {
      this.gaps.push({ start: time, end: null, why });
      this._note({ kind: "stale", time, why });
    }
    this.status = { state: "stale", since: time, why };
  }

  /**
   * Take in what the server says of the view every second. Whoever has missed a word on it learns it
   * from here, be it late, so that no gap stays open for good.
   */
  pulse({ status, ahead }) {
    const { state, since: time, why } = status;
    const gap = this.gaps.at(-1);
    if (state === "live" && gap?.end === null) {
      this.live({ time });
      gap.presumed = true; // what is on its way still may say that it was earlier
    }
    if (state === "stale") this.stale({ time, why });
    this.status = status;
    this.ahead = ahead;
  }

  /** When an entry of the log was, on the server's clock. */
  moment({ kind, time }) {
    return kind === "added" || kind === "removed" ? time - this.ahead : time;
  }

  /** Let go of what ended too long ago. `now` is on the server's clock. */
  forget(now) {
    const horizon = now - KEEP;
    const there = horizon + this.ahead;
    for (const [name, lane] of this.lanes) {
      const kept = lane.spans.findIndex((span) => span.end === null || span.end >= there);
      if (kept > 0) lane.spans.splice(0, kept);
      if (kept < 0) this.lanes.delete(name);
    }
    this.gaps = this.gaps.filter((gap) => gap.end === null || gap.end >= horizon);
  }

  _enter(device) {
    let lane = this.lanes.get(device.name);
    if (lane === undefined) {
      lane = { name: device.name, device, present: false, spans: [] };
      this.lanes.set(device.name, lane);
    }
    if (!lane.present) this.present += 1;
    lane.present = true;
    lane.device = device;
    if (lane.spans.at(-1)?.end !== null) {
      const { registered_at: start, device_type, addr } = device;
      lane.spans.push({ start, end: null, reason: null, exact: true, device_type, addr });
    }
  }

  _leave(lane, time, reason, exact) {
    const span = lane.spans.at(-1);
    // The registry's clock may have been set back meanwhile.
    Object.assign(span, { end: Math.max(time, span.start), reason, exact });
    lane.present = false;
    this.present -= 1;
    return span;
  }

  /** Keep what was known of a name and the new picture does not have. */
  _remember(old, time) {
    const lane = this.lanes.get(old.name);
    const first = lane?.spans[0].start ?? Infinity;
    const older = old.spans.filter((span) => span.start < first);
    const last = older.at(-1);
    if (last?.end === null) {
      Object.assign(last, { end: Math.max(time, last.start), reason: "unknown", exact: false });
    }
    if (lane !== undefined) lane.spans.unshift(...older);
    else if (older.length > 0) this.lanes.set(old.name, { ...old, present: false, spans: older });
  }

  /** The page could not see, and nobody has told it everything that happened meanwhile. */
  _lose(start, end) {
    if (start === null || end <= start) return;
    const why = "this page had lost its server";
    this.gaps = merged(this.gaps, [{ start, end, why }]);
  }

  /** Begin the log with what the timeline tells. */
  _relate() {
    const entries = [];
    for (const { device, spans } of this.lanes.values()) {
      for (const span of spans) {
        const who = { ...device, device_type: span.device_type, addr: span.addr };
        const origin = span.exact ? "live" : "resync";
        const { start, end, reason } = span;
        entries.push({ kind: "added", time: start, device: who, origin: "live" });
        if (end === null) continue;
        const lasted = end - start;
        entries.push({ kind: "removed", time: end, device: who, reason, origin, lasted });
      }
    }
    for (const { start, end, why } of this.gaps) {
      entries.push({ kind: "stale", time: start, why });
      if (end !== null) entries.push({ kind: "live", time: end, lasted: end - start });
    }
    entries.sort((one, other) => this.moment(one) - this.moment(other));
    this.log = [];
    for (const entry of entries.slice(-LOGGED)) this._note(entry);
  }

  _note(entry) {
    this.logged += 1;
    this.log.push({ ...entry, number: this.logged });
    if (this.log.length > 2 * LOGGED) this.log.splice(0, LOGGED);
  }
}

/** Gaps of two accounts, oldest first, each once. */
function merged(some, more) {
  const known = new Set(more.map(({ start }) => start));
  return [...some.filter(({ start, end }) => end !== null && !known.has(start)), ...more].sort(
    (one, other) => one.start - other.start,
  );
}
