// One participant, or the meeting as a whole: its track, its timeline, its newest values; and its
// details, which are behind one click.

import { Chart } from "./chart.js";
import {
  chartLabel, evidenceParts, gateText, goingText, identityText, labelText, participantsText,
  silenceText, spreadText, sureText, talkText, trendText, uncertaintyText, valueText,
} from "./describe.js";
import { fromTemplate, resizeList, setPolarity, setText } from "./dom.js";
import { moodOf, polarityClass, polarityMark } from "./format.js";
import { heardMs, presenceText } from "./people.js";
import { Track } from "./store.js";
import { cleanText } from "./unsure.js";

const LABEL_MS = 5_000; // how often the timeline's accessible name is renewed
const RECENT_MS = 20_000; // longer than any window
const MEETING = "The meeting as a whole";
const GATE_TITLE = "Share of the interaction between voice, words and face (all together) "
  + "against the interaction within each of them (each alone)";

export class Card {
  // `name` is null for the meeting; `onPick(seconds)` is called when a moment is chosen.
  constructor(name, onPick) {
    this.name = name;
    this.shownName = name; // that people see
    this.into = null; // the shown name of whoever this person turned out to be
    this.from = null; // of whomever this person was taken for before
    this.track = new Track();
    this.heard_ms = Infinity; // when this person first spoke
    this.visible = true; // whether the card is on the screen, or near it
    this.hasMedia = false;
    this.detailed = false;
    this.alarmed = false;
    this.shown = null; // the record that the card shows
    this.labelledAt = -Infinity;
    this.evidenceText = null;
    this.root = fromTemplate("card");
    this.root.classList.toggle("meeting", name === null);
    if (name !== null) this.root.dataset.name = name;
    else setText(this.root.querySelector(".spoke dt"), "Silences");
    this.more = this.part("more");
    setText(this.more, name ?? MEETING);
    this.more.addEventListener("click", () => this.setDetailed(!this.detailed));
    this.chart = new Chart(this.part("chart"), onPick, name === null);
  }

  part(className) {
    return this.root.querySelector(`.${className}`);
  }

  // Show another name of the participant; the id stays.
  rename(shownName) {
    if (shownName === this.shownName) return;
    this.shownName = shownName;
    this.labelledAt = -Infinity;
    setText(this.more, shownName);
    const video = this.part("media").querySelector("video");
    if (video !== null) video.setAttribute("aria-label", `Recording of ${shownName}`);
  }

  // Show with whose voice this person's was joined, or from whose it parted; null for nobody's.
  relate(into, from) {
    this.into = into;
    this.from = from;
  }

  add(record) {
    if (!this.track.add(record)) return false;
    this.heard_ms = heardMs(record, this.heard_ms);
    return true;
  }

  setDetailed(detailed) {
    this.detailed = detailed;
    this.root.classList.toggle("detailed", detailed);
    this.more.setAttribute("aria-expanded", String(detailed));
    this.part("details").hidden = !detailed;
    this.chart.setDetailed(detailed);
  }

  // `entries` are the alerts that the timeline shows, `alarmed` whether one of this person stands.
  setAlerts(entries, alarmed) {
    this.chart.alerts = entries;
    this.alarmed = alarmed;
    this.root.classList.toggle("alarmed", alarmed);
    this.part("alarm").hidden = !alarmed;
  }

  // Show `from` to `to` (seconds) and the record at `moment`; null is the newest, at
  // `end`, which is null where nothing follows.
  draw(from, to, moment, end) {
    const record = moment === null ? this.track.last : this.track.at(moment);
    this.shown = record;
    if (!this.visible) return;
    this.chart.show(this.track, from, to, moment);
    if (record !== null) this.#showRecord(record, moment ?? end);
    if (performance.now() - this.labelledAt > LABEL_MS) {
      this.labelledAt = performance.now();
      this.part("chart").setAttribute("aria-label", chartLabel(this.shownName, record, from, to));
    }
  }

  // Show who spoke how long: the status' `conversation`, null while there is none.
  showTalk(conversation) {
    const text = this.name === null ? silenceText(conversation) : talkText(conversation, this.name);
    this.root.querySelector(".spoke").hidden = text === "";
    setText(this.part("talk"), text);
  }

  showTally(text) {
    setText(this.part("tally"), text);
  }

  // Name those who stand out, each with a mark and in the colour of the mood.
  showOut(people) {
    const element = this.part("out");
    element.hidden = people.length === 0;
    const items = resizeList(this.part("out-names"), "outlier", people.length);
    people.forEach(({ name, polarity }, at) => {
      setPolarity(items[at], polarity);
      setText(items[at], `${polarityMark(polarity)} ${name}`);
    });
    setText(this.part("out-verb"), people.length === 1 ? "stands out" : "stand out");
  }

  // Whether this person stands out from the others.
  setOut(isOut) {
    this.root.dataset.out = isOut ? polarityClass(this.shown.polarity) : "";
  }

  addMedia(video) {
    this.hasMedia = true;
    this.part("media").hidden = false;
    this.part("media").append(video);
  }

  remove() {
    this.chart.destroy();
    this.root.remove();
  }

  #showRecord(record, seconds) {
    const mood = moodOf(record);
    setPolarity(this.part("now"), mood);
    setText(this.part("mark"), polarityMark(mood));
    const value = this.part("value");
    value.dataset.window = record.window_index;
    value.dataset.valence = record.valence ?? "";
    setText(value, valueText(record));
    setText(this.part("label"), labelText(record));
    setText(this.part("uncertainty"), uncertaintyText(record));
    setText(this.part("trend"), trendText(record));
    if (this.name === null) this.#showMeeting(record);
    else this.#showPerson(record, seconds);
  }

  #showMeeting(record) {
    setText(this.part("sure"), sureText(record));
    setText(this.part("going"), goingText(record));
    setText(this.part("counted"), participantsText(record));
    setText(this.part("spread"), spreadText(record));
  }

  #showPerson(record, seconds) {
    this.#showEvidence(evidenceParts(record));
    this.#showGate(record.gate);
    setText(this.part("words"), cleanText(record.text, () => this.#recentWords(record)));
    const presence = presenceText(record, seconds, this.into);
    this.part("presence").hidden = presence === "";
    this.root.classList.toggle("speaks", presence === "speaking");
    setText(this.part("presence"), presence);
    const identity = identityText(record, this.from);
    this.part("identity").hidden = identity === "";
    setText(this.part("identity"), identity);
  }

  // The words that the windows up to `record` carry, for as long as a window may be.
  #recentWords(record) {
    const recent = [];
    for (const { end_ms, spoken } of this.track.back(record.end_ms / 1000)) {
      if (end_ms < record.end_ms - RECENT_MS) break;
      recent.push(...(spoken?.words ?? []));
    }
    return recent;
  }

  #showEvidence(parts) {
    const text = parts.map((part) => part.text).join(", ");
    if (this.evidenceText === text) return;
    this.evidenceText = text;
    this.part("evidence").replaceChildren(...parts.map((part) => {
      const span = document.createElement("span");
      span.className = part.present ? "present" : "absent";
      span.textContent = part.text;
      return span;
    }));
  }

  #showGate(gate) {
    const meter = this.root.querySelector("meter");
    meter.hidden = gate === null;
    setText(this.part("gate-words"), gateText(gate));
    if (gate === null) return;
    meter.value = gate.val;
    this.part("gate").title = GATE_TITLE;
  }
}
