import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Notifier } from "../../streamer/dashboard/static/notifier.js";

class Button extends EventTarget {
  hidden = true;
  pressed = null;
  textContent = "";
  setAttribute(name, value) { this.pressed = value; }
}

// A browser's Notification whose reader answers `answer` when asked.
function kindOf(permission, answer = permission) {
  return class {
    static permission = permission;
    static shown = [];
    static async requestPermission() { return this.permission = answer; }
    constructor(text) { this.text = text; this.constructor.shown.push(this); }
    close() { this.closed = true; }
  };
}

let choices;
beforeEach(() => {
  choices = new Map();
  globalThis.localStorage = {
    getItem: (name) => choices.get(name) ?? null,
    setItem: (name, value) => choices.set(name, value),
  };
});

async function pressed(Kind, isSeen = () => false) {
  const button = new Button();
  const notifier = new Notifier(button, Kind, isSeen);
  button.dispatchEvent(new Event("click"));
  await new Promise(setImmediate);
  return { button, notifier };
}

test("a browser without notifications, or that refuses them, has no button", async () => {
  const button = new Button();
  new Notifier(button, undefined);
  assert.equal(button.hidden, true);
  const refused = await pressed(kindOf("default", "denied"));
  assert.equal(refused.button.hidden, true);
  assert.equal(refused.notifier.on, false);
});

test("the choice is kept, and a second press switches the notifications off", async () => {
  const Kind = kindOf("default", "granted");
  const { button, notifier } = await pressed(Kind);
  assert.deepEqual([notifier.on, button.pressed, button.textContent], [true, "true", "Notifications are on"]);
  assert.equal(new Notifier(new Button(), Kind).on, true);
  button.dispatchEvent(new Event("click"));
  assert.deepEqual([notifier.on, button.pressed], [false, "false"]);
  assert.equal(new Notifier(new Button(), Kind).on, false);
});

test("an alert notifies a reader who looks elsewhere, and a click jumps to it", async () => {
  const Kind = kindOf("granted");
  let seen = true;
  const { notifier } = await pressed(Kind, () => seen);
  notifier.tell("bo fell sharply", () => assert.fail("not chosen"));
  assert.equal(Kind.shown.length, 0);
  seen = false;
  let jumps = 0;
  notifier.tell("bo fell sharply", () => { jumps += 1; });
  assert.deepEqual(Kind.shown.map(({ text }) => text), ["bo fell sharply"]);
  Kind.shown[0].onclick();
  assert.deepEqual([jumps, Kind.shown[0].closed], [1, true]);
});

test("nobody is notified who did not ask", () => {
  const Kind = kindOf("granted");
  new Notifier(new Button(), Kind, () => false).tell("bo fell sharply", () => {});
  assert.equal(Kind.shown.length, 0);
});

test("a browser that cannot notify from a page loses the button", async () => {
  const { button, notifier } = await pressed(class {
    static permission = "granted";
    static async requestPermission() { return "granted"; }
    constructor() { throw new TypeError("Illegal constructor"); }
  });
  notifier.tell("bo fell sharply", () => {});
  assert.equal(button.hidden, true);
});
