// What the sections have in common: words, cells, and what they say of missing and partial data.

const PANELS = 6; // currencies that have charts of their own
const ALL = "All that is chosen";

const paragraph = (text) => element("p", { class: "empty" }, text);
const word = (text, sort = text) => ({ text, sort });

/** A figure's cell; where there is none, it says why. */
function cell(value, write, why) {
  return { text: write(value), sort: value, why: value === null ? why : null };
}

const amount = (value) => number(value, 2);
const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

function details(content) {
  return element("details", {}, element("summary", {}, "Show figures"), content);
}

const noDates = () => paragraph("No record has a date, so that nothing can be shown over time.");

/** Say of the shown periods which are not covered whole, since their bars are paler. */
function partial() {
  const data = span();
  const parts = shownPeriods().filter((period) => !isCovered(period, data)).map(periodName);
  if (!parts.length) return "";
  const are = parts.length === 1 ? "it is" : "they are";
  return ` Only a part of ${listed(parts)} has data; ${are} paler.`;
}

/** Names in a sentence: the first, and the last, of many. */
function listed(names) {
  if (names.length > 2) return `${names[0]} to ${names.at(-1)}`;
  return names.join(" and ");
}

const opacityOf = (period, data) => (isCovered(period, data) ? 1 : PALE);

function ofPeriod(period, data) {
  return isCovered(period, data) ? periodName(period) : `${periodName(period)} (in part)`;
}

/** The head of a table's column of periods, and the cell of one, which sorts by the calendar. */
const periodHead = () => ({ label: DATA.freq[0].toUpperCase() + DATA.freq.slice(1), kind: "text" });
const periodCell = (period, name) => word(name, String(period).padStart(4, "0"));
const numbers = (labels) => labels.map((label) => ({ label, kind: "number" }));
