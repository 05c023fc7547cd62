// One timeline: smoothed valence over tinted zones, and in detail its band and the raw points. Knows
// uPlot, colours and the columns of a Track.

import { tipText } from "./describe.js";
import { clock } from "./format.js";
import { snapped } from "./timeline.js";

const LOWEST = 20; // pixels
const SNAP = 6; // pixels around a tick in which a click means the alert
const TICK = 3; // pixels
const MOST_POINTS = 1_000;
const POLAR = 0.5; // from here on valence is positive, below its opposite negative
const LABELS = { 3: "+3", 2: "+2", 1: "+1", 0: "0", "-1": "−1", "-2": "−2", "-3": "−3" };

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Raw points closer together than they are wide cannot be told apart, and are the slowest to draw.
function fewEnough(plot, series, first, last) {
  return last - first < MOST_POINTS;
}

export class Chart {
  // `onPick(seconds)` is called when a moment is chosen with the mouse or a finger. `hasAxes`: whether
  // the timeline has axes when it is not in detail, too. Its height is that of `element`.
  constructor(element, onPick, hasAxes) {
    this.element = element;
    this.onPick = onPick;
    this.hasAxes = hasAxes;
    this.detailed = false;
    this.track = null;
    this.range = [0, 60];
    this.moment = null; // seconds, or null when the newest is shown
    this.alerts = []; // entries of alerts.js: a bar over the length of each
    this.#build();
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

  // Draw with axes, band and raw points, or without.
  setDetailed(detailed) {
    if (detailed === this.detailed) return;
    this.detailed = detailed;
    this.plot.destroy();
    this.#build();
    if (this.track !== null) this.show(this.track, ...this.range, this.moment);
  }

  redraw() {
    this.plot.redraw(false, true);
  }

  destroy() {
    this.sizes.disconnect();
    this.plot.destroy();
  }

  #build() {
    this.plot = new uPlot(this.#options(), [[], [], [], [], []], this.element);
    this.tip = document.createElement("p");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true"); // the slider gives the same values to everybody
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("click", (event) => {
      const left = event.clientX - this.plot.over.getBoundingClientRect().left;
      const seconds = this.plot.posToVal(left, "x");
      this.onPick(snapped(seconds, this.plot.posToVal(left + SNAP, "x") - seconds, this.alerts));
    });
  }

  #fit() {
    const [width, height] = this.#size();
    if (width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  #size() {
    return [Math.floor(this.element.clientWidth), Math.max(Math.floor(this.element.clientHeight), LOWEST)];
  }

  #options() {
    const [width, height] = this.#size();
    const show = this.hasAxes || this.detailed;
    const axis = { show, stroke: () => colour("--soft"), grid: { show: false }, font: "12px system-ui" };
    const none = { width: 0, show: this.detailed, points: { show: false } };
    return {
      width: Math.max(width, 100),
      height,
      padding: show ? [8, 20, 0, 0] : [0, 0, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "session" }, drag: { x: false, y: false }, y: false, points: { show: false } },
      scales: { x: { time: false, auto: false }, y: { range: [-3.2, 3.2] } },
      axes: [
        { ...axis, size: 28, space: 64, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600],
          values: (_, at) => at.map(clock) },
        { ...axis, size: 34, splits: (plot) => (plot.height < 140 ? [-3, 0, 3] : [-3, -2, -1, 0, 1, 2, 3]),
          values: (_, at) => at.map((v) => LABELS[v]),
          grid: { show, width: 1, stroke: () => colour("--grid") }, ticks: { show: false } },
      ],
      series: [
        {},
        none,
        none,
        { show: this.detailed, paths: () => null,
          points: { show: fewEnough, size: 4, width: 0, fill: () => colour("--raw") } },
        { stroke: () => colour("--line"), width: 2, points: { show: false } },
      ],
      bands: this.detailed ? [{ series: [2, 1], fill: () => colour("--band") }] : [],
      hooks: {
        drawClear: [(plot) => this.#zones(plot)],
        draw: [(plot) => this.#marks(plot)],
        setCursor: [(plot) => this.#point(plot.cursor)],
      },
    };
  }

  // Show the values at the pointer, which may be on this or on another timeline.
  #point({ idx, left }) {
    const track = this.track;
    const onLine = track !== null && idx !== null && idx !== undefined && left >= 0;
    this.tip.hidden = !onLine || !track.records[idx];
    if (this.tip.hidden) return;
    this.tip.textContent = tipText(track.records[idx], track.end[idx], track.raw[idx]);
  }

  // The tint of positive and of negative valence.
  #zones(plot) {
    const { ctx, bbox } = plot;
    const from = plot.valToPos(POLAR, "y", true);
    const to = plot.valToPos(-POLAR, "y", true);
    ctx.save();
    ctx.fillStyle = colour("--zone-positive");
    ctx.fillRect(bbox.left, bbox.top, bbox.width, from - bbox.top);
    ctx.fillStyle = colour("--zone-negative");
    ctx.fillRect(bbox.left, to, bbox.width, bbox.top + bbox.height - to);
    ctx.restore();
  }

  // The zero line, the alerts, and the chosen moment.
  #marks(plot) {
    const { ctx, bbox } = plot;
    const [left, right, bottom] = [bbox.left, bbox.left + bbox.width, bbox.top + bbox.height];
    const at = (seconds) => Math.min(Math.max(plot.valToPos(seconds, "x", true), left), right);
    const fill = (style, x, y, width, height) => {
      ctx.fillStyle = style;
      ctx.fillRect(x, y, width, height);
    };
    const thick = TICK * devicePixelRatio;
    ctx.save();
    fill(colour("--soft"), left, plot.valToPos(0, "y", true), bbox.width, devicePixelRatio);
    const [from, to] = this.range;
    for (const { begin_ms, end_ms } of this.alerts) {
      const end = (end_ms ?? Infinity) / 1000;
      if (begin_ms / 1000 > to || end < from) continue;
      fill(colour("--alert"), at(begin_ms / 1000), bbox.top, at(Math.min(end, to)) - at(begin_ms / 1000), thick);
      if (begin_ms / 1000 < from) continue;
      fill(colour("--alert"), at(begin_ms / 1000), bbox.top, thick, Math.max(bbox.height / 5, 3 * thick));
    }
    if (this.moment !== null && this.moment >= from && this.moment <= to) {
      fill(colour("--ink"), at(this.moment) - devicePixelRatio, bbox.top, 2 * devicePixelRatio, bottom - bbox.top);
    }
    ctx.restore();
  }
}
