// Products, models and users: the most of each as a chart, all of each as a table.

const DIMENSIONS = {
  products: {
    one: "Product", entries: DATA.products, cost: "cost", tokens: "tokens",
    place: (cube, row) => cube.product[row],
  },
  models: {
    one: "Model", entries: DATA.models, cost: "cost", tokens: "tokens",
    place: (cube, row) => cube.member[row],
  },
  users: {
    one: "User", entries: DATA.users, cost: "user_cost", tokens: "user_tokens",
    place: (cube, row) => cube.member[row],
  },
};

function renderRanking(name) {
  if (name === "users" && !DATA.hasUsers) {
    return [paragraph("This page was made without the names of users.")];
  }
  const dimension = DIMENSIONS[name];
  const codes = currencies();
  const costs = codes.map((code) => costsBy(dimension, code));
  const cube = DATA.cubes[dimension.tokens];
  const tokens = totals(cube, "tokens", everything(), (row) => dimension.place(cube, row));
  const order = inOrder(costs, tokens);
  if (!order.length) return [paragraph("No record of these has a cost or tokens.")];
  const charts = codes.slice(0, PANELS).map((code, place) =>
    rankingChart(dimension, costs[place], `Cost in ${nameOf(code)}`, (value) => money(value, code)));
  if (!charts.length) charts.push(rankingChart(dimension, tokens, "Tokens", number));
  return [...charts, rankingTable(name, order, codes, costs, tokens)];
}

function costsBy(dimension, code) {
  const cube = DATA.cubes[dimension.cost];
  return totals(cube, "cost", everything(), (row) =>
    inCurrency(cube, code)(row) ? dimension.place(cube, row) : null);
}

/** All that have a cost or tokens: by cost in the first currency, then by tokens. */
function inOrder(costs, tokens) {
  const places = new Set([...costs.flatMap((sums) => [...sums.keys()]), ...tokens.keys()]);
  const costAt = (place) => costs[0]?.get(place) ?? -Infinity;
  const tokensAt = (place) => tokens.get(place) ?? -Infinity;
  const greatest = (of) => (a, b) => (of(a) === of(b) ? 0 : of(b) - of(a));
  return [...places].sort((a, b) => greatest(costAt)(a, b) || greatest(tokensAt)(a, b));
}

function rankingChart(dimension, sums, what, write) {
  const one = dimension.one.toLowerCase();
  const entries = [...sums].sort((a, b) => b[1] - a[1])
    .map(([place, value]) => ({ ...dimension.entries[place], value }));
  const values = rankingBars(entries, one).map((entry) => ({
    label: entry.label,
    value: entry.value,
    color: entry.color ?? (entry.kind === "none" ? DATA.none : ACCENT),
    written: write(entry.value),
    tip: `${entry.label}: ${write(entry.value)}`,
  }));
  const caption = rankingCaption(entries, what, write, one);
  return figure(caption, `${what} by ${one}. ${caption}`, [], (width) => ranking(values, width));
}

function rankingBars(entries, one) {
  const { shown, rest, none } = foldedGroups(entries);
  const bars = [...distinctOf(shown), ...none].sort((a, b) => b.value - a.value);
  if (!rest.length) return bars;
  const label = rest.length === 1 ? rest[0].label : `other ${one}s`;
  return [...bars, { label, value: sumOf(rest.map(({ value }) => value)), color: DATA.other }];
}

/** Products and models keep the colours that they have elsewhere; users have one for all. */
const distinctOf = (entries) => (entries.some(({ color }) => color) ? distinct(entries) : entries);

/** The main point of a ranking: who or what is first, and how much is nobody's. */
function rankingCaption(entries, what, write, one) {
  const all = sumOf(entries.map(({ value }) => value));
  const share = (value) => (all > 0 && value >= 0 ? ` (${percent(value / all)})` : "");
  const first = entries.find(({ kind }) => kind === "named");
  const none = entries.find(({ kind }) => kind === "none");
  const most = first ? ` The most is that of ${first.label}: ${write(first.value)}${share(first.value)}.` : "";
  const rest = none ? ` ${write(none.value)}${share(none.value)} names no ${one}.` : "";
  return `${what}.${most}${rest}`;
}

function rankingTable(name, order, codes, costs, tokens) {
  const dimension = DIMENSIONS[name];
  const extra = name === "users" ? [] : extras(name, codes);
  const heads = [
    ...codes.flatMap((code) => [`Cost, ${nameOf(code)}`, `Share of ${nameOf(code)}`]),
    "Tokens",
    ...extra.map(({ label }) => label),
  ];
  const all = costs.map((sums) => sumOf([...sums.values()]));
  const cells = (costAt, tokensAt, extraAt) => [
    ...codes.flatMap((_, n) => costCells(costAt(n), all[n])),
    cell(tokensAt, number, "no tokens"),
    ...extra.map((one) => cell(extraAt(one), one.write, "not told")),
  ];
  const rows = order.map((place) => [
    word(dimension.entries[place].label),
    ...cells((n) => costs[n].get(place) ?? null, tokens.get(place) ?? null, (one) => one.of(place)),
  ]);
  const foot = [word(ALL), ...cells((n) => all[n], tokensOf(everything()), (one) => one.all())];
  const columns = [{ label: dimension.one, kind: "text" }, ...numbers(heads)];
  return table(`Cost and tokens by ${dimension.one.toLowerCase()}`, columns, rows, foot);
}

function costCells(value, all) {
  const share = value === null || !all ? null : value / all;
  return [cell(value, amount, "no cost"), cell(share, percent, "no cost")];
}

/** What is told of products and models beside cost and tokens. */
function extras(name, codes) {
  const { unit, cache } = DATA.cubes;
  const units = codes.map((code) => ({
    label: `A million tokens, ${nameOf(code)}`,
    write: amount,
    of: ratiosBy(name, unit, "cost", "tokens", (row) => inCurrency(unit, code)(row), MILLION),
    all: () => unitOf(everything(), code),
  }));
  const hits = {
    label: "Cache hit rate",
    write: percent,
    of: ratiosBy(name, cache, "cache_read", "prompt_tokens"),
    all: () => cacheOf(everything()),
  };
  const people = {
    label: "Active users",
    write: number,
    of: (place) => activeOf({ ...chosen, products: new Set([place]) }).value,
    all: () => activeOf(everything()).value,
  };
  return [...units, hits, ...(name === "products" ? [people] : [])];
}

/** The ratios of sums of each product or model, all of them read in one go. */
function ratiosBy(name, cube, above, below, test = () => true, per = 1) {
  const { place } = DIMENSIONS[name];
  const keyOf = (row) => (test(row) ? place(cube, row) : null);
  const over = totals(cube, above, everything(), keyOf);
  const under = totals(cube, below, everything(), keyOf);
  return (at) => (under.get(at) ? (per * over.get(at)) / under.get(at) : null);
}
