"""The first step of every metric's query: a frame's columns under dotted names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import FRAME, clauses, literal, quote, trimmed, values
from tidyusage.engines.dialects import lists as lists_
from tidyusage.engines.dialects.lists import DERIVED, MOST, Lists
from tidyusage.layouts.convert_sql import COUNTS, count_entry
from tidyusage.metrics import _person
from tidyusage.metrics._periods import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.engines.columns import Columns

RECORD: Final = "tu__record"
# What the rows of one record have in common, in long.
_KEYS: Final = ("record", *catalogue.IDENTITY)
TOOL: Final = "tu__tool_actions"
CHARGES: Final = "charges"
DTYPES: Final = {field.column: field.dtype for field in (*catalogue.SCALARS, *catalogue.SOURCE)} | {
    **dict.fromkeys(catalogue.CHARGE_AMOUNTS, "number"),
    "charges.currency": "string",
    COUNTS: "counts",
    CHARGES: "charges",
    "resources": "entries",
    **dict.fromkeys(DERIVED, "number"),
    "tu__cut": "boolean",
}
_TYPES: Final = {
    "number": "double",
    "boolean": "boolean",
    "string": "varchar",
    "timestamp": "timestamp",
    "counts": schema.duckdb_type(schema.COUNTS),
    "charges": schema.duckdb_type(schema.list_type("charges")),
    "entries": schema.duckdb_type(schema.list_type("resources")),
}
_KINDS: Final = {
    "number": "number",
    "boolean": "boolean",
    "string": "text",
    "timestamp": "time",
    "counts": "list",
    "charges": "list",
    "entries": "list",
}
# Columns of the caller's own that metrics know by name.
CUT: Final = "tu__cut"
OWN: Final = {_person.OWN: _person.COLUMN, CUT: "window_cut"}
_EMAIL: Final = "user.email"
# Fields that long holds as the unit of certain metrics.
_UNITS: Final = {"charges.currency": "charges.%", "usage.unit": "usage.quantity"}


@dataclass(frozen=True, slots=True)
class Folded:
    """A dimension by its ``name``, as text, of which all values but the ``kept`` are the ``rest``.

    Groups that are folded are measured as one: distinct users are counted anew, ratios are those
    of the sums.  None keeps all.
    """

    name: str
    kept: tuple[str, ...] | None = None
    rest: str = ""

    def sql(self, value: str) -> str:
        """Return the SQL of a value of the dimension, folded."""
        text = f"cast({value} as varchar)"
        if self.kept is None:
            return text
        # `in` would be a join, and lose the order of the rows
        is_kept = " or ".join(f"{text} = {literal(one)}" for one in self.kept) or "false"
        rest = f"when {value} is not null then {literal(self.rest)}"
        return f"case when {is_kept} then {text} {rest} end"


@dataclass(frozen=True, slots=True)
class Dimension:
    """What an answer is grouped by: ``name`` in the answer, ``column`` in the frame, if there.

    One that stands in a list of the record has that list as its ``child``.  A column of the
    caller's own has a ``key`` within the query, so that it meets no step's column; so has one that
    is ``folded``, whose field may be read beside it.
    """

    name: str
    column: str | None
    path: str = ""
    child: str = ""
    alias: str = ""
    folded: Folded | None = None

    @property
    def key(self) -> str:
        """Its name within the query."""
        return self.alias or self.name

    @property
    def is_person(self) -> bool:
        """Whether it is the person behind a record's user."""
        return self.path == _person.COLUMN

    @property
    def typed_as(self) -> str | None:
        """The frame's column whose type its values have; None for text."""
        is_text = self.child or self.folded or self.is_person or self.path == _EMAIL
        return None if is_text else self.column


def select(
    columns: Columns,
    by: Iterable[Dimension],
    fields: Iterable[str],
    *,
    split: bool,
    lists: Lists = lists_.DUCKDB,
) -> str:
    """Return the query of a frame's dimensions and fields, one row a record.

    If ``split``, with a number and a weight; a record that stands under several entries of a list
    has a row for each, of equal weights.
    """
    by = tuple(by)
    is_long = columns.layout == "long"
    tool = lists.tool(TOOL) if any(d.child == "tool_actions" for d in by) else ""
    parts = {
        field: _derived(columns, field, lists, tool)
        if field in DERIVED
        else _from_long(columns, field)
        if is_long
        else _from_wide(columns, field)
        for field in fields
    }
    parts |= {d.key: _dimension(d, lists, is_long=is_long) for d in by if not d.is_person}
    children = tuple(dict.fromkeys(dimension.child for dimension in by if dimension.child))
    if split:
        shares = [
            f"greatest(coalesce({lists.length(_entries(columns, child, lists))}, 0), 1)"
            for child in children
        ]
        parts[WEIGHT] = f"1e0 / ({' * '.join(shares)})" if shares else "1e0"
        parts[RECORD] = RECORD if children else "row_number() over ()"
    listed = [f"{sql} as {quote(name)}" for name, sql in parts.items()] or ["1 as tu__row"]
    source = _unnested(columns, children, lists) if children else FRAME
    keys = [columns.known[name] for name in _KEYS if name in columns.known]
    grouped = f"\n  group by {', '.join(map(quote, keys))}" if is_long else ""
    return f"select\n    {clauses(listed)}\n  from {source}{grouped}"


def needs(columns: Columns, by: Iterable[Dimension], fields: Iterable[str]) -> tuple[str, ...]:
    """Return the frame's columns that are read."""
    known = columns.known
    wanted = [dimension.column for dimension in by if dimension.column]
    fields = tuple(fields)
    wanted += [OWN[field] for field in fields if field in OWN]
    wanted += [known[field] for field in _held(fields) if field in known]
    if columns.layout == "long":
        wanted += [known[n] for n in (*_KEYS, "metric", "value", "unit") if n in known]
    return tuple(dict.fromkeys(wanted or [known["id"]]))


def kinds(columns: Columns, fields: Iterable[str]) -> dict[str, str]:
    """Return what the frame's columns must hold, by the columns' own names."""
    known = columns.known
    if columns.layout == "long":
        fields = (*(field for field in fields if DTYPES.get(field) == "timestamp"), "value")
    held = set(_held(fields))
    own = {OWN[CUT]: "boolean"} if CUT in held else {}
    return own | {
        known[field]: _KINDS[DTYPES.get(field, "number")] for field in held if field in known
    }


def _held(fields: Iterable[str]) -> tuple[str, ...]:
    """Return the fields from which others are derived, in place of these."""
    return tuple(COUNTS if field in DERIVED else field for field in fields)


def cast(columns: Columns, field: str) -> str:
    """Return the SQL of a field of a wide frame whose columns have their dotted names already."""
    if field not in columns.known:
        return null(field)
    return (
        quote(field) if DTYPES[field] == "timestamp" else f"cast({quote(field)} as {_type(field)})"
    )


def null(field: str) -> str:
    """Return the SQL of a field that is not there."""
    return f"cast(null as {_type(field)})"


def _type(field: str) -> str:
    return _TYPES[DTYPES.get(field, "string")]


def _dimension(dimension: Dimension, lists: Lists, *, is_long: bool) -> str:
    value = _value(dimension, lists, is_long=is_long)
    return dimension.folded.sql(value) if dimension.folded else value


def _value(dimension: Dimension, lists: Lists, *, is_long: bool) -> str:
    if dimension.column is None:
        return null(dimension.path)
    if dimension.child == "tool_actions":
        return lists.tool(TOOL)
    if dimension.child:
        return lists.member(f"tu__{dimension.child}", *dimension.path.split(".")[1:])
    value = f"max({quote(dimension.column)})" if is_long else quote(dimension.column)
    return spelled(value) if dimension.path == _EMAIL else value


def spelled(email: str) -> str:
    """Return the SQL of an e-mail address as it is compared: trimmed, in lower case, else null."""
    return f"nullif(lower({trimmed(f'cast({email} as varchar)')}), '')"


def _from_wide(columns: Columns, field: str) -> str:
    if field in OWN:
        return f"cast({quote(OWN[field])} as {_type(field)})"
    if field not in columns.known:
        return null(field)
    column, dtype = quote(columns.known[field]), DTYPES[field]
    return (
        column
        if dtype in {"timestamp", "counts", "charges", "entries"}
        else f"cast({column} as {_TYPES[dtype]})"
    )


def _from_long(columns: Columns, field: str) -> str:
    if field in OWN:
        return f"max(cast({quote(OWN[field])} as {_type(field)}))"
    known, dtype = columns.known, DTYPES[field]
    metric = quote(known["metric"])
    if field == COUNTS:
        return _counts_of_long(columns)
    if field == CHARGES:
        return _other_charges_of_long(columns)
    if field in _UNITS and "unit" in known:
        return f"max({quote(known['unit'])}) filter (where {metric} like '{_UNITS[field]}')"
    if dtype in {"number", "boolean"}:
        value = f"sum(cast({quote(known['value'])} as double))"
        total = f"{value} filter (where {metric} = {literal(field)})"
        return f"({total} <> 0)" if dtype == "boolean" else total
    return f"max({quote(known[field])})" if field in known else null(field)


def _counts_of_long(columns: Columns) -> str:
    metric, value = quote(columns.known["metric"]), quote(columns.known["value"])
    entry = count_entry(metric, f"cast({value} as double)")
    return f"list({entry}) filter (where {metric} like {literal(COUNTS + '.%')})"


def _other_charges_of_long(columns: Columns) -> str:
    """Return the SQL of a record's charges of types that are not the schema's."""
    known = columns.known
    metric, value = quote(known["metric"]), quote(known["value"])
    unit = quote(known["unit"]) if "unit" in known else "cast(null as varchar)"
    type_ = f"nullif(substr({metric}, {len(CHARGES) + 2}), '')"
    entry = f"{{type: {type_}, amount: cast({value} as double), currency: {unit}}}"
    is_charge = f"{metric} = {literal(CHARGES)} or {metric} like {literal(f'{CHARGES}.%')}"
    is_known = f"{metric} in ({values(catalogue.CHARGE_AMOUNTS)})"
    return f"list({entry}) filter (where ({is_charge}) and not {is_known})"


def _derived(columns: Columns, field: str, lists: Lists, tool: str) -> str:
    """Return the SQL of what is made of a record's tool actions alone."""
    if columns.layout == "wide":
        known = COUNTS in columns.known
        return lists.derived(field, quote(columns.known[COUNTS]), tool) if known else null(field)
    if field == MOST:
        metric, value = quote(columns.known["metric"]), quote(columns.known["value"])
        return f"max(cast({value} as double)) filter (where {metric} like '{COUNTS}.%')"
    return lists.derived(field, _counts_of_long(columns))


def _unnested(columns: Columns, children: Iterable[str], lists: Lists) -> str:
    """Return the SQL of a frame with a row for each entry of its lists, one if it has none."""
    rows = f"(select *, row_number() over () as {RECORD} from {FRAME}) as tu__rows"
    for child in children:  # one by one: two in one list of columns would go side by side
        rows = lists.unnested(rows, _entries(columns, child, lists), f"tu__{child}")
    return rows


def _entries(columns: Columns, child: str, lists: Lists) -> str:
    if child == "tool_actions":
        return lists.tools(quote(columns.known[COUNTS]))
    return quote(columns.known[child])
