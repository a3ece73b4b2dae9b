"""Choose a format for each column of a result: money, share, period or name."""

from __future__ import annotations

import datetime as dt
import json
import math
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from tidyusage import catalogue
from tidyusage._utils import html, iso4217, numbers
from tidyusage.metrics._periods import PERIOD
from tidyusage.plot.colors import PALETTE
from tidyusage.schema import rename

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Write = Callable[[Any], str]

CURRENCY: Final = "currency"
UNIT: Final = "unit"
_UNKNOWN: Final = "unknown currency"
_CHARGES: Final = (*catalogue.CHARGE_AMOUNTS, "charges.amount")
_SPACE: Final = "\xa0"
_MIDNIGHT: Final = dt.time(0)


class Part(NamedTuple):
    """Cells of a column that are written alike: those of ``rows``, None for all."""

    write: Write
    rows: list[int] | None = None


def parts(table: pa.Table, name: str) -> list[Part]:
    """Return how the cells of a column are written, as HTML."""
    type_ = table.schema.field(name).type
    if name == UNIT and mixed(table):
        return list(_units(table))
    if is_number(type_):
        return list(_numbers(table, name))
    missing = html.MISSING if name in numbers.RESULTS else html.quiet("(none)")
    if pa.types.is_temporal(type_) and not pa.types.is_duration(type_):
        return [Part(_instants(table[name].to_pylist(), name, set(table.column_names)))]
    if not _is_text(type_):
        return [Part(_or(html.MISSING, _other))]
    named = Part(_or(missing, lambda value: html.name(str(value))))
    return [named, *_others(table, name)]


def is_number(type_: pa.DataType) -> bool:
    """Tell whether a column's cells are numbers."""
    return bool(
        pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    )


def money(table: pa.Table, name: str) -> str | None:
    """Return the column that holds the currency of a column's amounts, None for no money."""
    names = set(table.column_names)
    if name in (*numbers.AMOUNTS, *numbers.UNIT_PRICES) and UNIT not in names:
        return CURRENCY if CURRENCY in names else None
    for sep in "._":
        currency = rename("charges.currency", sep)
        if name in {rename(path, sep) for path in _CHARGES} and currency in names:
            return currency
    return None


def mixed(table: pa.Table) -> list[str]:
    """Return the columns whose numbers are in the unit that stands in their row."""
    if UNIT not in table.column_names:
        return []
    fields = (field for field in table.schema if field.name in numbers.MIXED)
    return [field.name for field in fields if is_number(field.type)]


def label(table: pa.Table, name: str) -> str:
    """Return the words above a column; a unit price says what for."""
    if name not in numbers.UNIT_PRICES or not {"cost", CURRENCY} <= set(table.column_names):
        return numbers.label(name)
    counted = _counted(table, name)
    per = _per(table, name, counted) if counted else None
    if per is None:
        return numbers.label(name)
    many = counted.replace("_", " ") if "." not in counted else counted
    one = many.removesuffix("s") if "." not in counted else many
    return f"cost per {one}" if per == 1 else f"cost per {per:,.12g} {many}"


def _counted(table: pa.Table, name: str) -> str:
    """Return the column that a unit price divides by."""
    before = table.column_names[: table.column_names.index(name)]
    return "" if before[-1:] in ([], ["cost"]) else before[-1]


def _per(table: pa.Table, name: str, counted: str) -> float | None:
    """Return how many of something a price is for, if all rows agree."""
    columns = (table[column].to_pylist() for column in ("cost", counted, name))
    found = {
        float(f"{price * count / cost:.9g}")
        for cost, count, price in zip(*columns, strict=True)
        if cost and count and price
    }
    return found.pop() if len(found) == 1 else None


def _numbers(table: pa.Table, name: str) -> Iterator[Part]:
    values = [_plain(value) for value in table[name].to_pylist() if not _is_missing(value)]
    if name in numbers.SHARES:
        yield Part(_number(_share))
    elif name in numbers.CHANGES:
        yield Part(_number(lambda value: _signed(numbers.percent(value))))
    elif name in mixed(table):
        yield from _in_units(table, name)
    elif currency := money(table, name):
        yield from _amounts(table, name, currency)
    elif pa.types.is_integer(table.schema.field(name).type) and name not in numbers.RESULTS:
        yield Part(_number(lambda value: f"{value}"))  # a key such as a year
    else:
        yield Part(_number(partial(_fixed, places=numbers.places(values))))


def _share(value: float) -> str:
    return html.bar(value, _signed(numbers.percent(value)), PALETTE[0])


def _amounts(table: pa.Table, name: str, currency: str) -> Iterator[Part]:
    """Return how amounts are written, with a part for each currency."""
    values = table[name].to_pylist()
    for code, rows in _rows_by(table[currency].to_pylist()).items():
        places = 2 if code is None else iso4217.decimals(code)
        if name in numbers.UNIT_PRICES:
            sizes = [abs(_plain(v)) for row in rows if not _is_missing(v := values[row])]
            places = max(places, numbers.significant(sizes))
        before = html.quiet(_UNKNOWN) if code is None else html.escaped(code)
        yield Part(_number(partial(_amount, before=before, places=places)), rows)


def _amount(value: float, *, before: str, places: int) -> str:
    return f"{before}{_SPACE}{_fixed(value, places=places)}"


def _in_units(table: pa.Table, name: str) -> Iterator[Part]:
    """Return how numbers are written beside their unit: money in its currency's decimals."""
    if name in numbers.MIXED:
        yield Part(_number(lambda value: _signed(numbers.of_one_unit(value))))
    codes, is_money = table[UNIT].to_pylist(), _are_money(table)
    for code, rows in _rows_by(codes).items():
        places = 2 if code is None else iso4217.decimals(code)
        if priced := [row for row in rows if is_money[row]]:
            yield Part(_number(partial(_fixed, places=places)), priced)


def _units(table: pa.Table) -> Iterator[Part]:
    yield Part(_or(html.MISSING, lambda value: html.name(str(value))))
    values = zip(*(table[name].to_pylist() for name in mixed(table)), strict=True)
    known = [any(not _is_missing(value) for value in row) for row in values]
    of_money = [row for row, is_one in enumerate(_are_money(table)) if is_one and known[row]]
    yield Part(_or(html.quiet(_UNKNOWN), lambda value: html.name(str(value))), of_money)


def _are_money(table: pa.Table) -> list[bool]:
    """Tell of each row whether its unit is a currency."""
    mark = next((name for name in ("figure", "metric") if name in table.column_names), None)
    marks = table[mark].to_pylist() if mark else [None] * table.num_rows
    return [one == "cost" or str(one).startswith("charges.") for one in marks]


def _others(table: pa.Table, name: str) -> Iterator[Part]:
    """Return how the row of all other groups is called, in the answer of `top`."""
    names = table.column_names
    if not {"rank", "groups"} <= set(names) or names.index(name) > names.index("rank"):
        return
    rows = [row for row, rank in enumerate(table["rank"].to_pylist()) if rank is None]
    if rows:
        yield Part(lambda _: html.quiet("(all others)"), rows)


def _rows_by(values: Sequence[Any]) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    return rows


def _instants(values: list[Any], name: str, names: set[str]) -> Write:
    """Return how dates and instants of a column are written: as short as says it all."""
    known = [value for value in values if value is not None]
    write: Write = str
    if all(isinstance(value, dt.datetime) for value in known):
        is_whole = all(value.time() == _MIDNIGHT and _is_utc(value) for value in known)
        is_hour = name == PERIOD and any(value.tzinfo for value in known)
        known = [value.date() for value in known] if is_whole and not is_hour else known
        write = _date if is_whole and not is_hour else _instant
    if name == PERIOD and (_are_months(known) or {"dau", "mau"} <= names):
        write = "{:%Y-%m}".format
    return _or(html.MISSING, lambda value: html.escaped(write(value)))


def _is_utc(value: dt.datetime) -> bool:
    return value.tzinfo is None or not value.utcoffset()


def _date(value: dt.datetime) -> str:
    return value.date().isoformat()


def _instant(value: dt.datetime) -> str:
    spec = "minutes" if not (value.second or value.microsecond) else "auto"
    text = value.replace(tzinfo=None).isoformat(_SPACE, spec)
    return text if value.tzinfo is None else f"{text}{_SPACE}{value.tzname()}"


def _are_months(days: list[Any]) -> bool:
    """Tell whether periods are months: all begin one, and two follow each other."""
    if not all(isinstance(day, dt.date) and day.day == 1 for day in days):
        return False
    months = sorted({12 * day.year + day.month for day in days})
    return any(after - before == 1 for before, after in pairwise(months))


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(type_) for is_kind in kinds)


def _other(value: Any) -> str:
    """Return HTML of a value that is neither number, name nor date."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return html.escaped(json.dumps(value, default=str, ensure_ascii=False))
    if hasattr(value, "__len__") and not isinstance(value, str | bytes):
        return f"{len(value):,} {'entry' if len(value) == 1 else 'entries'}"
    return html.escaped(str(value))


def _number(write: Callable[[Any], str]) -> Write:
    return lambda value: html.MISSING if _is_missing(value) else write(_plain(value))


def _or(missing: str, write: Write) -> Write:
    return lambda value: missing if value is None else write(value)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """Return a number as one of Python's own; whole decimals stay exact."""
    if isinstance(value, int | float):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _fixed(value: float, *, places: int) -> str:
    return _signed(numbers.number(value, places))


def _signed(text: str) -> str:
    """Return a number's text with the sign that is as wide as a digit."""
    return text.replace("-", "−")
