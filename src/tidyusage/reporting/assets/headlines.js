// The headlines: each figure of what is chosen, and how it has changed.

function headlines() {
  const pair = compared();
  const codes = currencies();
  return [
    ...moneyCards("cost", "Cost", codes, costOf, pair, DATA.missing.cost ?? "No record of these has a cost."),
    card("tokens", "Tokens", tokensOf, number, pair, DATA.missing.tokens ?? "No record of these has tokens."),
    ...moneyCards("unit", "Cost of a million tokens", codes, unitOf, pair, DATA.missing.unit ?? "No record of these has both a cost and tokens."),
    activeCard(pair),
    card("cache", "Cache hit rate", cacheOf, percent, pair, DATA.missing.cache ?? "No record of these tells of the cache.", points),
    ...acceptanceCards(pair),
  ];
}

/** A headline of a figure: what it is of all that is chosen, and of the two periods compared. */
function card(key, label, figureOf, write, pair, why, compare = change) {
  const value = figureOf(everything());
  if (value === null) return { key, label, value: NOTHING, why };
  if (!pair) return { key, label, value: write(value) };
  const [now, before] = [during(pair.now), during(pair.before)].map(figureOf);
  const isKnown = now !== null && before !== null;
  const words = isKnown ? compare(now, before, write) : `${NOTHING} nothing to compare with`;
  return { key, label, value: write(value), change: `${lastOf(pair)}: ${words}` };
}

function moneyCards(key, label, codes, figureOf, pair, why) {
  const cards = codes.map((code) =>
    card(`${key}-${code}`, label, (range) => figureOf(range, code), (value) => money(value, code), pair, why));
  const told = cards.filter((one) => one.value !== NOTHING);
  return told.length ? told : [{ key: `${key}-`, label, value: NOTHING, why }];
}

function activeCard(pair) {
  const { why } = activeOf(everything());
  return card("users", "Active users", (range) => activeOf(range).value, number, pair, why);
}

function acceptanceCards(pair) {
  const cube = DATA.cubes.acceptance;
  const offered = new Set(cube?.kind ?? []);
  return DATA.kinds.filter((kind) => offered.has(kind.key)).map((kind) =>
    card(`acceptance-${kind.key}`, `Accepted ${kind.label}`, (range) => acceptanceOf(range, kind.key),
      percent, pair, "Nothing of the kind was offered.", points));
}

function renderHeadlines() {
  const cards = headlines().map((one) => element("div", { class: "card", "data-card": one.key },
    element("dt", {}, one.label),
    element("dd", {}, ...withUnit(one.value)),
    ...(one.why ? [element("dd", { class: "why" }, one.why)] : []),
    ...(one.change ? [element("dd", { class: "change" }, one.change)] : [])));
  document.getElementById("cards").replaceChildren(...cards);
  document.getElementById("compared").textContent = comparison();
}

/** An amount, and its currency in smaller letters; a per cent stays as it is. */
function withUnit(written) {
  const [figure_, ...unit] = written.split(" ");
  if (!unit.length || unit[0] === "%") return [written];
  return [`${figure_} `, element("small", {}, unit.join(" "))];
}

const lastOf = ({ length }) => `last ${length > 1 ? `${length} ` : ""}${DATA.freq}${length > 1 ? "s" : ""}`;
const stretchName = ({ first, last }) =>
  first === last ? periodName(first) : `${periodName(first)} to ${periodName(last)}`;

/** Say what a change is from and to, or why there is none. */
function comparison() {
  const pair = compared();
  if (pair) {
    const what = pair.length > 1 ? `${pair.length} whole ${DATA.freq}s` : `whole ${DATA.freq}`;
    return `Changes are those of the last ${what}: ${stretchName(pair.now)} against ${stretchName(pair.before)}.`;
  }
  if (!DATA.periods.length) return "No record has a date, so that nothing can be said of changes.";
  return `No changes are shown: what is chosen holds no two whole ${DATA.freq}s, one after the other.`;
}
