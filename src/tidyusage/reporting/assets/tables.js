// Tables that can be sorted by mouse and keyboard, and keep their order when figures change.

/**
 * A table of `columns` ({label, kind}) and `rows` of cells ({text, sort}), with a foot that stays.
 * `name` tells what it shows, to those who cannot see what stands around it.
 */
function table(name, columns, rows, foot = null) {
  const head = element("tr", {}, ...columns.map((column) =>
    element("th", { scope: "col", class: column.kind }, column.label)));
  const made = element("table", {},
    element("caption", { class: "hidden" }, name),
    element("thead", {}, head),
    element("tbody", {}, ...rows.map((cells) => line(cells, columns))));
  if (foot) made.append(element("tfoot", {}, line(foot, columns)));
  sortable(made);
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": name }, made);
}

function line(cells, columns) {
  return element("tr", {}, ...cells.map((cell, place) => {
    const tag = place === 0 ? "th" : "td";
    const attributes = { class: columns[place].kind, "data-sort": cell.sort, title: cell.why };
    if (place === 0) Object.assign(attributes, { scope: "row", dir: "auto" });
    return element(tag, attributes, cell.text);
  }));
}

/** Make the heads of a table buttons that sort it. */
function sortable(made) {
  made.querySelectorAll("thead th").forEach((head, place) => {
    const button = element("button", { type: "button" }, head.textContent);
    button.addEventListener("click", () => sort(made, place, next(head)));
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
  });
}

/** Numbers begin with the greatest, words with the first. */
function next(head) {
  const first = head.classList.contains("number") ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  return head.getAttribute("aria-sort") === first ? other : first;
}

function sort(made, place, direction) {
  made.querySelectorAll("thead th").forEach((head, number_) =>
    head.setAttribute("aria-sort", number_ === place ? direction : "none"));
  const body = made.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[place]) }));
  rows.sort((a, b) => compare(a.key, b.key, sign));
  body.append(...rows.map(({ row }) => row));
}

function keyOf(cell) {
  const value = cell.dataset.sort;
  if (value === undefined) return null;
  return cell.classList.contains("number") && !Number.isNaN(Number(value)) ? Number(value) : value;
}

/** What is missing stays at the end, in either direction. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en");
}

/** How a table was sorted, and how its details stood, before its section is written anew. */
function stateOf(section) {
  return [...section.querySelectorAll("table")].map((made) => {
    const place = [...made.tHead.rows[0].cells].findIndex((head) => head.ariaSort !== "none");
    const details = made.closest("details");
    return {
      label: place < 0 ? null : made.tHead.rows[0].cells[place].textContent,
      direction: place < 0 ? null : made.tHead.rows[0].cells[place].ariaSort,
      open: details?.open ?? false,
    };
  });
}

function restore(section, states) {
  [...section.querySelectorAll("table")].forEach((made, number_) => {
    const state = states[number_];
    if (!state) return;
    const details = made.closest("details");
    if (details) details.open = state.open;
    const heads = [...made.tHead.rows[0].cells];
    const place = heads.findIndex((head) => head.textContent === state.label);
    if (place >= 0) sort(made, place, state.direction);
  });
}
