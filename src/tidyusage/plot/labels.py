"""Labels for groups, dimensions, measures and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.iso4217 import decimals

if TYPE_CHECKING:
    from collections.abc import Container

_MILLION: Final = 1e6
_NOTHING: Final = "(none)"
_EMPTY: Final = "(empty)"
_INHERITED: Final = (
    *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString"),
    *("toString", "valueOf", "__defineGetter__", "__defineSetter__", "__lookupGetter__"),
    *("__lookupSetter__", "__proto__"),
)
# Numbers of an axis: in full while they are short, then with k, M, B.
TICKS: Final = (
    "abs(datum.value) < 10000 ? format(datum.value, ',~r') "
    ": replace(format(datum.value, '~s'), 'G', 'B')"
)


def group(value: str | None, names: Container[str]) -> str:
    """Return what a group is called: one without a name unlike any that has one."""
    if value:
        return seen(value)
    return unlike(_NOTHING if value is None else _EMPTY, names)


def seen(name: str) -> str:
    """Return a name as Vega can hold it: one that all objects of JavaScript have is lengthened.

    By a space without width, which nobody sees.  Vega looks groups up as an object's properties.
    """
    return f"{name}\u200b" if name in _INHERITED else name


def unlike(label: str, names: Container[str]) -> str:
    """Return a label of ours that no group of the frame is called by."""
    while label in names:
        label += "'"
    return label


def dimension(name: str) -> str:
    """Return a dimension's name in a title: `model.id` is the model."""
    for suffix in (".id", "_id"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def by(names: tuple[str, ...]) -> str:
    """Return the end of a title that says what groups are."""
    return f" by {' and '.join(map(dimension, names))}" if names else ""


def money(currency: str | None) -> str:
    """Return a currency in a title."""
    return currency or "unknown currency"


def cost(currency: str | None) -> str:
    """Return the title of an axis of money."""
    return f"cost, {money(currency)}"


def amount(value: float | None) -> str:
    """Return a count in words that fit beside its mark."""
    if value is None:
        return "–"
    if abs(value) >= _MILLION:
        return _short(value)
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:,.3g}{letter}" if abs(value) < size * 1e3 else f"{value:,.0f}"
    return f"{value:,.0f}"


def percent(value: float | None) -> str:
    """Return a share in words."""
    return "–" if value is None else f"{value:.1%}"


def words(name: str) -> str:
    """Return a column's name in words."""
    return name.removeprefix("usage.").replace("_", " ")


def some(names: list[str], most: int = 3) -> str:
    """Return the first few names, and how many there are beyond."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def plural(count: int, word: str) -> str:
    """Return so many of a thing."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def price(value: float, currency: str | None) -> str:
    """Return an amount of money in words that fit beside its mark."""
    return _short(value) if abs(value) >= _MILLION else exact(value, currency)


def exact(value: float, currency: str | None) -> str:
    """Return an amount of money to the last decimal of its currency; of less than one, four."""
    if 0 < abs(value) < 1:
        return f"{value:,.4g}"
    return f"{value:,.{decimals(currency or '')}f}"


def number(value: float) -> str:
    """Return a count in full, and what is none to six figures."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"
