/**
 * The dashboard server's events, for as long as the page is open.
 *
 * An EventSource connects again by itself after some errors and gives up for good after others. So
 * that there is one way for all of them, this closes it at the first and makes another, from where
 * the last one stopped.
 */

const NAMES = ["snapshot", "added", "removed", "live", "stale", "pulse"];

const SILENCE = 3_000; // milliseconds: three pulses that did not come
const CONNECTING = 15_000; // until there is a connection
// Until there is something on it. The first is the whole picture, of which nothing is to be seen until
// it has come in full: over a slow link that takes its time, and to ask again takes it twice.
const PICTURE = 60_000; // it doubles with each connection on which that was not enough
const LONGEST_PICTURE = 960_000;
const FIRST_PAUSE = 500; // before another attempt; it doubles with each
const LONGEST_PAUSE = 8_000;

/**
 * Follow the events.
 *
 * @param {string} url where they come from
 * @param {(name: string, data: object) => void} receive called with each
 * @param {(why: string) => void} lose called when nothing comes any more, or nothing has come yet, as
 *     often as there is another reason; whatever comes next ends that
 */
export function follow(url, receive, lose) {
  let source = null;
  let cursor = ""; // where the next connection goes on
  let alive = 0; // when something came, or was asked for, on the browser's steady clock
  let attempts = 0;
  let waiting = 0; // the timer of the next attempt
  let open = false; // whether there is a connection
  let begun = false; // whether anything has come on it
  let told = true; // whether it was said that nothing has
  let picture = PICTURE;

  function connect() {
    clearTimeout(waiting);
    waiting = 0;
    alive = performance.now();
    open = begun = told = false;
    source = new EventSource(cursor === "" ? url : `${url}?after=${encodeURIComponent(cursor)}`);
    for (const name of NAMES) source.addEventListener(name, take);
    source.addEventListener("open", () => {
      alive = performance.now();
      open = true;
      told = false;
    });
    source.addEventListener("error", () => fail("the connection to the dashboard server is lost"));
  }

  function take(message) {
    alive = performance.now();
    attempts = 0;
    begun = true;
    picture = PICTURE;
    if (message.lastEventId !== "") cursor = message.lastEventId;
    receive(message.type, JSON.parse(message.data));
  }

  function fail(why) {
    source.close();
    // With jitter: a server that comes back is not asked by every screen of a lab at once.
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempts) * (0.75 + Math.random() / 2);
    attempts += 1;
    waiting = setTimeout(connect, pause);
    lose(why);
  }

  function check() {
    if (waiting !== 0) return;
    const silent = performance.now() - alive;
    if (begun && silent > SILENCE) fail("the dashboard server is silent");
    if (!begun) checkFirst(silent);
  }

  /** Wait for the first word: for long, but not without saying so. */
  function checkFirst(silent) {
    if (silent > (open ? picture : CONNECTING)) {
      if (open) picture = Math.min(LONGEST_PICTURE, 2 * picture);
      fail(open ? "the dashboard server is silent" : "the dashboard server does not answer");
    } else if (silent > SILENCE && !told) {
      told = true;
      lose(
        open
          ? "the dashboard server has answered, and its picture is on the way"
          : "waiting for the dashboard server to answer",
      );
    }
  }

  // Whoever comes back to the page, or to the network, does not wait for the next attempt.
  function hurry() {
    if (waiting !== 0 && !document.hidden) connect();
  }

  setInterval(check, 250);
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  connect();
}
