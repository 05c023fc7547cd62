// Media files of a session that begin at different times.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../../streamer/dashboard/static/player.js";

class Video extends EventTarget {
  paused = true;
  ended = false;
  currentTime = 0;
  readyState = 4;
  setAttribute() {}
  pause() { this.paused = true; }
  async play() { this.paused = false; }
}

globalThis.document = { createElement: () => new Video() };

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
