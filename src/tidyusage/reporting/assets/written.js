// How figures are written: as Python writes them, to the last digit, in every browser's language.

const NOTHING = "–";

function formatted(decimals) {
  return new Intl.NumberFormat("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

const FORMATS = [0, 1, 2].map(formatted);

/** A figure with separators. Twelve digits are a figure; what is beyond them is a sum's noise. */
function number(value, decimals = 0) {
  if (value === null || value === undefined) return NOTHING;
  return FORMATS[decimals].format(Number(value.toPrecision(12)));
}

const nameOf = (code) => code || "unknown currency";
const money = (value, code) =>
  value === null ? NOTHING : `${number(value, 2)} ${code || "of unknown currency"}`;
const percent = (value) => (value === null ? NOTHING : `${number(value * 100, 1)} %`);
const plural = (count, one) => `${number(count)} ${one}${count === 1 ? "" : "s"}`;

/** How a figure has changed, in words. */
function change(now, before, write) {
  if (before <= 0) return now === before ? "no change" : `from ${write(before)} to ${write(now)}`;
  return signed((now - before) / Math.abs(before) * 100, "%");
}

/** How a share has changed: in points of per cent, lest a per cent of per cents be taken for them. */
function points(now, before) {
  return signed((now - before) * 100, "points");
}

function signed(value, unit) {
  const text = FORMATS[1].format(Math.abs(Number(value.toPrecision(12))));
  if (text === "0.0") return "no change";
  return `${value < 0 ? "−" : "+"}${text} ${unit}`;
}

const periodName = (place) => DATA.periods[place].label;

/** An element with attributes and children; text is text, whatever a name holds. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
