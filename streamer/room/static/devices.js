// The camera and the microphone: opened one by one, stopped as soon as they are not needed.

const GESTURES = ["click", "keydown"];

export class Devices {
  // `choice(kind)` gives the id of the chosen device, "" for the browser's default.
  constructor(choice) {
    this.choice = choice;
    this.tracks = { audio: null, video: null };
  }

  // Opens what is wanted and not open, in one request to the person, and stops the rest.
  async want(wanted) {
    for (const kind of ["audio", "video"]) if (!wanted[kind]) this.stop(kind);
    const missing = ["audio", "video"].filter((kind) => wanted[kind] && !this.tracks[kind]);
    if (!missing.length) return;
    const asked = Object.fromEntries(missing.map((kind) => [kind, this.constraint(kind)]));
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia(asked);
    } catch (error) {
      throw new Error(`The browser gave no camera or microphone (${error.name}). Allow them for this `
        + "page, close other programs that use them, or share less.");
    }
    for (const track of media.getTracks()) this.tracks[track.kind] = track;
  }

  stop(kind) {
    this.tracks[kind]?.stop();
    this.tracks[kind] = null;
  }

  stopAll() {
    this.stop("audio");
    this.stop("video");
  }

  constraint(kind) {
    const id = this.choice(kind);
    return id ? { deviceId: { exact: id } } : true;
  }
}

// Shows the level of a track in a meter until the track is stopped; returns a function that ends it.
// Some browsers let the measuring begin only when the person does something on the page.
export function showLevel(track, meter) {
  const context = new AudioContext();
  const wake = () => context.state === "running" || context.resume().catch(() => {});
  for (const event of GESTURES) window.addEventListener(event, wake);
  wake();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    meter.value = Math.min(1, 2 * Math.max(...samples.map(Math.abs)));
  }, 100);
  return () => {
    clearInterval(timer);
    for (const event of GESTURES) window.removeEventListener(event, wake);
    context.close();
    meter.value = 0;
  };
}
