// The page: its filters, and its sections written anew whenever they change.

const RENDERERS = {
  time: renderTime,
  products: () => renderRanking("products"),
  models: () => renderRanking("models"),
  users: () => renderRanking("users"),
  active: renderActive,
  acceptance: renderAcceptance,
  tokens: renderTokens,
};

const form = document.getElementById("filters");
const [from, to] = ["from", "to"].map((name) => document.getElementById(name));
const present = [...DATA.products.keys()].filter((place) => DATA.products[place].records > 0);

function renderAll() {
  drawn.splice(0).forEach((chart) => chart.made?.finalize());
  showTip(null, null, null, null);
  renderHeadlines();
  for (const section of document.querySelectorAll("[data-section]")) renderSection(section);
  drawAll();
}

function renderSection(section) {
  const states = stateOf(section);
  const content = chosen.products.size
    ? RENDERERS[section.dataset.section]()
    : [paragraph("No product is chosen.")];
  section.replaceChildren(section.querySelector("h2"), ...content);
  restore(section, states);
}

function fillFilters() {
  const boxes = present.map((place) => {
    const box = element("input", { type: "checkbox", value: place });
    box.checked = true;
    return element("label", { dir: "auto" }, box, DATA.products[place].label);
  });
  document.getElementById("products").append(...boxes);
  for (const select of [from, to]) {
    select.append(...DATA.periods.map((period, place) => element("option", { value: place }, period.label)));
  }
  document.getElementById("periods").hidden = DATA.periods.length < 2;
  form.hidden = false;
}

/** Read what is chosen; where the first period is after the last, the one that was changed counts. */
function choose(event) {
  const boxes = [...form.querySelectorAll("input")];
  chosen.products = new Set(boxes.filter((box) => box.checked).map((box) => Number(box.value)));
  if (chosen.products.size === boxes.length) chosen.products = new Set(DATA.products.keys());
  if (Number(from.value) > Number(to.value)) {
    if (event?.target === from) to.value = from.value;
    else from.value = to.value;
  }
  chosen.first = Number(from.value);
  chosen.last = DATA.periods.length ? Number(to.value) : 0;
  renderAll();
  tellStatus();
}

function reset() {
  form.querySelectorAll("input").forEach((box) => { box.checked = true; });
  from.value = "0";
  to.value = String(Math.max(LAST, 0));
  choose();
}

function tellStatus() {
  const of = form.querySelectorAll("input").length;
  const checked = form.querySelectorAll("input:checked").length;
  const products = checked === of ? "all products" : `${checked} of ${plural(of, "product")}`;
  document.getElementById("status").textContent = `Showing ${products}${shownSpan()}.${leftOut()}`;
}

function shownSpan() {
  if (!DATA.periods.length) return "";
  if (isWhole(chosen)) return `, all ${plural(DATA.periods.length, DATA.freq)}`;
  const names = [chosen.first, chosen.last].map(periodName);
  return names[0] === names[1] ? `, ${names[0]}` : `, ${names.join(" to ")}`;
}

/** Say how many records have no date, and so are in no choice of periods. */
function leftOut() {
  const undated = [...chosen.products].reduce((sum, place) => sum + DATA.products[place].undated, 0);
  if (!undated || !DATA.periods.length) return "";
  const are = undated === 1 ? "is" : "are";
  return isWhole(chosen)
    ? ` ${plural(undated, "record")} without a date ${are} in the figures, and in no ${DATA.freq}.`
    : ` ${plural(undated, "record")} without a date ${are} left out.`;
}

/** Draw charts anew when the page has another width, once a frame. */
function watchWidth() {
  let asked = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(drawAll);
  }).observe(document.getElementById("figures"));
}

/** Paper has no buttons: all figures are shown there, and hidden again after. */
function watchPrint() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
}

fillFilters();
reset();
document.querySelectorAll("table[data-sortable]").forEach(sortable);
form.addEventListener("change", choose);
document.getElementById("reset").addEventListener("click", reset);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
watchWidth();
watchPrint();
