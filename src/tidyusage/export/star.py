"""The star schema: facts of usage, charges and measures around who, what and when.

Every fact repeats the keys of the dimensions, so that a BI tool filters each of them at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.errors import FrameError
from tidyusage.export import calendar, dimensions
from tidyusage.export.dimensions import DIMENSIONS, TEXT
from tidyusage.export.table import USAGE, Column, Table, described, spelled
from tidyusage.layouts import convert_sql
from tidyusage.metrics import _charges as policy
from tidyusage.schema import ARROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidyusage.export.table import Usage

_USAGE_KEY: Final = "usage_key"
_POSITION: Final = "position"
_KEYS: Final = (_USAGE_KEY, *(dimension.key for dimension in DIMENSIONS), calendar.KEY)
_TO_USAGE: Final = {_USAGE_KEY: ("fact_usage", _USAGE_KEY)}
_TO_DIMENSIONS: Final = {
    **{dimension.key: (dimension.table, dimension.key) for dimension in DIMENSIONS},
    calendar.KEY: (calendar.NAME, calendar.KEY),
}
_IN_DIMENSIONS: Final = {name for dimension in DIMENSIONS for name in dimension.attributes}
# What the table of usage has of a record, beside keys, id and cost; no list is among it.
_FIELDS: Final = tuple(
    field.column
    for field in catalogue.SCALARS
    if field.column != "id" and field.column not in _IN_DIMENSIONS
)
_COST: Final = policy.cost(policy.BILLED)
_TOKENS: Final = tuple(name for name in _FIELDS if name.startswith("usage.tokens."))
_CURRENCY: Final = Column("currency", TEXT, "The currency of the amount, in capitals.")
_RECORD_CURRENCY: Final = "tu__currency"
_SHARE: Final = "tu__share"
_OF_CHARGE: Final = {"charge_type": "charges[].type", "amount": "charges[].amount"}
_OF_RESOURCE: Final = {
    "resource_id": "resources[].id",
    "resource_name": "resources[].name",
    "workspace_id": "resources[].workspace.id",
    "workspace_name": "resources[].workspace.name",
}


def tables(usage: Usage) -> list[Table]:
    """Return the tables of the star; what a key points to stands before what has the key."""
    records = _select(_chosen((_USAGE_KEY,)), _keyed(usage))
    of_records = (_charges(usage), _measures(usage), _resources(usage))
    return [
        *map(dimensions.table, DIMENSIONS),
        calendar.table(),
        _usage(usage),
        *(replace(table, parents=records) for table in of_records),
    ]


def _usage(usage: Usage) -> Table:
    parts = _of_usage(usage)
    _require_free(usage, parts)
    sums = ((spelled(name), quote(spelled(name)), None) for name in _TOKENS)
    return Table(
        "fact_usage",
        "One row a usage record, with what was billed for it.",
        tuple(parts),
        _select({column.name: sql for column, sql in parts.items()}, _keyed(usage)),
        key=(_USAGE_KEY,),
        unique=True,
        order=(calendar.KEY, _USAGE_KEY),
        references=_TO_DIMENSIONS,
        sums=(("cost", quote("cost"), quote("currency")), *sums),
    )


def _of_usage(usage: Usage) -> dict[Column, str]:
    """Return the columns of the table of usage, each with its SQL."""
    id_ = Column("usage_id", TEXT, "The record's id at its source.", required=True)
    said = "What was billed: net, else total less what is included, else the parts of it."
    code = policy.code(quote("charges.currency"))
    fields = (*usage.marks, *_FIELDS)
    return {
        **{column: quote(column.name) for column in _key_columns()},
        id_: quote("id"),
        **{described(name): quote(name) for name in fields},
        Column("cost", ARROW["number"], said, "currency"): _COST,
        Column("currency", TEXT, "The currency of cost; null where there is none."): (
            f"case when {_COST} is not null then {code} end"
        ),
        **dict(_own(usage.own_column(name)) for name in usage.own),
    }


def _own(column: Column) -> tuple[Column, str]:
    """Return a column of the caller's own; a list is JSON, which every tool can hold."""
    name = quote(column.name)
    if pa.types.is_nested(column.type):
        return replace(column, type=TEXT), f"cast(to_json({name}) as varchar)"
    return column, name


def _require_free(usage: Usage, parts: dict[Column, str]) -> None:
    ours = [column.name for column in parts][: len(parts) - len(usage.own)]
    if meeting := [name for name in usage.own if name.lower() in ours]:
        raise FrameError(
            f"The frame's own column {meeting[0]!r} is called like a column of fact_usage.",
            "Rename it.",
        )


def _charges(usage: Usage) -> Table:
    code = policy.code(quote("charges.currency"))
    parts = {
        **_chosen((*_KEYS, _POSITION)),
        "charge_type": quote("charges.type"),
        "amount": quote("charges.amount"),
        "currency": f"coalesce({code}, {_RECORD_CURRENCY})",
    }
    entries = convert_sql.child(_keyed(usage), "charges", own=(*_KEYS, _RECORD_CURRENCY))
    said = "One row a charge: views of one cost that overlap; never add across charge_type."
    columns = (_position("charges"), *_listed(_OF_CHARGE), _CURRENCY)
    sums = tuple(map(_sum_of_charges, catalogue.CHARGE_TYPES))
    return _fact("fact_charges", said, columns, _select(parts, f"({entries})"), sums)


def _sum_of_charges(type_: str) -> tuple[str, str, str]:
    amount = f"case when charge_type = {literal(type_)} then amount end"
    return spelled(f"charges.{type_}"), amount, quote("currency")


def _measures(usage: Usage) -> Table:
    columns = (
        Column("metric", TEXT, "What was measured, by its path.", required=True),
        Column("value", ARROW["number"], "How much of it there was; flags count 0 and 1."),
        Column("unit", TEXT, "What the value counts; the currency of a charge."),
    )
    names = (*_KEYS, *(column.name for column in columns))
    said = "One row a record and measure that it holds; never add values of different metrics."
    sql = _select(_chosen(names), f"({convert_sql.long(_keyed(usage), own=_KEYS)})")
    sums = tuple(map(_sum_of_measures, (*catalogue.CHARGE_AMOUNTS, *_TOKENS)))
    return _fact("fact_measures", said, columns, sql, sums)


def _sum_of_measures(metric: str) -> tuple[str, str, str | None]:
    value = f"case when metric = {literal(metric)} then value end"
    is_money = metric in catalogue.CHARGE_AMOUNTS
    return spelled(metric), value, quote("unit") if is_money else None


def _fact(
    name: str,
    description: str,
    columns: tuple[Column, ...],
    sql: str,
    sums: tuple[tuple[str, str, str | None], ...],
) -> Table:
    """Return a table of what records hold several of, told apart by the first of its columns."""
    last = columns[0].name
    return Table(
        name,
        description,
        (*_key_columns(), *columns),
        sql,
        key=(_USAGE_KEY, last),
        owner=(_USAGE_KEY,),
        order=(calendar.KEY, _USAGE_KEY, last),
        references=_TO_USAGE | _TO_DIMENSIONS,
        sums=sums,
    )


def _resources(usage: Usage) -> Table:
    share = "The record's part that falls to the resource: one over their number."
    fields = {name: quote(catalogue.BY_PATH[path].column) for name, path in _OF_RESOURCE.items()}
    parts = {**_chosen((_USAGE_KEY, _POSITION)), **fields, "share": _SHARE}
    entries = convert_sql.child(_keyed(usage), "resources", own=(_USAGE_KEY, _SHARE))
    return Table(
        "bridge_resources",
        "One row a record and resource that it names; the shares of a record add up to 1.",
        (
            _key_columns()[0],
            _position("resources"),
            *_listed(_OF_RESOURCE),
            Column("share", ARROW["number"], share, required=True),
        ),
        _select(parts, f"({entries})"),
        key=(_USAGE_KEY, _POSITION),
        owner=(_USAGE_KEY,),
        order=(_USAGE_KEY, _POSITION),
        references=_TO_USAGE,
    )


def _keyed(usage: Usage) -> str:
    """Return the SQL of the usage with its keys, and what its lists' entries take from it."""
    identity = [quote(name) if name in usage.identity else "null" for name in catalogue.IDENTITY]
    keys = {
        _USAGE_KEY: dimensions.digest(identity),
        **{dimension.key: dimension.key_sql for dimension in DIMENSIONS},
        calendar.KEY: calendar.key(),
        _RECORD_CURRENCY: policy.code(quote("charges.currency")),
        _SHARE: "1e0 / len(resources)",
    }
    parts = clauses(f"{sql} as {quote(name)}" for name, sql in keys.items())
    return f"(\n  select *,\n    {parts}\n  from {USAGE}\n)"


def _select(parts: dict[str, str], source: str) -> str:
    return (
        f"select {clauses(f'{sql} as {quote(name)}' for name, sql in parts.items())}\nfrom {source}"
    )


def _chosen(names: tuple[str, ...]) -> dict[str, str]:
    return {name: quote(name) for name in names}


def _key_columns() -> tuple[Column, ...]:
    said = "Identifies the record; the same in every export."
    return (
        Column(_USAGE_KEY, TEXT, said, required=True),
        *(_foreign(dimension.key, TEXT, dimension.table) for dimension in DIMENSIONS),
        _foreign(calendar.KEY, pa.int64(), calendar.NAME),
    )


def _foreign(key: str, type_: pa.DataType, table: str) -> Column:
    return Column(key, type_, f"The row of {table} that it belongs to.", required=True)


def _position(list_: str) -> Column:
    return Column(_POSITION, pa.int64(), f"The entry's place in {list_}, from 0.", required=True)


def _listed(paths: Mapping[str, str]) -> Iterator[Column]:
    """Yield the columns of fields of a list's entries, under names of their own."""
    for name, path in paths.items():
        field = catalogue.BY_PATH[path]
        yield Column(name, ARROW[field.dtype], field.description, field.unit or "")
