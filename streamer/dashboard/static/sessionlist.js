// The list of sessions on the page: a row for each that the search finds, and below them the trend of
// meetings of one name.

import { byId, resizeList, setPolarity, setText } from "./dom.js";
import { moodOf } from "./format.js";
import { coursePath, courseText, foundText, matchingSessions, trendText } from "./sessions.js";
import { exactly, moodText, sessionCells } from "./status.js";

const [WIDTH, HEIGHT] = [96, 24]; // of an image, in its own units

export function sessionAddress(summary) {
  return `./?${new URLSearchParams({ session: exactly(summary) })}`;
}

export class SessionList {
  // `onSearch()` is called when another text is searched.
  constructor(onSearch) {
    byId("find-session").addEventListener("input", onSearch);
  }

  // Show what the search finds of a status' `sessions` and `trends`.
  draw({ sessions, trends }, now_ms) {
    byId("list").hidden = sessions.length === 0;
    const query = byId("find-session").value;
    const found = matchingSessions(sessions, query);
    setText(byId("found-sessions"), foundText(found.length, sessions.length, query));
    const rows = resizeList(byId("rows"), "row", found.length);
    found.forEach((summary, at) => showRow(rows[at], summary, now_ms));
    const names = new Set(found.map(({ name }) => name));
    showTrends((trends ?? []).filter(({ name }) => names.has(name)));
  }
}

function showRow(row, summary, now_ms) {
  const link = row.querySelector("a");
  link.setAttribute("href", sessionAddress(summary));
  setText(link, summary.name);
  link.title = summary.session_id;
  for (const [className, text] of Object.entries(sessionCells(summary, now_ms))) {
    setText(row.querySelector(`.${className}`), text);
  }
  const mood = row.querySelector(".mood");
  setPolarity(mood, moodOf(summary));
  setText(mood, moodText(summary));
  showCourse(row.querySelector("svg"), summary.course ?? []);
}

function showTrends(trends) {
  byId("trends").hidden = trends.length === 0;
  const items = resizeList(byId("trend-list"), "trend", trends.length);
  trends.forEach((trend, at) => {
    setText(items[at].querySelector(".name"), trend.name);
    setText(items[at].querySelector(".change"), trendText(trend));
    showCourse(items[at].querySelector("svg"), trend.means);
  });
}

// An image of valences, with their words for a screen reader.
function showCourse(svg, values) {
  const text = courseText(values);
  const path = coursePath(values, WIDTH, HEIGHT);
  svg.classList.toggle("empty", path === "");
  svg.setAttribute("aria-label", text);
  svg.querySelector(".course-line").setAttribute("d", path);
}
