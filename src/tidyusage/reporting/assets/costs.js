// Cost over time: a chart for each currency, since currencies are not added.

function renderTime() {
  const codes = currencies();
  if (!codes.length) return [paragraph(DATA.missing.cost ?? "No record of these has a cost.")];
  if (!DATA.periods.length) return [noDates()];
  const charts = codes.slice(0, PANELS).map(costOverTime);
  const more = codes.length - PANELS;
  const words = `${number(more)} more ${more === 1 ? "currency is" : "currencies are"} in the tables below.`;
  return more > 0 ? [...charts, paragraph(words)] : charts;
}

function costOverTime(code) {
  const cube = DATA.cubes.cost;
  const isOne = inCurrency(cube, code);
  const groups = productGroups(
    totals(cube, "cost", everything(), (row) => (isOne(row) ? cube.product[row] : null)));
  const cells = totals(cube, "cost", everything(), (row) =>
    isOne(row) ? `${cube.period[row]} ${groups.keyOf(cube.product[row])}` : null);
  const values = costBars(code, groups.list, cells);
  const caption = costCaption(code) + partial();
  return figure(caption, `Cost in ${nameOf(code)} over time. ${caption}`, groups.list,
    (width) => barsOverTime(values, groups.list, nameOf(code), width),
    details(costTable(code, groups.list, cells)));
}

function costBars(code, groups, cells) {
  const data = span();
  return shownPeriods().flatMap((period) => groups.flatMap((group) => {
    const value = cells.get(`${period} ${group.key}`);
    if (value === undefined) return [];
    const said = `${ofPeriod(period, data)}, ${group.label}: ${money(value, code)}`;
    return [{ ...bar(period), value, group: group.key, opacity: opacityOf(period, data), tip: said }];
  }));
}

/** The main point of a chart of cost: how much there is, and when it was most. */
function costCaption(code) {
  const cube = DATA.cubes.cost;
  const isOne = inCurrency(cube, code);
  const sums = totals(cube, "cost", everything(), (row) => (isOne(row) ? cube.period[row] : null));
  const dated = [...sums].filter(([period]) => period !== UNDATED);
  const all = money(costOf(everything(), code), code);
  if (!dated.length) return `${all}, all of it without a date.`;
  const [most, value] = dated.reduce((a, b) => (b[1] > a[1] ? b : a));
  const undated = sums.has(UNDATED) ? ` ${money(sums.get(UNDATED), code)} of it is without a date.` : "";
  return `${all} in all.${undated} The most was ${money(value, code)}: ${periodName(most)}.`;
}

function costTable(code, groups, cells) {
  const data = span();
  const heads = numbers([...groups.map((group) => group.label), `All, ${nameOf(code)}`]);
  const rowOf = (period, name) => {
    const values = groups.map((group) => cells.get(`${period} ${group.key}`) ?? null);
    const known = values.filter((value) => value !== null);
    const all = known.length ? sumOf(known) : null;
    return [periodCell(period, name), ...[...values, all].map((value) => cell(value, amount, "no cost"))];
  };
  const rows = shownPeriods().map((period) => rowOf(period, ofPeriod(period, data)));
  const hasUndated = groups.some((group) => cells.has(`${UNDATED} ${group.key}`));
  if (hasUndated) rows.push(rowOf(UNDATED, "without a date"));
  return table(`Cost in ${nameOf(code)} by ${DATA.freq} and product`, [periodHead(), ...heads], rows);
}

/** The products of a chart, the greatest first; those that it has no room for are one. */
function productGroups(sums) {
  const entries = [...sums].sort((a, b) => b[1] - a[1])
    .map(([place]) => ({ ...DATA.products[place], key: String(place) }));
  const { shown, rest, none } = foldedGroups(entries);
  const list = distinct([...shown, ...none]);
  const keys = new Set(list.map((entry) => entry.key));
  if (rest.length) {
    const label = rest.length === 1 ? rest[0].label : "other products";
    list.push({ key: "rest", label, color: DATA.other });
  }
  return { list, keyOf: (place) => (keys.has(String(place)) ? String(place) : "rest") };
}

/** Of two products in one chart that have the same colour, the smaller takes one that is free. */
function distinct(entries) {
  const own = new Set(entries.map((entry) => entry.color));
  const free = DATA.palette.filter((color) => !own.has(color));
  const used = new Set();
  return entries.map((entry) => {
    const color = used.has(entry.color) ? free.shift() ?? entry.color : entry.color;
    used.add(color);
    return { ...entry, color };
  });
}
