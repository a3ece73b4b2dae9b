// The figures of whatever is chosen. Cubes are columns of sums by period, product and more; a
// choice adds up their rows. Different people are never added: they are counted, below.

const DATA = JSON.parse(document.getElementById("data").textContent);
// Records without a date stand after the last period.
const UNDATED = DATA.periods.length;
const LAST = UNDATED - 1;
const MILLION = 1e6;
const WEEK = 7;

const chosen = {
  products: new Set(DATA.products.keys()),
  first: 0,
  last: Math.max(LAST, 0),
};

/** Whether all periods are chosen, so that records without a date count too. */
const isWhole = (range) => range.first === 0 && range.last >= LAST;
const everything = () => ({ ...chosen });
/** The products that are chosen, in some periods alone. */
const during = ({ first, last }) => ({ products: chosen.products, first, last, alone: true });
const within = (period) => during({ first: period, last: period });

function holds(range, period, product) {
  if (!range.products.has(product)) return false;
  if (period === UNDATED) return isWhole(range) && !range.alone;
  return period >= range.first && period <= range.last;
}

/** Add up a column by whatever `keyOf` makes of a row; null keeps a row out. */
function totals(cube, column, range, keyOf) {
  const sums = new Map();
  if (!cube) return sums;
  for (let row = 0; row < cube.product.length; row++) {
    if (cube[column][row] === null || !holds(range, cube.period[row], cube.product[row])) continue;
    const key = keyOf(row);
    if (key !== null) sums.set(key, (sums.get(key) ?? 0) + cube[column][row]);
  }
  return sums;
}

/** Add up a column; null where there is nothing to add. */
function total(cube, column, range, test = () => true) {
  return totals(cube, column, range, (row) => (test(row) ? 0 : null)).get(0) ?? null;
}

/** A ratio of sums over the same records; null without either, and over nothing. */
function ratio(cube, above, below, range, test, per = 1) {
  const under = total(cube, below, range, test);
  const over = total(cube, above, range, test);
  return under ? (per * over) / under : null;
}

/** The currencies of what is chosen; an unknown one is one of its own. The greatest comes first. */
function currencies(range = everything()) {
  const { cost } = DATA.cubes;
  const sums = totals(cost, "cost", range, (row) => cost.currency[row] ?? "");
  return [...sums].sort((a, b) => b[1] - a[1]).map(([code]) => code);
}

const inCurrency = (cube, code) => (row) => (cube.currency[row] ?? "") === code;
const costOf = (range, code) =>
  total(DATA.cubes.cost, "cost", range, inCurrency(DATA.cubes.cost, code));
const tokensOf = (range) => total(DATA.cubes.tokens, "tokens", range);
const unitOf = (range, code) =>
  ratio(DATA.cubes.unit, "cost", "tokens", range, inCurrency(DATA.cubes.unit, code), MILLION);
const cacheOf = (range) => ratio(DATA.cubes.cache, "cache_read", "prompt_tokens", range);
const acceptanceOf = (range, kind) =>
  ratio(DATA.cubes.acceptance, "accepted", "offered", range,
    (row) => DATA.cubes.acceptance.kind[row] === kind);

// Each pattern is how many people were active so: their products, and a bit for each period. The
// bit after the last one is there whenever they were active, dated or not.
const PATTERNS = DATA.activity.patterns.map(([people, ...parts]) => ({
  people,
  products: parts.flatMap((part, place) =>
    place % 2 ? [] : [{ product: part, bits: BigInt(`0x${parts[place + 1]}`) }]),
}));

function maskOf(range) {
  if (isWhole(range) && !range.alone) return 1n << BigInt(UNDATED);
  const length = BigInt(range.last - range.first + 1);
  return ((1n << length) - 1n) << BigInt(range.first);
}

/** How many different people were active, or why that cannot be told. */
function activeOf(range) {
  const { missing, crossing, bounded } = DATA.activity;
  const whole = isWhole(range) && !range.alone;
  if (missing) return { value: null, why: missing };
  if (crossing && !whole) return { value: null, why: crossing };
  if (!isNamed(range, whole)) return { value: null, why: "No record of these names a user." };
  if (bounded) return boundedActive(range, whole);
  const mask = maskOf(range);
  const isActive = ({ product, bits }) => range.products.has(product) && (bits & mask) !== 0n;
  const people = PATTERNS.filter((pattern) => pattern.products.some(isActive));
  return { value: people.reduce((sum, pattern) => sum + pattern.people, 0) };
}

/** Whether a record of what is chosen names a user at all, active or not. */
function isNamed(range, whole) {
  return DATA.activity.counts.some(([period, product]) =>
    range.products.has(product) &&
    (whole ? period === UNDATED : period >= range.first && period <= range.last));
}

/** Of people too many for patterns: what a metric said of one period and one product, or of all. */
function boundedActive(range, whole) {
  const unknown = { value: null, why: DATA.activity.bounded };
  const period = whole ? UNDATED : range.first;
  if (!whole && range.first !== range.last) return unknown;
  if (range.products.size === DATA.products.length) return { value: DATA.activity.all_[period] };
  if (range.products.size !== 1) return unknown;
  const [product] = range.products;
  if (product === DATA.products.length - 1) return unknown; // several products in one
  const found = DATA.activity.counts.find((count) => count[0] === period && count[1] === product);
  return found ? { value: found[2] } : unknown;
}

/** From when until when the chosen products have data, as the zone's clocks show it. */
function span() {
  const products = [...chosen.products].map((place) => DATA.products[place]).filter((p) => p.from);
  const sorted = (key) => products.map((product) => product[key]).sort();
  return products.length ? { from: sorted("from")[0], to: sorted("to").at(-1) } : null;
}

/** Whether a day of a period is missing in one of the chosen products. */
const isIncomplete = (period) =>
  [...chosen.products].some((place) => DATA.products[place].incomplete.includes(period));

/** Whether the data covers a period from its beginning to its end, and no day of it is missing. */
function isCovered(period, data = span()) {
  const { start, end } = DATA.periods[period];
  if (isIncomplete(period)) return false;
  return data !== null && data.from <= `${start}T00:00:00` && data.to >= `${end}T00:00:00`;
}

/**
 * The last two stretches of what is chosen that are covered whole, one after the other: of days
 * seven each, since days of a week are not alike, if there are as many; else a period each.
 * A day is not compared alone because days beside it are missing.
 */
function compared() {
  if (DATA.freq === "day" && shownPeriods().some(isIncomplete)) return stretches(WEEK);
  return (DATA.freq === "day" ? stretches(WEEK) : null) ?? stretches(1);
}

function stretches(length) {
  const data = span();
  const isWhole_ = (first, last) =>
    shownPeriods().slice(first - chosen.first, last - chosen.first + 1).every((p) => isCovered(p, data));
  for (let last = chosen.last; last - 2 * length + 1 >= chosen.first; last--) {
    if (!isCovered(last, data)) continue;
    const [now, before] = [last, last - length].map((end) => ({ first: end - length + 1, last: end }));
    return isWhole_(before.first, now.last) ? { now, before, length } : null;
  }
  return null;
}

const shownPeriods = () =>
  DATA.periods.map((_, place) => place).slice(chosen.first, chosen.last + 1);
