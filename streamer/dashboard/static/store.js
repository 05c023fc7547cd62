// The records of one track (a participant, or the meeting as a whole): one slot for each window.
//
// Columns are dense by window index, so that a late or repeated record replaces its own slot; a
// window without a record stays a gap. The length is bounded: beyond `maxSlots` the oldest go.

let maxSlots = 7_800; // 2 hours and 10 minutes at one window a second
const MAX_SLOTS_RECORDED = 36_000; // 10 hours: a recording does not grow while the page shows it
const TRIM = 600; // slots by which a track may be longer, so that trimming is rare

// Let tracks become as long as a recorded session may be.
export function keepLong() {
  maxSlots = MAX_SLOTS_RECORDED;
}

export class Track {
  constructor() {
    this.first = 0; // window index of slot 0
    this.records = []; // the published record, or null
    this.end = []; // seconds in the session at the window's end
    this.valence = [];
    this.low = [];
    this.high = [];
    this.raw = [];
  }

  // Add a record; false when it is older than the oldest slot, or an earlier revision.
  add(record) {
    const index = record.window_index;
    if (this.records.length === 0) this.first = index;
    while (index < this.first && this.records.length < maxSlots && this.first > 0) this.#before();
    if (index < this.first) return false;
    const slot = index - this.first;
    if (slot - this.records.length > maxSlots) this.#clear(index);
    while (this.records.length <= index - this.first) this.#after(record.end_ms / 1000, index);
    const at = index - this.first;
    if (this.records[at] !== null && this.records[at].revision > record.revision) return false;
    this.#put(at, record);
    if (this.records.length > maxSlots + TRIM) this.#trim(this.records.length - maxSlots);
    return true;
  }

  get last() {
    for (let at = this.records.length - 1; at >= 0; at -= 1) {
      if (this.records[at] !== null) return this.records[at];
    }
    return null;
  }

  // The records whose windows had ended by `seconds`, the newest first.
  *back(seconds) {
    let low = 0;
    let high = this.end.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.end[middle] <= seconds + 1e-6) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0; at -= 1) if (this.records[at] !== null) yield this.records[at];
  }

  // The newest record whose window had ended by `seconds`; null when there is none.
  at(seconds) {
    return this.back(seconds).next().value ?? null;
  }

  #put(at, record) {
    const { valence, uncertainty } = record;
    const hasBand = valence !== null && uncertainty !== null;
    this.records[at] = record;
    this.end[at] = record.end_ms / 1000;
    this.valence[at] = valence;
    this.low[at] = hasBand ? Math.max(valence - uncertainty, -3) : null;
    this.high[at] = hasBand ? Math.min(valence + uncertainty, 3) : null;
    this.raw[at] = record.valence_raw ?? null;
  }

  // A slot for a window without a record yet: its end lies evenly between its neighbours'.
  #after(end, index) {
    const before = this.end.length ? this.end[this.end.length - 1] : end - 1;
    const missing = index - this.first - this.records.length + 1;
    this.records.push(null);
    this.end.push(before + (end - before) / missing);
    for (const column of [this.valence, this.low, this.high, this.raw]) column.push(null);
  }

  #before() {
    this.first -= 1;
    this.records.unshift(null);
    this.end.unshift(this.end[0] - 1);
    for (const column of [this.valence, this.low, this.high, this.raw]) column.unshift(null);
  }

  #trim(count) {
    this.first += count;
    for (const column of this.#columns()) column.splice(0, count);
  }

  #clear(index) {
    this.first = index;
    for (const column of this.#columns()) column.length = 0;
  }

  #columns() {
    return [this.records, this.end, this.valence, this.low, this.high, this.raw];
  }
}
