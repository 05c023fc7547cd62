// Opens the live page of the session: the token behind `#` in the address goes to the room once, in
// the Authorization header, and the room keeps it in a cookie for the page's own requests.

import { ask } from "./asking.js";

const part = (id) => document.getElementById(id);

async function enter() {
  try {
    await ask("live/enter", { method: "POST", secret: location.hash.slice(1) });
    location.replace("live/");
  } catch (error) {
    part("status").hidden = true;
    part("problem").textContent = error.message;
    part("problem").hidden = false;
  }
}

window.addEventListener("hashchange", () => location.reload());
enter();
