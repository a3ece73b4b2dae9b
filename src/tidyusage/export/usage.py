"""The wide and long tables of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import literal, quote
from tidyusage.errors import FrameError
from tidyusage.export.table import USAGE, Column, Table, Usage, described, spelled
from tidyusage.layouts import convert_sql
from tidyusage.metrics import _charges

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

WIDE: Final = "usage_wide"
_ORDER: Final = ("start_date", "product.id", "id")
_CURRENCY: Final = quote("charges_currency")
_TOKENS: Final = tuple(
    field.column for field in catalogue.MEASURES if field.column.startswith("usage.tokens.")
)


def wide(usage: Usage) -> Table:
    """Return the table of one row a record, its lists as they are."""
    names = [name for name in usage.types if name not in usage.left_out]
    columns = [_described(name, usage) for name in names]
    chosen = (f"{quote(n)} as {quote(c.name)}" for n, c in zip(names, columns, strict=True))
    return Table(
        WIDE,
        "One row a usage record.",
        tuple(columns),
        f"select {', '.join(chosen)} from {USAGE}",
        key=tuple(map(spelled, usage.identity)),
        order=_order(names),
        sums=tuple(_sums_of_wide(names, usage)),
        held=None if usage.held is None else usage.held.select([c.name for c in columns]),
    )


def _order(names: Collection[str]) -> tuple[str, ...]:
    return tuple(spelled(name) for name in _ORDER if name in names)


def _sums_of_wide(names: Collection[str], usage: Usage) -> Iterable[tuple[str, str, str | None]]:
    """Yield the sums for the manifest: none that the frame lacks the columns for."""
    is_known = "charges.currency" in names and not usage.lacks_currency
    if is_known and set(catalogue.CHARGE_COLUMNS) <= set(names) and not _lacks_charges(usage):
        billed = _charges.cost(_charges.BILLED).replace('"charges.', '"charges_')
        yield "cost", billed, _CURRENCY
    if is_known:
        for name in catalogue.CHARGE_AMOUNTS:
            if name in names:
                yield spelled(name), quote(spelled(name)), _CURRENCY
    for name in _TOKENS:
        if name in names:
            yield spelled(name), quote(spelled(name)), None


def _lacks_charges(usage: Usage) -> bool:
    """Tell whether the frame lacks a column that a record's cost is made of."""
    given = usage.given
    return given is not None and bool(
        given.layout == "wide" and _charges.missing_columns(_charges.BILLED, given.known)
    )


def long(usage: Usage) -> Table:
    """Return the table of one row a record and measure."""
    kept = (*usage.marks, *usage.own)
    if meeting := [name for name in usage.own if name.lower() in _LONG]:
        raise FrameError(
            f"The frame's own column {meeting[0]!r} is called like a column of usage_long.",
            "Rename it.",
        )
    types = schema.layout_types("long") | {name: usage.types[name] for name in kept}
    types = {name: type_ for name, type_ in types.items() if name not in usage.left_out}
    columns = [
        Column(name, type_, _LONG[name], required=name != "unit")
        if name in _LONG
        else _described(name, usage)
        for name, type_ in types.items()
    ]
    chosen = (f"{quote(name)} as {quote(spelled(name))}" for name in types)
    identity = tuple(map(spelled, usage.identity))
    return Table(
        "usage_long",
        "One row a usage record and measure that it holds.",
        tuple(columns),
        f"select {', '.join(chosen)} from ({convert_sql.long(USAGE, own=kept)})",
        key=(*identity, "metric"),
        owner=identity,
        parents=wide(usage).sql,
        order=(*_order(types), "metric"),
        sums=tuple(_sums_of_long(usage)),
    )


_LONG: Final = {
    "metric": "What was measured, by its path: usage.tokens.input, charges.net.",
    "value": "How much of it there was, in the unit; flags count 0 and 1.",
    "unit": "What the value counts; the currency of a charge.",
}


def _sums_of_long(usage: Usage) -> Iterable[tuple[str, str, str | None]]:
    amounts = () if usage.lacks_currency else catalogue.CHARGE_AMOUNTS
    for name in (*amounts, *_TOKENS):
        value = f"case when metric = {literal(name)} then value end"
        yield spelled(name), value, "unit" if name in catalogue.CHARGE_AMOUNTS else None


def _described(name: str, usage: Usage) -> Column:
    required = name == "id"
    if name in _NESTED:
        return Column(spelled(name), usage.types[name], _NESTED[name])
    if name in catalogue.CHARGE_AMOUNTS:
        said = f"The charges of type {name.removeprefix('charges.')}, added up."
        return Column(spelled(name), usage.types[name], said, "charges_currency")
    if name in usage.own:
        return usage.own_column(name)
    return described(name, type_=usage.types[name], required=required)


_NESTED: Final = {
    "charges.currency": "The currency of the record's charges, in capitals.",
    "charges": "The charges as they came: overlapping views of one cost, not parts of it.",
    "resources": "The resources that the usage belongs to.",
    catalogue.TOOL_ACTIONS.column: catalogue.TOOL_ACTIONS.description,
    "remote_data": "The vendor's own object, as JSON.",
    "extra": "What the schema does not know of the record, as JSON of path and value.",
}
