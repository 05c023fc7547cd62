// Plays a session that has ended: the selected moment advances, and the media files play in sync.
//
// The first media file that plays is the clock, so that video and timeline cannot drift apart;
// without one the moment advances by the computer's clock.

import { captionsOf } from "./captions.js";

const DRIFT_S = 0.3;
const STEP_MS = 200;

export class Player {
  // Calls `onMoment(seconds)` as the moment advances, and `onStop()` at the end or after `stop()`.
  constructor(onMoment, onStop) {
    this.onMoment = onMoment;
    this.onStop = onStop;
    this.recordings = new Map(); // participant → { video, begin, lines, track }: begin (s) in the session
    this.timer = 0;
    this.from = 0; // the moment (s) at which playing began
    this.since = 0; // the computer's clock (ms) at that time
    this.end = 0;
    this.rate = 1; // session time per time
    this.muted = false;
    this.captioned = false;
  }

  get playing() {
    return this.timer !== 0;
  }

  // Make the video element of a participant's media file, which begins `begin` seconds into the
  // session, for the page to show as that of `name`. Call it once for each.
  add(participant, address, begin, name = participant) {
    const video = document.createElement("video");
    video.preload = "metadata";
    video.playsInline = true;
    video.tabIndex = -1;
    video.setAttribute("aria-label", `Recording of ${name}`);
    video.src = address;
    video.muted = this.muted;
    video.playbackRate = video.defaultPlaybackRate = this.rate;
    video.addEventListener("error", () => {
      this.recordings.delete(participant);
      video.remove();
    });
    this.recordings.set(participant, { video, begin });
    return video;
  }

  setRate(rate) {
    this.#begin(this.#elapsed());
    this.rate = rate;
    for (const { video } of this.recordings.values()) video.playbackRate = video.defaultPlaybackRate = rate;
  }

  setMuted(muted) {
    this.muted = muted;
    for (const { video } of this.recordings.values()) video.muted = muted;
  }

  setCaptioned(captioned) {
    this.captioned = captioned;
    for (const { track } of this.recordings.values()) if (track) track.mode = captioned ? "showing" : "hidden";
  }

  // Give a participant's media file the captions of `lines`, where they are others than before.
  setLines(participant, lines) {
    const recording = this.recordings.get(participant);
    if (recording === undefined || lines === undefined || recording.lines === lines) return;
    recording.lines = lines;
    recording.track ??= recording.video.addTextTrack("captions", "Words");
    recording.track.mode = this.captioned ? "showing" : "hidden";
    for (const cue of [...recording.track.cues]) recording.track.removeCue(cue);
    for (const { start, end, text } of captionsOf(lines, recording.begin)) {
      recording.track.addCue(new VTTCue(start, end, text));
    }
  }

  play(from, end) {
    this.end = end;
    this.#begin(from);
    this.timer ||= setInterval(() => this.#step(), STEP_MS);
    for (const recording of this.recordings.values()) this.#place(recording, from);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    for (const { video } of this.recordings.values()) video.pause();
    this.onStop();
  }

  // Go to a moment that the user chose, in seconds.
  seek(moment) {
    for (const recording of this.recordings.values()) this.#place(recording, moment);
    this.#begin(moment);
  }

  // Move a file to a moment of the session; one that begins later waits at its start.
  #place({ video, begin }, moment) {
    video.currentTime = Math.max(moment - begin, 0);
    if (moment < begin) video.pause();
    else if (this.playing) video.play().catch(() => {}); // one that cannot play does not stop the others
  }

  #elapsed() {
    return this.from + (performance.now() - this.since) / 1000 * this.rate;
  }

  #begin(from) {
    this.from = from;
    this.since = performance.now();
  }

  #step() {
    const all = [...this.recordings.values()];
    const running = all.filter(({ video }) => !video.paused && !video.ended && video.readyState > 2);
    const now = running.length ? running[0].begin + running[0].video.currentTime : this.#elapsed();
    if (running.length) this.#begin(now);
    for (const { video, begin } of running) if (Math.abs(begin + video.currentTime - now) > DRIFT_S) video.currentTime = now - begin;
    for (const recording of all) {
      const waits = recording.video.paused && recording.video.currentTime === 0;
      if (waits && 0 < recording.begin && recording.begin <= now) this.#place(recording, now);
    }
    if (now >= this.end) this.stop();
    else this.onMoment(now);
  }
}
