// The list of alerts beside the timelines: one entry for each, a jump, the newest first.

import { alertEntries } from "./alerts.js";
import { byId, resizeList, setText } from "./dom.js";
import { clock } from "./format.js";

const SHOWN = 200;

export class AlertList {
  // `onPick(seconds)` is called when an entry is chosen.
  constructor(onPick) {
    this.entries = []; // by time
    this.names = {}; // that people see, by participant
    this.records = new Map(); // alert_id and state → record
    byId("alerts").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) onPick(Number(button.dataset.seconds));
    });
  }

  // Add a record; false for one that is here already.
  add(record) {
    const key = `${record.alert_id} ${record.state}`;
    if (this.records.has(key)) return false;
    this.records.set(key, record);
    if (this.records.size > SHOWN) this.records.delete(this.records.keys().next().value);
    this.#enter();
    return true;
  }

  // Show other names of the participants.
  rename(names) {
    this.names = names;
    this.#enter();
  }

  // The entry that a raised record began.
  entryOf({ participant_id, kind, rule, end_ms }) {
    return this.entries.find((entry) => entry.participant_id === participant_id && entry.kind === kind
      && entry.rule === rule && entry.begin_ms === end_ms);
  }

  clear() {
    this.records.clear();
    this.entries = [];
  }

  // Show the entries; `textOf(entry)` gives each one's sentence.
  draw(textOf) {
    byId("no-alerts").hidden = this.entries.length > 0;
    const items = resizeList(byId("alerts"), "alert", this.entries.length);
    [...this.entries].reverse().forEach((entry, at) => {
      const button = items[at].querySelector("button");
      button.dataset.seconds = entry.begin_ms / 1000;
      setText(button.querySelector(".when"), clock(entry.begin_ms / 1000));
      setText(button.querySelector(".what"), textOf(entry));
      setText(button.querySelector(".why"), entry.why);
      button.querySelector(".what").classList.toggle("negative", entry.end_ms === null);
    });
  }

  #enter() {
    this.entries = alertEntries(this.records.values(), this.names);
  }
}
