// What was done: how many people were active, what they accepted, and what the tokens were.

function renderActive() {
  const { missing, crossing } = DATA.activity;
  if (missing) return [paragraph(missing)];
  if (!DATA.periods.length) return [noDates()];
  if (crossing) return [paragraph(`Active users of one ${DATA.freq} cannot be told: ${crossing}`)];
  const all = activeOf(everything());
  const found = shownPeriods().map((period) => ({ period, ...activeOf(within(period)) }));
  const values = activeBars(found);
  const below = activeTable(found, all);
  if (!values.length) return [paragraph(all.why ?? found[0].why), details(below)];
  const caption = activeCaption(values, all) + partial();
  const groups = [{ color: ACCENT }];
  return [figure(caption, `Active users over time. ${caption}`, groups,
    (width) => barsOverTime(values, groups, "users", width), details(below))];
}

function activeBars(found) {
  const data = span();
  return found.filter(({ value }) => value !== null).map(({ period, value }) => ({
    ...bar(period),
    value,
    opacity: opacityOf(period, data),
    tip: `${ofPeriod(period, data)}: ${plural(value, "active user")}`,
  }));
}

function activeCaption(values, all) {
  const most = values.reduce((a, b) => (b.value > a.value ? b : a));
  const people = all.value === 1 ? "1 person" : `${number(all.value)} different people`;
  const lead = all.value === null ? all.why : `${people} in all.`;
  return `${lead} The most in one ${DATA.freq}: ${most.tip}. Who is active in two ${DATA.freq}s is one person in all.`;
}

function activeTable(found, all) {
  const data = span();
  const rows = found.map(({ period, value, why }) =>
    [periodCell(period, ofPeriod(period, data)), cell(value, number, why)]);
  const foot = [word("Different people in all"), cell(all.value, number, all.why)];
  return table(`Active users by ${DATA.freq}`, [periodHead(), ...numbers(["Active users"])], rows, foot);
}

// Acceptance

function renderAcceptance() {
  const cube = DATA.cubes.acceptance;
  if (!cube) return [paragraph(DATA.missing.acceptance)];
  const kinds = DATA.kinds.filter(({ key }) => acceptanceOf(everything(), key) !== null);
  if (!kinds.length) return [paragraph("No record of these tells what was offered and accepted.")];
  const sums = Object.fromEntries(["accepted", "offered"].map((column) => [column,
    totals(cube, column, everything(), (row) => `${cube.period[row]} ${cube.kind[row]}`)]));
  const caption = acceptanceCaption(kinds);
  const below = details(acceptanceTable(kinds, sums));
  if (!DATA.periods.length) return [paragraph(caption), below];
  const values = shownPeriods().flatMap((period) => kinds.map((kind) => {
    const value = rateOf(sums, period, kind.key);
    const said = `${periodName(period)}, ${kind.label}: ${percent(value)}`;
    return { ...bar(period), value, group: kind.key, tip: said };
  }));
  return [figure(caption, `Acceptance over time. ${caption}`, kinds,
    (width) => linesOverTime(values, kinds, "accepted", width), below)];
}

function rateOf(sums, period, kind) {
  const offered = sums.offered.get(`${period} ${kind}`);
  return offered ? sums.accepted.get(`${period} ${kind}`) / offered : null;
}

function acceptanceCaption(kinds) {
  const rates = kinds.map(({ key, label }) => `${percent(acceptanceOf(everything(), key))} of ${label}`);
  const apart = kinds.length > 1 ? " They are different things, and are not added." : "";
  return `Accepted of what was offered: ${rates.join(", ")}.${apart}`;
}

function acceptanceTable(kinds, sums) {
  const cube = DATA.cubes.acceptance;
  const heads = kinds.flatMap(({ label }) => ["accepted", "offered", "rate"].map((what) => `${label}, ${what}`));
  const rows = shownPeriods().map((period) => [
    periodCell(period, periodName(period)),
    ...kinds.flatMap(({ key }) => [
      cell(sums.accepted.get(`${period} ${key}`) ?? null, number, "not told"),
      cell(sums.offered.get(`${period} ${key}`) ?? null, number, "not told"),
      cell(rateOf(sums, period, key), percent, "nothing was offered"),
    ]),
  ]);
  const all = (column, key) => total(cube, column, everything(), (row) => cube.kind[row] === key);
  const foot = [word(ALL), ...kinds.flatMap(({ key }) => [
    cell(all("accepted", key), number),
    cell(all("offered", key), number),
    cell(acceptanceOf(everything(), key), percent),
  ])];
  return table(`Acceptance by ${DATA.freq}`, [periodHead(), ...numbers(heads)], rows, foot);
}

// Tokens

function renderTokens() {
  const cube = DATA.cubes.tokens;
  if (!cube) return [paragraph(DATA.missing.tokens)];
  const sorts = DATA.sorts.filter(({ key }) => total(cube, key, everything()) !== null);
  if (!sorts.length) return [paragraph("No record of these tells its tokens by sort.")];
  const sums = new Map(sorts.map(({ key }) =>
    [key, totals(cube, key, everything(), (row) => cube.period[row])]));
  const caption = tokensCaption(sorts) + (DATA.periods.length ? partial() : "");
  const below = details(tokensTable(sorts, sums));
  if (!DATA.periods.length) return [paragraph(caption), below];
  const values = tokenBars(sorts, sums);
  const mix = figure(caption, `Tokens by sort over time. ${caption}`, sorts,
    (width) => barsOverTime(values, sorts, "tokens", width), below);
  return [mix, cacheOverTime()];
}

function tokenBars(sorts, sums) {
  const data = span();
  return shownPeriods().flatMap((period) => sorts.flatMap(({ key, label }) => {
    const value = sums.get(key).get(period);
    if (value === undefined) return [];
    const said = `${ofPeriod(period, data)}, ${label}: ${number(value)} tokens`;
    return [{ ...bar(period), value, group: key, opacity: opacityOf(period, data), tip: said }];
  }));
}

function tokensCaption(sorts) {
  const values = sorts.map(({ key }) => total(DATA.cubes.tokens, key, everything()));
  const all = sumOf(values);
  if (!all) return "No tokens were used.";
  const shares = sorts.map(({ label }, n) => `${percent(values[n] / all)} ${label}`).join(", ");
  return `${number(all)} tokens that are told by sort: ${shares}.`;
}

function cacheOverTime() {
  const rate = cacheOf(everything());
  if (rate === null) return paragraph(DATA.missing.cache ?? "No record of these tells of the cache.");
  const { color } = DATA.sorts.find(({ key }) => key === "cache_read");
  const values = shownPeriods().map((period) => {
    const value = cacheOf(within(period));
    return { ...bar(period), value, tip: `${periodName(period)}: ${percent(value)}` };
  });
  const caption = `The cache served ${percent(rate)} of the prompt tokens.`;
  return figure(caption, `Cache hit rate over time. ${caption}`, [],
    (width) => linesOverTime(values, [{ color }], "served by the cache", width));
}

function tokensTable(sorts, sums) {
  const data = span();
  const cells = (at, range) => [
    ...sorts.map(({ key }) => cell(at(key), number, "not told")),
    cell(tokensOf(range), number, "no tokens"),
    cell(cacheOf(range), percent, "not told"),
  ];
  const rows = shownPeriods().map((period) => [
    periodCell(period, ofPeriod(period, data)),
    ...cells((key) => sums.get(key).get(period) ?? null, within(period)),
  ]);
  const foot = [word(ALL), ...cells((key) => total(DATA.cubes.tokens, key, everything()), everything())];
  const heads = numbers([...sorts.map(({ label }) => label), "all tokens", "cache hit rate"]);
  return table(`Tokens by ${DATA.freq}`, [periodHead(), ...heads], rows, foot);
}
