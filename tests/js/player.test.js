// Media files of a session that begin at different times.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../../streamer/dashboard/static/player.js";

class Video extends EventTarget {
  paused = true;
  ended = false;
  currentTime = 0;
  readyState = 4;
  tracks = [];
  setAttribute() {}
  addTextTrack(kind) {
    const track = { kind, cues: [], addCue: (cue) => track.cues.push(cue),
      removeCue: (cue) => track.cues.splice(track.cues.indexOf(cue), 1) };
    this.tracks.push(track);
    return track;
  }
  pause() { this.paused = true; }
  async play() { this.paused = false; }
}

globalThis.document = { createElement: () => new Video() };
globalThis.VTTCue = class {
  constructor(start, end, text) {
    Object.assign(this, { start, end, text });
  }
};

test("a file that begins later waits at its start, and is placed by the session's time", () => {
  const player = new Player(() => {}, () => {});
  const ana = player.add("ana", "ana.mp4", 0);
  const bo = player.add("bo", "bo.mp4", 20);
  player.play(5, 60);
  assert.deepEqual([ana.currentTime, ana.paused, bo.currentTime, bo.paused], [5, false, 0, true]);
  player.seek(30);
  assert.deepEqual([ana.currentTime, ana.paused, bo.currentTime, bo.paused], [30, false, 10, false]);
  player.seek(12);
  assert.deepEqual([bo.currentTime, bo.paused], [0, true]);
  player.stop();
  assert.deepEqual([ana.paused, bo.paused], [true, true]);
});

test("a file that waits starts when its beginning is reached", async () => {
  let done = () => {};
  const moment = new Promise((resolve) => { done = resolve; });
  const player = new Player(() => { if (!bo.paused) done(); }, () => {});
  const ana = player.add("ana", "ana.mp4", 0);
  const bo = player.add("bo", "bo.mp4", 20);
  player.play(19.9, 60);
  ana.currentTime = 21;
  await moment;
  assert.equal(Math.round(bo.currentTime), 1);
  player.stop();
});

test("speed and silence are those of every file, the later ones too", () => {
  const player = new Player(() => {}, () => {});
  const ana = player.add("ana", "ana.mp4", 0);
  player.setRate(2);
  player.setMuted(true);
  const bo = player.add("bo", "bo.mp4", 20);
  for (const video of [ana, bo]) assert.deepEqual([video.playbackRate, video.muted], [2, true]);
});

function word(text) {
  return { words: [{ text, start_ms: 25_000, end_ms: 25_400 }] };
}

test("captions are shown when they are wanted, and are replaced with the lines", () => {
  const player = new Player(() => {}, () => {});
  const bo = player.add("bo", "bo.mp4", 20);
  const lines = [word("yes")];
  player.setLines("bo", lines);
  player.setLines("nobody", lines);
  const [track] = bo.tracks;
  assert.deepEqual([track.kind, track.mode], ["captions", "hidden"]);
  assert.deepEqual(track.cues.map(({ start, end, text }) => [start, end, text]), [[5, 6.4, "yes"]]);
  player.setCaptioned(true);
  player.setLines("bo", [word("no")]);
  assert.deepEqual([track.mode, track.cues.map(({ text }) => text)], ["showing", ["no"]]);
  const before = [...track.cues];
  player.setLines("bo", undefined);
  assert.deepEqual(track.cues, before);
});
