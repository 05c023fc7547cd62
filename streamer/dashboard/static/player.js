// A session that is over, played: the moment moves on, and the recordings move with it.
//
// The first recording that plays is the clock, so that video and timeline cannot drift apart;
// without one the moment moves by the computer's clock.

const DRIFT_S = 0.3;
const STEP_MS = 200;

export class Player {
  // `onMoment(seconds)` is told where it is; `onStop()` that the end, or a stop, was reached.
  constructor(onMoment, onStop) {
    this.onMoment = onMoment;
    this.onStop = onStop;
    this.recordings = new Map(); // participant → video element
    this.timer = 0;
    this.from = 0; // the moment at which playing began, and when that was
    this.since = 0;
    this.end = 0;
  }

  get playing() {
    return this.timer !== 0;
  }

  // A participant's recording; it is made once and lies beside the timeline.
  add(participant, address) {
    const video = document.createElement("video");
    video.preload = "metadata";
    video.playsInline = true;
    video.tabIndex = -1;
    video.setAttribute("aria-label", `Recording of ${participant}`);
    video.src = address;
    video.addEventListener("error", () => {
      this.recordings.delete(participant);
      video.remove();
    });
    this.recordings.set(participant, video);
    return video;
  }

  play(from, end) {
    this.end = end;
    this.#begin(from);
    for (const video of this.recordings.values()) {
      video.currentTime = from;
      video.play().catch(() => {}); // one that cannot play leaves the clock to the others
    }
    this.timer ||= setInterval(() => this.#step(), STEP_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    for (const video of this.recordings.values()) video.pause();
    this.onStop();
  }

  // The moment was chosen by hand.
  seek(moment) {
    for (const video of this.recordings.values()) video.currentTime = moment;
    this.#begin(moment);
  }

  #begin(from) {
    this.from = from;
    this.since = performance.now();
  }

  #step() {
    const running = [...this.recordings.values()].filter((video) => !video.paused && !video.ended && video.readyState > 2);
    const clock = this.from + (performance.now() - this.since) / 1000;
    const now = running.length ? running[0].currentTime : clock;
    if (running.length) this.#begin(now);
    for (const video of running) if (Math.abs(video.currentTime - now) > DRIFT_S) video.currentTime = now;
    if (now >= this.end) this.stop();
    else this.onMoment(now);
  }
}
