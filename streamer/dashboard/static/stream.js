// The connection to the server: opened again whenever it ends, from the last record that came.
//
// Out: onStatus(status), onRecords(records), onReset(), onLive(), onLink(up). The browser's own
// reconnecting is not relied on: it gives up after an answer that is an error.

const SILENCE_MS = 12_000; // the server says something every 5 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

export function connect(session, { onStatus, onRecords, onReset, onLive, onLink }) {
  let place = null;
  let source = null;
  let heard = performance.now();
  let wait = FIRST_WAIT_MS;
  let timer = 0;

  function open() {
    timer = 0;
    const query = new URLSearchParams();
    if (session !== null) query.set("session", session);
    if (place !== null) query.set("after", place);
    const mine = new EventSource(`api/events?${query}`);
    source = mine;
    heard = performance.now();
    const on = (name, take) => mine.addEventListener(name, (event) => {
      if (mine !== source) return;
      heard = performance.now();
      wait = FIRST_WAIT_MS;
      take(JSON.parse(event.data), event.lastEventId);
    });
    on("status", (status) => { onLink(true); onStatus(status); });
    on("reset", () => { place = null; onReset(); });
    on("records", (records, id) => { onRecords(records); place = id; });
    on("live", () => onLive());
    mine.onerror = () => { if (mine === source) again(); };
  }

  function again() {
    source.close();
    onLink(false);
    if (timer) return;
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }

  setInterval(() => { if (!timer && performance.now() - heard > SILENCE_MS) again(); }, 2_000);
  addEventListener("online", () => { clearTimeout(timer); source.close(); open(); });
  open();
}
