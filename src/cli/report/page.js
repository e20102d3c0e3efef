// Draws the page from its one JSON object: `summary` as `--format json` prints it, `recording` as
// Rust's `Recording` writes it. A section is a function that adds elements to the page and, for a
// plot, calls `plot`; it stands behind `drawing.js` in one script.

/* Sections. */

function head() {
  document.title = `Millstream: ${summary.workload}`;
  const { host, parameters } = summary;
  const cores = summary.pinned ? ` on cores ${parameters.cores}` : ", not pinned";
  const facts = [
    host.model,
    host.kernel,
    counted(summary.partitions.length, "partition") + cores,
    `seed ${parameters.seed}`,
    `rebalance ${parameters.rebalance}`,
    `millstream ${host.version}`,
  ];
  root.append(
    element("h1", {}, "bench " + summary.workload),
    element("p", { className: "faint" }, facts.join(" · ")),
  );
  const notes = [...shown.doubts, ...summary.warnings];
  if (summary.debug_build) notes.unshift("debug build: not for measuring");
  if (summary.interrupted) notes.unshift("interrupted");
  notes.forEach((note) => root.append(element("p", { className: "note" }, note)));
  if (summary.repetitions > 1) {
    root.append(
      element(
        "p",
        {},
        `Plots and figures are of run ${shown.repetition} of ${summary.repetitions}, the one with the ` +
          `median throughput (spread ${percent(summary.spread)}); latency figures are medians.`,
      ),
    );
  }
  const { latency_ns: latency, moves: moved } = summary;
  const cards = [
    ["records per second", short(summary.records_per_second)],
    ["records", whole(summary.records)],
    ["time", seconds(summary.seconds)],
  ];
  if (summary.rate_offered) cards.push(["offered per second", short(summary.rate_offered)]);
  if (latency.count) {
    cards.push(
      ["latency p50", duration(latency.p50)],
      ["latency p99", duration(latency.p99)],
      ["latency p99.9", duration(latency.p999)],
      ["latency, most", duration(latency.max)],
    );
  }
  if (parameters.rebalance !== "off") {
    cards.push(
      ["key groups moved", whole(moved.groups)],
      ["keys moved", whole(moved.keys)],
      ["keys combined", whole(moved.combined_keys)],
    );
  }
  if (summary.rss_bytes_max) cards.push(["memory, most", bytes(summary.rss_bytes_max)]);
  const card = ([name, figure]) =>
    element("div", { className: "card" }, element("b", {}, figure), element("span", {}, name));
  root.append(element("div", { className: "cards" }, ...cards.map(card)));
  const flags = Object.entries(parameters).map(([name, value]) => [
    name,
    value === null ? "–" : value,
  ]);
  root.append(
    element(
      "details",
      {},
      element("summary", {}, "All flags"),
      table(
        [
          ["flag", "", (row) => "--" + row[0]],
          ["value", "text", (row) => row[1]],
        ],
        flags,
      ),
    ),
  );
}

/** More lines than these hide what they mark; the strip below the plot has all marks. */
const LINES_MAX = 60;

function throughput() {
  section(
    "Throughput by partition",
    "Records per second, stacked: as tasks process them (a record " +
      "counts in each task that takes it in), or as sources let them in. Below, what was moved." +
      (summary.parameters.warmup.startsWith("0")
        ? ""
        : ` The first ${summary.parameters.warmup} are the warm-up.`),
  );
  const kinds = Object.keys(KINDS).filter((kind) => done.some((mark) => mark.kind === kind));
  // Many moves are decided at once.
  const moments = done.filter(
    (mark, at) =>
      at === 0 || mark.seconds !== done[at - 1].seconds || mark.kind !== done[at - 1].kind,
  );
  let field = "processed";
  const names = timeline.partitions.map((_, index) => partitionName(index));
  root.append(
    choice(["processed", "let in"], (index) => {
      field = ["processed", "let_in"][index];
      draw(one);
    }),
  );
  const strip = kinds.length ? 18 + 18 * kinds.length : 0;
  const one = plot("throughput by partition over time", 306 + strip, (narrow) => {
    const left = narrow ? 52 : 70;
    const areas = timeline.partitions.map((partition, index) => ({
      name: names[index],
      type: "line",
      stack: "all",
      areaStyle: { opacity: 0.55 },
      lineStyle: { width: 1 },
      symbol: partition[field].length < 3 ? "circle" : "none",
      data: points(partition[field]),
      emphasis: { focus: "series" },
      markLine:
        index || moments.length > LINES_MAX
          ? undefined
          : {
              silent: true,
              symbol: "none",
              label: { show: false },
              data: moments.map((mark) => ({
                xAxis: mark.seconds,
                lineStyle: { color: color(KINDS[mark.kind]), opacity: 0.5, type: "dashed" },
              })),
            },
    }));
    const marks = symbols(
      done,
      (mark) => [mark.seconds, mark.kind],
      (mark) => ({ symbol: "diamond", itemStyle: { color: color(KINDS[mark.kind]) } }),
      { xAxisIndex: 1, yAxisIndex: 1 },
    );
    return {
      legend: { type: "scroll", top: 0, data: names, textStyle: { color: color("ink") } },
      tooltip: {
        ...tooltipStyle(),
        trigger: "axis",
        order: "seriesDesc",
        valueFormatter: (rate) => short(rate) + "/s",
      },
      grid: [
        { left, right: 16, top: 36, height: 245 },
        { left, right: 16, top: 316, height: Math.max(18 * kinds.length, 1) },
      ],
      xAxis: [timeAxis(), timeAxis({ gridIndex: 1, show: false })],
      yAxis: [
        axis({ type: "value", axisLabel: { color: color("faint"), formatter: short } }),
        axis({
          type: "category",
          data: kinds,
          gridIndex: 1,
          show: kinds.length > 0,
          axisTick: { show: false },
        }),
      ],
      series: kinds.length ? [...areas, marks] : areas,
    };
  });
}
const tooltipStyle = () => ({
  confine: true,
  backgroundColor: color("card"),
  borderColor: color("line"),
  textStyle: { color: color("ink") },
});

const STATES = ["busy", "stalled", "idle"];
/** More partitions than these are a heat map. */
const STRIPS_MAX = 16;

function time() {
  const isHeat = timeline.partitions.length > STRIPS_MAX;
  section(
    "Where the partitions' time went",
    "Busy moving records, stalled on a full output, idle " +
      "without work; as shares of each step of time." +
      (isHeat ? "" : " Triangles: a move ▾ away from and ▴ to a partition."),
  );
  if (isHeat) heat();
  else strips();
}

function strips() {
  root.append(legend(STATES.map((state) => [state, `var(--${state})`])));
  const height = 58,
    gap = 16,
    count = timeline.partitions.length;
  plot("busy, stalled and idle by partition over time", count * (height + gap) + 30, (narrow) => {
    const grids = [],
      xAxes = [],
      yAxes = [],
      series = [];
    timeline.partitions.forEach((partition, index) => {
      const core = summary.partitions[index]?.core;
      const name = `p ${index}` + (core === null || core === undefined ? "" : `\ncore ${core}`);
      const at = { xAxisIndex: index, yAxisIndex: index };
      const isLast = index === count - 1;
      grids.push({ left: narrow ? 52 : 70, right: 16, top: 8 + index * (height + gap), height });
      xAxes.push(
        timeAxis({ gridIndex: index, axisTick: { show: isLast }, axisLabel: { show: isLast } }),
      );
      yAxes.push(
        axis({
          type: "value",
          min: 0,
          max: 1,
          interval: 1,
          gridIndex: index,
          splitLine: { show: false },
          name,
          nameLocation: "middle",
          nameGap: 14,
          nameRotate: 0,
          axisLabel: { show: false },
          nameTextStyle: { color: color("ink"), align: "right", fontSize: 11, lineHeight: 14 },
        }),
      );
      STATES.forEach((state) =>
        series.push({
          ...at,
          name: state,
          type: "line",
          stack: "p" + index,
          symbol: partition[state].length < 3 ? "circle" : "none",
          symbolSize: 3,
          lineStyle: { width: 0 },
          areaStyle: { opacity: 0.9 },
          color: color(state),
          data: points(partition[state]),
          emphasis: { disabled: true },
        }),
      );
      const given = done.filter((mark) => mark.from === index);
      const taken = done.filter((mark) => mark.to === index);
      const style = (name, rotate) => () => ({
        symbol: "triangle",
        symbolRotate: rotate,
        itemStyle: { color: color(name), borderColor: color("back"), borderWidth: 1 },
      });
      series.push(symbols(given, (mark) => [mark.seconds, 0.12], style("give", 180), at));
      series.push(symbols(taken, (mark) => [mark.seconds, 0.88], style("take", 0), at));
    });
    return {
      tooltip: {
        ...tooltipStyle(),
        trigger: "axis",
        valueFormatter: (share) => (typeof share === "number" ? percent(share) : ""),
      },
      grid: grids,
      xAxis: xAxes,
      yAxis: yAxes,
      series,
    };
  });
}

function heat() {
  let state = STATES[0];
  root.append(
    choice(STATES, (index) => {
      state = STATES[index];
      draw(one);
    }),
  );
  const count = timeline.partitions.length;
  const one = plot(
    "share of time by partition over time",
    Math.min(count * 14, 1400) + 110,
    (narrow) => {
      const steps = timeline.partitions[0].busy.length;
      const cells = timeline.partitions.flatMap((partition, index) =>
        partition[state].map((share, step) => [step, index, share]),
      );
      return {
        tooltip: {
          ...tooltipStyle(),
          formatter: ({ value: [step, index, share] }) =>
            tip([
              `${partitionName(index)}, ${seconds(step * timeline.step_seconds)}`,
              `${state} ${percent(share)}`,
            ]),
        },
        grid: { left: narrow ? 40 : 70, right: 16, top: 8, bottom: 76 },
        xAxis: axis({
          type: "category",
          data: Array.from(
            { length: steps },
            (_, step) => trimmed(step * timeline.step_seconds) + " s",
          ),
        }),
        yAxis: axis({
          type: "category",
          data: timeline.partitions.map((_, index) => index),
          inverse: true,
        }),
        visualMap: {
          min: 0,
          max: 1,
          calculable: true,
          orient: "horizontal",
          left: "center",
          bottom: 0,
          formatter: percent,
          textStyle: { color: color("ink") },
          inRange: { color: [color("card"), color(state)] },
        },
        series: [
          { type: "heatmap", data: cells, progressive: 20000, emphasis: { disabled: true } },
        ],
      };
    },
  );
}

function decisions() {
  if (!moves.length) return;
  const left = recording.moves_left_out;
  const rows = table(
    [
      ["time", "figure", (mark) => seconds(mark.seconds)],
      ["rule", "", (mark) => mark.rule],
      ["what", "text", what],
      ["from → to", "figure", way],
      [
        "seen",
        "text",
        (mark) => mark.seen + (mark.refused === null ? "" : `; refused: ${mark.refused}`),
      ],
      ["predicted gain", "figure", (mark) => duration(mark.gain_ns)],
      ["cost", "figure", (mark) => duration(mark.cost_ns)],
      [
        "measured gain",
        "figure",
        (mark) => (mark.measured_ns === null ? "–" : duration(mark.measured_ns)),
      ],
    ],
    moves,
  );
  root.append(
    element(
      "details",
      { open: moves.length <= 12 },
      element(
        "summary",
        {},
        `What the supervisor did: ${counted(moves.length, "action")}` +
          (left ? `, ${left} more left out` : ""),
      ),
      rows,
    ),
  );
}

function latency() {
  const curves = recording.curves;
  if (!curves.length) return;
  section(
    "How long things took",
    "Each curve says how long all but one of so many took; both axes " +
      "are logarithmic. " +
      curves.map((curve) => `${curve.name}: ${curve.about} (${short(curve.count)})`).join("; ") +
      ".",
  );
  const share = (n) =>
    n >= 1e7 ? `1 of ${short(n)}` : Number((100 - 100 / n).toPrecision(2 + Math.log10(n))) + " %";
  plot("percentiles of latency", 380, (narrow) => ({
    legend: { type: "scroll", top: 0, textStyle: { color: color("ink") } },
    tooltip: {
      ...tooltipStyle(),
      trigger: "axis",
      formatter: (at) =>
        tip([
          `${share(at[0].axisValue)} took at most`,
          ...at.map((one) => `${one.seriesName}: ${duration(one.value[1])}`),
        ]),
    },
    grid: { left: narrow ? 58 : 70, right: 24, top: 36, bottom: 48 },
    xAxis: axis({
      type: "log",
      logBase: 10,
      min: 1,
      ...named("share of values"),
      nameLocation: "middle",
      nameGap: 30,
      axisLabel: { color: color("faint"), hideOverlap: true, formatter: share },
    }),
    yAxis: axis({
      type: "log",
      logBase: 10,
      axisLabel: { color: color("faint"), formatter: duration },
    }),
    series: curves.map((curve) => ({
      name: curve.name,
      type: "line",
      symbol: curve.points.length < 3 ? "circle" : "none",
      lineStyle: { width: 2 },
      // 0 has no place on a logarithmic axis.
      data: curve.points.map(([n, ns]) => [n, Math.max(ns, 1)]),
    })),
  }));
}

const FOLLOWED = 8;

function hotKeys() {
  const keys = recording.hot_keys;
  if (!keys.length) return;
  section(
    "Hot keys",
    "How many cores each key wanted, over time: what its owner would have to do for it, " +
      "as the supervisor estimates it. Diamonds: its feeders combined it. The table has each key when it wanted most.",
  );
  plot("cores wanted by hot key over time", 340, (narrow) => ({
    legend: {
      type: "scroll",
      top: 0,
      textStyle: { color: color("ink") },
      formatter: (name) => (name.length > 24 ? name.slice(0, 23) + "…" : name),
    },
    tooltip: {
      ...tooltipStyle(),
      trigger: "axis",
      formatter: (at) =>
        tip([
          seconds(at[0].axisValue),
          ...at.map(
            ({ seriesName, value }) =>
              `${seriesName}: ${trimmed(value[1])} cores, partition ${value[2]}, ${value[3]}`,
          ),
        ]),
    },
    grid: { left: narrow ? 52 : 70, right: 16, top: 54, bottom: 30 },
    xAxis: timeAxis(),
    yAxis: axis({
      type: "value",
      min: 0,
      axisLabel: { color: color("faint"), formatter: trimmed },
      ...named("cores"),
      nameGap: 8,
    }),
    series: keys.slice(0, FOLLOWED).map((key) => ({
      name: keyLabel(key),
      type: "line",
      symbolSize: 7,
      lineStyle: { width: 1.5 },
      data: key.points.map((point) => ({
        value: point,
        symbol: point[3] === "combined" ? "diamond" : "none",
      })),
    })),
  }));
  root.append(
    table(
      [
        ["key", "text", (key) => key.key],
        ["of", "", (key) => key.domain],
        ["most wanted at", "figure", (key) => seconds(key.seconds)],
        ["cores wanted", "figure", (key) => trimmed(key.share_of_core)],
        ["of its partition\u2019s load", "figure", (key) => percent(key.share_of_partition)],
        ["owner", "figure", (key) => key.owner],
        ["route", "", (key) => key.route],
        ["state", "figure", (key) => whole(key.state_bytes) + " B"],
      ],
      keys,
    ),
  );
}
/** Series are told apart by their names. */
function keyLabel(key) {
  const isAlone = recording.hot_keys.filter((other) => other.key === key.key).length === 1;
  return isAlone ? key.key : `${key.key} of ${key.domain} #${key.hash}`;
}

/* The library, and then everything. */

async function unpack() {
  const packed = atob(document.getElementById("library").textContent);
  const stream = new Blob([
    Uint8Array.from(packed, (character) => character.charCodeAt(0)),
  ]).stream();
  const code = await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(element("script", { textContent: code }));
}

function drawAll() {
  plots.forEach(draw);
}

async function start() {
  head();
  if (timeline.partitions.length) {
    throughput();
    time();
  }
  decisions();
  latency();
  hotKeys();
  try {
    await unpack();
    drawAll();
  } catch (error) {
    root.prepend(
      element(
        "p",
        { className: "note" },
        `The plots cannot be drawn: ${error}. A browser from 2023 or later can.`,
      ),
    );
    return;
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    drawAll();
  }).observe(root);
}

start();
