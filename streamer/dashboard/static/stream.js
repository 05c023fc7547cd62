// The connection to the server: reopened whenever it ends, after the last record received.
//
// Out: onStatus(status), onRecords(records), onReset(), onLive(), onLink(up). The browser's own
// reconnection does not suffice: it gives up after an error response.

const SILENCE_MS = 12_000; // the server sends an event every 5 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

export function connect(session, { onStatus, onRecords, onReset, onLive, onLink }) {
  let place = null; // the id of the last event with records
  let source = null;
  let lastEventAt = performance.now();
  let waitMs = FIRST_WAIT_MS;
  let timer = 0;

  function open() {
    timer = 0;
    const query = new URLSearchParams();
    if (session !== null) query.set("session", session);
    if (place !== null) query.set("after", place);
    const opened = new EventSource(`api/events?${query}`);
    source = opened;
    lastEventAt = performance.now();
    const on = (name, handle) => opened.addEventListener(name, (event) => {
      if (opened !== source) return;
      lastEventAt = performance.now();
      waitMs = FIRST_WAIT_MS;
      handle(JSON.parse(event.data), event.lastEventId);
    });
    on("status", (status) => { onLink(true); onStatus(status); });
    on("reset", () => { place = null; onReset(); });
    on("records", (records, id) => { onRecords(records); place = id; });
    on("live", () => onLive());
    opened.onerror = () => { if (opened === source) reopen(); };
  }

  function reopen() {
    source.close();
    onLink(false);
    if (timer) return;
    timer = setTimeout(open, waitMs);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }

  setInterval(() => { if (!timer && performance.now() - lastEventAt > SILENCE_MS) reopen(); }, 2_000);
  addEventListener("online", () => { clearTimeout(timer); source.close(); open(); });
  open();
}
