// What the reader has chosen on this page, stored by the browser where it allows that.

const PREFIX = "streamer.";

export function kept(name, otherwise) {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // The browser stores nothing: the choice lasts as long as the page.
  }
}
