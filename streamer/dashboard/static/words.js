// The transcript beside the timelines: the lines of all participants, searched, each one a jump.

import { byId, resizeList, setPolarity, setText } from "./dom.js";
import { clock, counted, shownName } from "./format.js";
import { inOrder, lineAt, linesOf, matching, shownPart } from "./transcript.js";

const SHOWN = 200; // lines at once: a whole meeting has thousands

export class Words {
  // `onPick(seconds)` is called when a line is chosen; `onSearch()` when another text is searched.
  constructor(onPick, onSearch) {
    this.lists = new Map(); // participant → lines
    this.changed = new Set(); // participants whose lines are not up to date
    this.lines = [];
    this.shown = [];
    this.marked = null; // the line shown as the current one
    this.names = {}; // that people see, by participant
    const list = byId("lines");
    list.addEventListener("click", (event) => {
      const at = [...list.children].indexOf(event.target.closest("li"));
      if (at >= 0) onPick(this.shown[at].start_ms / 1000);
    });
    byId("find").addEventListener("input", onSearch);
  }

  // Take note of a record of `name`; its track is read at the next `draw`.
  note(name, record) {
    if (record.spoken?.words.length) this.changed.add(name);
  }

  clear() {
    this.lists.clear();
    this.changed.clear();
    this.lines = [];
  }

  // Show the lines around `moment` (seconds); null is the newest. `recordsOf(name)` gives a track's.
  draw(recordsOf, moment) {
    if (this.changed.size > 0) {
      for (const name of this.changed) this.lists.set(name, linesOf(recordsOf(name)));
      this.changed.clear();
      this.lines = inOrder([...this.lists.values()]);
    }
    byId("transcript").hidden = this.lines.length === 0;
    if (this.lines.length === 0) return;
    const query = byId("find").value;
    const found = matching(this.lines, query, this.names);
    const at = moment === null ? found.length - 1 : lineAt(found, moment);
    const part = shownPart(found, moment === null ? null : at, SHOWN);
    this.shown = part.lines;
    const ofAll = `${counted(found.length, "line")} of ${this.lines.length}`;
    setText(byId("found"), query.trim() === "" ? "" : ofAll);
    this.#show(at - part.from);
  }

  #show(current) {
    const list = byId("lines");
    const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const items = resizeList(list, "line", this.shown.length);
    this.shown.forEach(({ participant_id, start_ms, text, record }, at) => {
      const item = items[at];
      setText(item.querySelector(".when"), clock(start_ms / 1000));
      setText(item.querySelector(".who"), shownName(this.names, participant_id));
      const said = item.querySelector(".said");
      setText(said, text);
      setPolarity(said, record.polarity);
      if (at === current) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    });
    const line = this.shown[current] ?? null;
    const isNew = line?.start_ms !== this.marked?.start_ms || line?.text !== this.marked?.text;
    this.marked = line;
    if (line === null || !isNew) return;
    const last = current === this.shown.length - 1;
    if (last && wasAtEnd) list.scrollTop = list.scrollHeight;
    else if (!last) this.#scrollTo(list, items[current]);
  }

  #scrollTo(list, item) {
    const top = item.offsetTop - list.offsetTop;
    if (top >= list.scrollTop && top + item.offsetHeight <= list.scrollTop + list.clientHeight) return;
    list.scrollTop = top - list.clientHeight / 3;
  }
}
