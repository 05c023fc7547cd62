// Alerts as the browser's notifications, for a reader who allows them and looks at something else.

import { keep, kept } from "./choices.js";
import { setText } from "./dom.js";

const NAME = "notify"; // of the choice

export class Notifier {
  // `button` asks for them and switches them off. `Kind` is the browser's Notification, undefined where
  // it has none; `isSeen()` tells whether the reader looks at the page.
  constructor(button, Kind = globalThis.Notification, isSeen = () => document.hasFocus()) {
    this.button = button;
    this.Kind = Kind;
    this.isSeen = isSeen;
    this.wanted = kept(NAME, "no") === "yes";
    button.addEventListener("click", () => this.#switch());
    this.#show();
  }

  get on() {
    return this.wanted && this.Kind?.permission === "granted";
  }

  // Notify of an alert; a click on the notification calls `onPick`.
  tell(text, onPick) {
    if (!this.on || this.isSeen()) return;
    try {
      const notification = new this.Kind(text, { tag: text });
      notification.onclick = () => {
        globalThis.focus?.();
        notification.close();
        onPick();
      };
    } catch {
      this.Kind = undefined; // a browser that notifies only through a service worker
      this.#show();
    }
  }

  async #switch() {
    if (this.on) this.wanted = false;
    else this.wanted = await this.Kind.requestPermission() === "granted";
    keep(NAME, this.wanted ? "yes" : "no");
    this.#show();
  }

  #show() {
    this.button.hidden = this.Kind === undefined || this.Kind.permission === "denied";
    this.button.setAttribute("aria-pressed", String(this.on));
    setText(this.button, this.on ? "Notifications are on" : "Notify me");
  }
}
