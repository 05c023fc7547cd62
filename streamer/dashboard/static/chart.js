// One timeline: smoothed valence, its band, the raw points. Knows uPlot, colours and the columns of a
// Track.

import { tipText } from "./describe.js";
import { clock } from "./format.js";

const HEIGHT = 150;
const MOST_POINTS = 1_000;
const LABELS = { 3: "+3", 2: "+2", 1: "+1", 0: "0", "-1": "−1", "-2": "−2", "-3": "−3" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Raw points closer together than they are wide cannot be told apart, and are the slowest to draw.
function fewEnough(plot, series, first, last) {
  return last - first < MOST_POINTS;
}

export class Chart {
  // `onPick(seconds)` is called when a moment is chosen with the mouse or a finger.
  constructor(element, onPick) {
    this.element = element;
    this.track = null;
    this.range = [0, 60];
    this.moment = null; // seconds, or null when the newest is shown
    this.alerts = []; // entries of alerts.js: a tick at the beginning of each
    this.plot = new uPlot(this.#options(), [[], [], [], [], []], element);
    this.tip = document.createElement("p");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true"); // the slider gives the same values to everybody
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("click", (event) => {
      const left = event.clientX - this.plot.over.getBoundingClientRect().left;
      onPick(this.plot.posToVal(left, "x"));
    });
    this.sizes = new ResizeObserver(() => this.#fit());
    this.sizes.observe(element);
  }

  show(track, from, to, moment) {
    this.track = track;
    this.range = [from, to];
    this.moment = moment;
    const { end, low, high, raw, valence } = track;
    this.plot.setData([end, low, high, raw, valence], false);
    this.plot.setScale("x", { min: from, max: to });
  }

  redraw() {
    this.plot.redraw(false, true);
  }

  destroy() {
    this.sizes.disconnect();
    this.plot.destroy();
  }

  #fit() {
    const width = Math.floor(this.element.clientWidth);
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  #options() {
    const axis = { stroke: () => colour("--soft"), grid: { show: false }, font: "12px system-ui" };
    const none = { width: 0, points: { show: false } };
    return {
      width: Math.max(this.element.clientWidth, 100),
      height: HEIGHT,
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "session" }, drag: { x: false, y: false }, y: false, points: { show: false } },
      scales: { x: { time: false, auto: false }, y: { range: [-3.2, 3.2] } },
      axes: [
        { ...axis, size: 28, space: 64, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600],
          values: (_, at) => at.map(clock) },
        { ...axis, size: 34, splits: () => [-3, -2, -1, 0, 1, 2, 3], values: (_, at) => at.map((v) => LABELS[v]),
          grid: { show: true, width: 1, stroke: () => colour("--grid") }, ticks: { show: false } },
      ],
      series: [
        {},
        none,
        none,
        { paths: () => null, points: { show: fewEnough, size: 4, width: 0, fill: () => colour("--raw") } },
        { stroke: () => colour("--line"), width: 2, points: { show: false } },
      ],
      bands: [{ series: [2, 1], fill: () => colour("--band") }],
      hooks: { draw: [(plot) => this.#marks(plot)], setCursor: [(plot) => this.#point(plot.cursor)] },
    };
  }

  // Show the values at the pointer, which may be on this or on another timeline.
  #point({ idx, left }) {
    const track = this.track;
    const onLine = track !== null && idx !== null && idx !== undefined && left >= 0;
    this.tip.hidden = !onLine || track.records[idx] === null;
    if (this.tip.hidden) return;
    this.tip.textContent = tipText(track.records[idx], track.end[idx], track.raw[idx]);
  }

  // The zero line, the alerts, and the chosen moment.
  #marks(plot) {
    const { ctx, bbox } = plot;
    const line = (x0, y0, x1, y1, style, width) => {
      ctx.save();
      ctx.beginPath();
      ctx.strokeStyle = style;
      ctx.lineWidth = width * devicePixelRatio;
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
      ctx.restore();
    };
    const zero = plot.valToPos(0, "y", true);
    line(bbox.left, zero, bbox.left + bbox.width, zero, colour("--soft"), 1);
    for (const { begin_ms } of this.alerts) {
      const x = plot.valToPos(begin_ms / 1000, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      line(x, bbox.top, x, bbox.top + bbox.height / 8, colour("--negative"), 3);
    }
    if (this.moment === null) return;
    const x = plot.valToPos(this.moment, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    line(x, bbox.top, x, bbox.top + bbox.height, colour("--ink"), 2);
  }
}
