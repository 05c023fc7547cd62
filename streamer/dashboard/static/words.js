// The transcript beside the timelines: the lines of all participants, searched, each one a jump.

import { byId, resizeList, setParts, setPolarity, setText } from "./dom.js";
import { clock, counted, shownName } from "./format.js";
import { inOrder, lineAt, linesOf, matching, shownPart } from "./transcript.js";
import { partsOf } from "./unsure.js";

const SHOWN = 200; // lines at once: a whole meeting has thousands
const NEAR_END = 40; // pixels

export class Words {
  // `recordsOf(name)` gives the records of a participant. `onPick(seconds)` is called when a line is
  // chosen, `onSearch()` when another text is searched.
  constructor(recordsOf, onPick, onSearch) {
    this.recordsOf = recordsOf;
    this.lists = new Map(); // participant → lines
    this.changed = new Set(); // participants whose lines are not up to date
    this.all = [];
    this.shown = [];
    this.marked = null; // the line shown as the current one
    this.atEnd = true; // whether the reader has not scrolled away from the newest line
    this.names = {}; // that people see, by participant
    const list = byId("lines");
    list.addEventListener("click", (event) => {
      const at = [...list.children].indexOf(event.target.closest("li"));
      if (at >= 0) onPick(this.shown[at].start_ms / 1000);
    });
    list.addEventListener("scroll", () => {
      this.atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
    });
    byId("find").addEventListener("input", onSearch);
  }

  // Take note of a record of `name`; its records are read when lines are next asked for.
  note(name, record) {
    if (record.spoken?.words.length) this.changed.add(name);
  }

  clear() {
    this.lists.clear();
    this.changed.clear();
    this.all = [];
  }

  // The lines of everybody, by time.
  get lines() {
    if (this.changed.size > 0) {
      for (const name of this.changed) this.lists.set(name, linesOf(this.recordsOf(name)));
      this.changed.clear();
      this.all = inOrder([...this.lists.values()]);
    }
    return this.all;
  }

  // The lines of one participant, an array that is the same until they change.
  linesOf(name) {
    return this.lines.length > 0 ? this.lists.get(name) : undefined;
  }

  // Show the lines around `moment` (seconds); null is the newest.
  draw(moment) {
    const { lines } = this;
    byId("transcript").hidden = lines.length === 0;
    if (lines.length === 0) return;
    const query = byId("find").value;
    const found = matching(lines, query, this.names);
    const at = moment === null ? found.length - 1 : lineAt(found, moment);
    const part = shownPart(found, moment === null ? null : at, SHOWN);
    this.shown = part.lines;
    const ofAll = `${counted(found.length, "line")} of ${lines.length}`;
    setText(byId("found"), query.trim() === "" ? "" : ofAll);
    this.#show(at - part.from);
  }

  #show(current) {
    const list = byId("lines");
    const items = resizeList(list, "line", this.shown.length);
    this.shown.forEach(({ participant_id, start_ms, words: spoken, record }, at) => {
      const item = items[at];
      setText(item.querySelector(".when"), clock(start_ms / 1000));
      setText(item.querySelector(".who"), shownName(this.names, participant_id));
      const said = item.querySelector(".said");
      setParts(said, partsOf(spoken));
      setPolarity(said, record.polarity);
      if (at === current) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    });
    const line = this.shown[current] ?? null;
    const isNew = line?.start_ms !== this.marked?.start_ms || line?.text !== this.marked?.text;
    this.marked = line;
    if (line === null) return;
    const last = current === this.shown.length - 1;
    // Again and again: a list that is made narrower is longer than before.
    if (last && this.atEnd) list.scrollTop = list.scrollHeight;
    else if (!last && isNew) this.#scrollTo(list, items[current]);
  }

  #scrollTo(list, item) {
    const top = item.offsetTop - list.offsetTop;
    if (top >= list.scrollTop && top + item.offsetHeight <= list.scrollTop + list.clientHeight) return;
    list.scrollTop = top - list.clientHeight / 3;
  }
}
