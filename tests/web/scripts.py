"""What tests have the page's modules do, in the browser."""

from typing import Final

MODEL: Final = """async () => {
  const { Model } = await import("/static/model.js");
  const device = (name, revision) => ({
    name, revision, device_type: "t", addr: "x", registered_at: revision, metadata: {},
  });
  const added = (name, seq) => ({ time: seq, origin: "live", device: device(name, seq) });
  const removed = (name, revision, time) => ({
    time, reason: "expired", origin: "live", device: device(name, revision),
  });
  const snapshot = (devices, now) => ({
    registry: "r", cursor: "1/e", now, ahead: 0, devices,
    status: { state: "live", since: 0, why: "" },
    timeline: {
      gaps: [],
      known_since: now - 5,
      lanes: devices.map((known) => ({ name: known.name, metadata: null, spans: [
        { start: known.registered_at, end: null, reason: null, exact: true, addr: "x" },
      ] })),
    },
  });
  const model = new Model();
  const found = {};
  model.snapshot(snapshot([device("a", 1), device("b", 2)], 10));
  found.twice = [model.added(added("b", 2)), model.added(added("c", 3))];
  found.late = [model.removed(removed("b", 1, 11)), model.present];
  const leave = () => model.removed(removed("b", 2, 12));
  found.left = [leave(), leave(), model.present];
  // Another server, which knows only who is there now: what was seen before stays.
  model.snapshot(snapshot([device("a", 1), device("b", 15)], 20), 14);
  found.spans = Object.fromEntries([...model.lanes].map(([name, lane]) =>
    [name, lane.spans.map(({ start, end, reason, exact }) => [start, end, reason, exact])]));
  found.gaps = model.gaps.map(({ start, end }) => [start, end]);
  found.present = model.present;
  found.knownSince = model.knownSince;
  model.stale({ time: 30, why: "w" });
  model.live({ time: 31 });
  found.log = model.log.slice(-2).map(({ kind, time }) => [kind, time]);
  // A pulse says what a word that was missed, or is late, would have said.
  const pulse = (state, since) => model.pulse({ ahead: 0, status: { state, since, why: "p" } });
  const gaps = () => model.gaps.slice(2).map(({ start, end }) => [start, end]);
  model.stale({ time: 40, why: "w" });
  pulse("connecting", 39);
  found.pulses = [gaps()];
  pulse("live", 50);
  pulse("live", 50);
  found.pulses.push(gaps());
  model.live({ time: 45 });
  model.stale({ time: 60, why: "w" });
  model.live({ time: 61 });
  found.pulses.push(gaps());
  pulse("stale", 70);
  pulse("stale", 70);
  found.pulses.push(gaps());
  pulse("live", 72);
  model.stale({ time: 70.0001, why: "w" });
  model.live({ time: 72 });
  found.pulses.push(gaps(), [model.status.state, model.log.length]);
  model.forget(12 + 6 * 3600 + 1);
  found.kept = model.lanes.get("b").spans.length;
  return found;
}"""

SKEW: Final = """async (ahead) => {
  const [{ Model }, { select }, { Scale, bars }, { words }] = await Promise.all(
    ["model", "select", "scale", "detail"].map((name) => import(`/static/${name}.js`)),
  );
  const now = 1e9;
  const status = { state: "live", since: now - 100, why: "" };
  const told = { registry: "r", cursor: "1/e", now, ahead: 0, status };
  const model = new Model();
  model.snapshot({ ...told, devices: [], timeline: { lanes: [], gaps: [] } });
  const device = {
    name: "cam", device_type: "t", addr: "x", revision: 1, registered_at: now + ahead, metadata: {},
  };
  model.added({ device, time: now + ahead, origin: "live" });
  model.removed({ device, time: now + ahead + 50, reason: "expired", origin: "live" });
  model.pulse({ now: now + 51, ahead, status });
  model.forget(now + 51);
  const scale = new Scale(now + 60, 600, 600, ahead);
  const choice = { query: "", column: "name", descending: false, departed: true };
  const { shown, joins, leaves } = select(model.lanes, { ...choice, from: scale.from + ahead });
  const { spans } = model.lanes.get("cam");
  const span = words(spans[0], { now: now + 60, seen: now + 60, ahead });
  const found = {
    shown, joins, leaves: leaves.expired, span,
    bars: bars(spans, scale).map(({ x, width, end }) => [x, width, end]),
    moments: model.log.map((entry) => model.moment(entry) - now),
  };
  // Whoever left while the page saw nothing left by the registry's clock, too.
  model.added({ device: { ...device, name: "b" }, time: now + ahead, origin: "live" });
  model.snapshot({ ...told, ahead, devices: [], timeline: { lanes: [], gaps: [] } }, now + 70);
  found.lost = model.lanes.get("b").spans[0].end - ahead - now;
  model.forget(now + 50 + 6 * 3600 + 1);
  found.kept = [...model.lanes.keys()];
  return found;
}"""

STREAM: Final = """async () => {
  let time = 0;
  const [made, timers, told] = [[], [], []];
  let check = null;
  performance.now = () => time;
  window.setInterval = (call) => { check = call; };
  window.setTimeout = (call, pause) => timers.push([call, pause]);
  window.EventSource = class extends EventTarget {
    constructor(url) { super(); this.url = url; made.push(this); }
    close() { this.closed = true; }
    send(type, id) { this.dispatchEvent(new MessageEvent(type, { data: "{}", lastEventId: id })); }
  };
  const { follow } = await import("/static/stream.js");
  follow("events", (name) => told.push(name), (why) => told.push(why));
  made[0].send("snapshot", "1/e e");
  time = 2900;
  made[0].send("pulse", "");
  time = 5900;
  check();
  const calm = timers.length;
  time = 5901;
  check();
  check();
  const silent = [timers.length, made[0].closed];
  const pauses = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const [call, pause] = timers.at(-1);
    pauses.push(pause);
    call();
    made.at(-1).dispatchEvent(new Event("error"));
  }
  timers.at(-1)[0]();
  made.at(-1).send("pulse", "");
  made.at(-1).dispatchEvent(new Event("error"));
  pauses.push(timers.at(-1)[1]);
  const urls = [...new Set(made.map(({ url }) => url))];
  const said = told.splice(0);

  // A link that is slow, and one that is none: for how long it waits, and what it says meanwhile.
  const wait = (milliseconds) => {
    time += milliseconds;
    check();
    check();
    return timers.length === 0;
  };
  const reconnect = () => timers.splice(0).at(-1)[0]();
  const answer = () => made.at(-1).dispatchEvent(new Event("open"));
  const first = [];
  reconnect();
  first.push(wait(3_000), told.length, wait(12_000), wait(1));
  for (const patience of [60_000, 120_000]) {
    reconnect();
    first.push(wait(10_000));
    answer();
    first.push(wait(patience), wait(1));
  }
  reconnect();
  answer();
  first.push(wait(200_000));
  made.at(-1).send("snapshot", "2/e");
  first.push(wait(3_000), wait(1));
  reconnect();
  answer();
  first.push(wait(60_001));
  return { calm, silent, pauses, said, urls, first, told };
}"""
