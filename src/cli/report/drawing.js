"use strict";
// What sections are made of: the data, words and numbers, elements, plots, marks of moves. Text of a
// job only ever becomes a text node.

const shown = JSON.parse(document.getElementById("data").textContent);
const { summary, recording } = shown;
const { timeline, moves } = recording;
const root = document.getElementById("page");

/* Words and numbers. */

const whole = (n) => Math.round(n).toLocaleString("en");
function short(n) {
  for (const [unit, name] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(n) >= unit) return trimmed(n / unit) + " " + name;
  }
  return trimmed(n);
}
const trimmed = (n) => String(Number(n.toPrecision(3)));
function duration(ns) {
  for (const [unit, name] of [
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
  ]) {
    if (Math.abs(ns) >= unit) return trimmed(ns / unit) + " " + name;
  }
  return trimmed(ns) + " ns";
}
const percent = (share) => (100 * share).toFixed(1) + " %";
const bytes = (n) => (n / 2 ** 20).toFixed(1) + " MiB";
const seconds = (s) => s.toFixed(s < 10 ? 3 : 1) + " s";
const counted = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

/* Elements. */

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const section = (title, about) =>
  root.append(element("h2", {}, title), element("p", { className: "faint" }, about));

function table(columns, rows) {
  const cell = (name, [, style], text) => element(name, { className: style }, text);
  const head = element("tr", {}, ...columns.map((column) => cell("th", column, column[0])));
  const body = rows.map((row) =>
    element("tr", {}, ...columns.map((column) => cell("td", column, String(column[2](row))))),
  );
  const made = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scroll", tabIndex: 0 }, made);
}

/** Buttons of which one is pressed; `pick` gets its index. */
function choice(names, pick) {
  const buttons = names.map((name, index) => {
    const press = () => {
      buttons.forEach((other, at) => other.setAttribute("aria-pressed", at === index));
      pick(index);
    };
    return element("button", { type: "button", onclick: press }, name);
  });
  buttons[0].setAttribute("aria-pressed", true);
  return element("div", { className: "choice", role: "group" }, ...buttons);
}

/** A tooltip of lines of text; a list of nodes, so that no text of a job becomes markup. */
const tip = (lines) =>
  element("div", { className: "tip" }, ...lines.map((line) => element("div", {}, line)));

function legend(entries) {
  const entry = ([name, color]) =>
    element("span", {}, element("i", { style: `background:${color}` }), name);
  return element("div", { className: "legend" }, ...entries.map(entry));
}

/* Plots. */

const color = (name) =>
  getComputedStyle(document.documentElement)
    .getPropertyValue("--" + name)
    .trim();
const PALETTE = [
  "#3b7ddd",
  "#e07b39",
  "#2a9d6f",
  "#b0559b",
  "#c9a227",
  "#4aa8c0",
  "#d1495b",
  "#7a6ff0",
];
const plots = [];

/** A place for the plot that `option` describes; drawn again when width or colours change. */
function plot(label, height, option) {
  const place = element("div", { className: "chart", role: "img", ariaLabel: label });
  place.style.height = height + "px";
  root.append(place);
  const made = { place, option, chart: null };
  plots.push(made);
  return made;
}

function draw(one) {
  one.chart?.dispose();
  one.chart = echarts.init(one.place);
  const text = { color: color("ink"), fontFamily: "system-ui, sans-serif" };
  one.chart.setOption({
    animation: false,
    color: PALETTE,
    textStyle: text,
    tooltip: {
      confine: true,
      backgroundColor: color("card"),
      borderColor: color("line"),
      textStyle: text,
    },
    ...one.option(one.place.clientWidth < 600),
  });
}

const lines = () => ({ lineStyle: { color: color("line") } });
const named = (name) => ({ name, nameTextStyle: { color: color("faint") } });
const axis = (more) => ({
  axisLabel: { color: color("faint"), hideOverlap: true },
  axisLine: lines(),
  splitLine: lines(),
  ...more,
});
const timeAxis = (more) =>
  axis({
    type: "value",
    min: 0,
    max: timeline.seconds,
    splitLine: { show: false },
    axisPointer: { label: { formatter: ({ value }) => seconds(value) } },
    ...more,
    axisLabel: {
      color: color("faint"),
      hideOverlap: true,
      showMaxLabel: false,
      formatter: "{value} s",
      ...more?.axisLabel,
    },
  });
const partitionName = (index) => "partition " + index;

/** Figures at the middles of their steps. */
function points(figures) {
  const step = timeline.step_seconds;
  return figures.map((figure, at) => [
    Math.min((at + 0.5) * step, (at * step + timeline.seconds) / 2),
    figure,
  ]);
}

/* What the supervisor did. */

const KINDS = { move: "take", cut: "take", merge: "take", combine: "combine", fold: "fold" };
const done = moves.filter((mark) => mark.refused === null);

function what(mark) {
  const keys = mark.keys.map(keyName).join(", ") + (mark.key_count > mark.keys.length ? ", …" : "");
  if (mark.kind === "cut") return "cut a range of keys";
  if (mark.kind === "merge") return "merge two ranges of keys";
  if (mark.kind !== "move") return `${mark.kind} key ${keys}`;
  const parts = [];
  if (mark.groups) parts.push(counted(mark.groups, "key group"));
  if (mark.key_count)
    parts.push(`${mark.key_count === 1 ? "key" : mark.key_count + " keys"} ${keys}`);
  return `move ${parts.join(" and ")}`;
}
const way = (mark) => (mark.from === null ? "–" : `${mark.from} → ${mark.to}`);
function keyName(hash) {
  const known = recording.hot_keys.find((key) => "#" + key.hash === hash);
  return known && known.key !== hash ? `${known.key} (${hash})` : hash;
}
const markTip = (mark) =>
  tip([
    `${seconds(mark.seconds)}: ${what(mark)}`,
    ...(mark.from === null ? [] : [`from partition ${mark.from} to ${mark.to}`]),
    `rule ${mark.rule}: ${mark.seen}`,
    `predicted gain ${duration(mark.gain_ns)}, cost ${duration(mark.cost_ns)}`,
    ...(mark.measured_ns === null ? [] : [`measured gain ${duration(mark.measured_ns)}`]),
  ]);

/** Symbols for marks; `place(mark)` is where they stand. */
const symbols = (marks, place, style, more) => ({
  type: "scatter",
  symbolSize: 9,
  z: 5,
  cursor: "default",
  data: marks.map((mark) => ({ value: place(mark), mark, ...style(mark) })),
  tooltip: { trigger: "item", formatter: (at) => markTip(at.data.mark) },
  ...more,
});
