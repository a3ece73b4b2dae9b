// Charts: specifications of Vega-Lite, and how they are drawn. What they show stands beside them
// in words and in a table, so that to a screen reader each is one picture with a name.

const MOST = 12; // groups of a chart; the rest is one more
const ACCENT = "#3f7cc4";
const PALE = 0.4;
const drawn = [];

/** An instant by which a browser in any zone draws the same day. */
const instant = (day) => Date.parse(`${day}T00:00:00Z`);
// How a period's first day is written, and how far before its middle that day is at the least.
const AXES = {
  day: { format: "%-d %b", back: 0.5 },
  week: { format: "%-d %b", back: 3.5 },
  month: { format: "%b %Y", back: 14 },
  quarter: { format: "%b %Y", back: 45 },
  year: { format: "%Y", back: 182 },
};
const DAY = 864e5;
const LABELS = 10;

/** Where a period's bar begins and ends, with some room to the next. */
function bar(period) {
  const start = instant(DATA.periods[period].start);
  const end = instant(DATA.periods[period].end);
  const gap = (end - start) * 0.08;
  return { start: start + gap, end: end - gap, middle: (start + end) / 2 };
}

/** An axis of the chosen periods, with labels below the middle of some of them. */
function timeAxis(field, width) {
  const periods = shownPeriods();
  const every = Math.ceil(periods.length / Math.min(LABELS, width / 60));
  const { format, back } = AXES[DATA.freq];
  const shown = periods.filter((_, place) => place % every === 0);
  // A fiscal quarter or year has a name of its own, which no format of a date gives.
  const hasNames = DATA.isFiscal && ["quarter", "year"].includes(DATA.freq);
  const names = Object.fromEntries(shown.map((period) => [bar(period).middle, DATA.periods[period].label]));
  return {
    field,
    type: "temporal",
    scale: {
      type: "utc",
      domainMin: instant(DATA.periods[chosen.first].start),
      domainMax: instant(DATA.periods[chosen.last].end),
      nice: false,
    },
    axis: {
      title: null, grid: false, zindex: 0, labelFlush: false, labelOverlap: false,
      values: shown.map((period) => bar(period).middle),
      labelExpr: hasNames
        ? `(${JSON.stringify(names)})[toNumber(datum.value)]`
        : `utcFormat(toNumber(datum.value) - ${back * DAY}, "${format}")`,
    },
  };
}

// 0.5, 250, 4k, 3M, 2B: below a thousand no letter, and none that means a thousandth.
const SHORT = "abs(datum.value) < 1000 ? format(datum.value, '~g') : replace(format(datum.value, '~s'), 'G', 'B')";

const amountAxis = (title, more = {}) => ({
  title, labelExpr: SHORT, tickCount: 4, zindex: 0, domain: false, ticks: false, titleAnchor: "end", titleAngle: 0,
  titleAlign: "left", titleX: 0, titleY: -10, titleFontWeight: "normal", ...more,
});

/** Bars over time; groups, if there are several, on top of each other. */
function barsOverTime(values, groups, title, width) {
  return {
    height: 220,
    data: { values: stacked(values) },
    mark: { type: "rect" },
    encoding: {
      x: timeAxis("start", width),
      x2: { field: "end" },
      y: { field: "low", type: "quantitative", scale: { zero: true }, axis: amountAxis(title) },
      y2: { field: "high" },
      color: colorOf(groups),
      opacity: { field: "opacity", type: "quantitative", scale: null },
      tooltip: { field: "tip", type: "nominal" },
    },
  };
}

/** Where each value of a period begins and ends; what is below nothing hangs down. */
function stacked(values) {
  const ends = new Map();
  return values.map((row) => {
    const key = `${row.start} ${row.value < 0}`;
    const low = ends.get(key) ?? 0;
    ends.set(key, low + row.value);
    return { ...row, low, high: low + row.value };
  });
}

/** Lines over time, with a point wherever there is a figure; a gap where there is none. */
function linesOverTime(values, groups, title, width) {
  return {
    height: 200,
    data: { values },
    mark: { type: "line", point: { size: 36, filled: true }, interpolate: "linear", invalid: "break-paths-show-path-domains" },
    encoding: {
      x: timeAxis("middle", width),
      y: { field: "value", type: "quantitative", scale: { zero: true }, axis: amountAxis(title, { labelExpr: "format(datum.value, '.0%')" }) },
      color: colorOf(groups),
      tooltip: { field: "tip", type: "nominal" },
    },
  };
}

/** Bars beside their names, the longest first, each with its figure behind it. */
function ranking(values, width) {
  const labels = Math.min(220, width * 0.4);
  const axis = { title: null, ticks: false, domain: false, labelLimit: labels, labelPadding: 8 };
  const bars = {
    mark: { type: "bar", height: { band: 0.7 } },
    encoding: {
      color: { field: "color", type: "nominal", scale: null },
      tooltip: { field: "tip", type: "nominal" },
    },
  };
  const figures = {
    mark: { type: "text", align: "left", dx: 6 },
    encoding: { text: { field: "written" }, x: { field: "edge", type: "quantitative" } },
  };
  return {
    height: 26 * values.length,
    data: { values: values.map((row) => ({ ...row, edge: Math.max(row.value, 0) })) },
    encoding: {
      y: { field: "label", type: "nominal", sort: null, axis },
      x: { field: "value", type: "quantitative", axis: null, scale: { domain: roomFor(values, width - labels), nice: false } },
    },
    layer: [bars, figures],
  };
}

/** The ends of an axis that leave room for the figure behind the longest bar. */
function roomFor(values, width) {
  const sizes = values.map((row) => row.value);
  const text = Math.max(...values.map((row) => row.written.length)) * 7.5 + 12;
  const longest = Math.max(...sizes, 0);
  return [Math.min(...sizes, 0) * 1.1, (longest * width) / Math.max(width - text, width / 4) || 1];
}

function colorOf(groups) {
  if (groups.length === 1) return { value: groups[0].color };
  return {
    field: "group", type: "nominal", legend: null,
    scale: { domain: groups.map((group) => group.key), range: groups.map((group) => group.color) },
  };
}

/** Fold what a chart has no room for into one grey group. */
function foldedGroups(entries) {
  const named = entries.filter((entry) => entry.kind === "named");
  const shown = named.length > MOST ? named.slice(0, MOST - 1) : named;
  const rest = entries.filter((entry) => !shown.includes(entry) && entry.kind !== "none");
  const none = entries.filter((entry) => entry.kind === "none");
  return { shown, rest, none };
}

/** A figure: what it says, its legend, the chart, and all that stands below it. */
function figure(caption, name, groups, specOf, ...below) {
  const place = element("div", { class: "chart", role: "img", "aria-label": name });
  const made = element("figure", {}, element("figcaption", {}, caption));
  if (groups.length > 1) made.append(legend(groups));
  made.append(place, ...below);
  drawn.push({ place, name, specOf });
  return made;
}

function legend(groups) {
  return element("ul", { class: "legend" }, ...groups.map((group) => {
    const patch = element("i", { "aria-hidden": "true" });
    patch.style.background = group.color;
    return element("li", { dir: "auto" }, patch, group.label);
  }));
}

/** Draw every chart of the page in the width that it has. */
function drawAll() {
  for (const chart of drawn.splice(0)) {
    if (!chart.place.isConnected) continue;
    draw(chart);
    drawn.push(chart);
  }
}

async function draw(chart) {
  const width = chart.place.clientWidth;
  if (!width || chart.width === width) return;
  chart.width = width;
  chart.made?.finalize();
  const spec = { ...chart.specOf(width), width, autosize: { type: "fit-x", contains: "padding" } };
  chart.made = await vegaEmbed(chart.place, spec, EMBEDDING);
  silence(chart);
}

/** Take away what Vega says of its marks: the picture has a name, and its table has the figures. */
function silence({ place, name }) {
  for (const one of [place, ...place.querySelectorAll("svg, svg *")]) {
    for (const said of ["role", "aria-roledescription", "aria-label"]) one.removeAttribute(said);
  }
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", name);
}

const CONFIG = {
  aria: false,
  background: null,
  view: { stroke: null },
  axis: { labelFontSize: 12, titleFontSize: 12, gridOpacity: 1 },
  text: { fontSize: 12 },
  padding: { left: 0, right: 8, top: 14, bottom: 4 },
};

// The bundle of vl-convert 1.9 hands out vegaEmbed whole; its vega and vegaLite are null there.
const EMBEDDING = {
  mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, hover: false,
  config: CONFIG, tooltip: showTip,
};

const tip = document.getElementById("tip");

function showTip(_, event, __, value) {
  tip.hidden = !value;
  if (!value) return;
  tip.textContent = value;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 12, innerWidth - width - 8);
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - height - 8 : event.clientY + 16;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${top}px`;
}
