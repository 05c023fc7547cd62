// One participant, or the meeting as a whole: its track, its timeline and its newest values.

import { Chart } from "./chart.js";
import {
  chartLabel, evidenceParts, gateText, identityText, labelText, participantsText, silenceText,
  spreadText, talkText, trendText, uncertaintyText, valueText,
} from "./describe.js";
import { fromTemplate, setPolarity, setText } from "./dom.js";
import { moodOf, polarityMark } from "./format.js";
import { Track } from "./store.js";

const LABEL_MS = 5_000; // how often the timeline's accessible name is renewed
const GATE_TITLE = "Share of the interaction between voice, words and face (all together) "
  + "against the interaction within each of them (each alone)";

export class Card {
  // `name` is null for the meeting; `onPick(seconds)` is called when a moment is chosen.
  constructor(name, onPick) {
    this.name = name;
    this.shownName = name; // that people see
    this.track = new Track();
    this.visible = true; // whether the card is on the screen, or near it
    this.hasMedia = false;
    this.labelledAt = -Infinity;
    this.evidenceText = null;
    this.root = fromTemplate("card");
    this.root.classList.toggle("meeting", name === null);
    if (name !== null) this.root.dataset.name = name;
    else setText(this.root.querySelector(".spoke dt"), "Nobody spoke");
    setText(this.part("name"), name ?? "The meeting as a whole");
    this.chart = new Chart(this.part("chart"), onPick);
  }

  part(className) {
    return this.root.querySelector(`.${className}`);
  }

  // Show another name of the participant; the id stays.
  rename(shownName) {
    if (shownName === this.shownName) return;
    this.shownName = shownName;
    this.labelledAt = -Infinity;
    setText(this.part("name"), shownName);
    const video = this.part("media").querySelector("video");
    if (video !== null) video.setAttribute("aria-label", `Recording of ${shownName}`);
  }

  // Show `from` to `to` (seconds) and the record at `moment`; null is the newest.
  draw(from, to, moment) {
    if (!this.visible) return;
    this.chart.show(this.track, from, to, moment);
    const record = moment === null ? this.track.last : this.track.at(moment);
    if (record !== null) this.#showRecord(record);
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

  addMedia(video) {
    this.hasMedia = true;
    this.part("media").hidden = false;
    this.part("media").append(video);
  }

  remove() {
    this.chart.destroy();
    this.root.remove();
  }

  #showRecord(record) {
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
    if (this.name === null) {
      setText(this.part("counted"), participantsText(record));
      setText(this.part("spread"), spreadText(record));
    } else {
      this.#showEvidence(evidenceParts(record));
      this.#showGate(record.gate);
      setText(this.part("words"), record.text);
      const identity = identityText(record);
      this.part("identity").hidden = identity === "";
      setText(this.part("identity"), identity);
    }
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
