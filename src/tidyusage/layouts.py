"""From frame to frame: the layouts without the raw records, and frames that come back from CSV."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal, cast

import pyarrow as pa

from tidyusage import catalogue, engines, flatten, reshape, schema
from tidyusage.columns import Columns, columns, rebuilt_charges, typed, types
from tidyusage.errors import FrameError, UnknownFieldError, known_options, one_of
from tidyusage.sql import literal, quote

if TYPE_CHECKING:
    from tidyusage.typing import Backend, FrameT, Layout, Separator

    Repeated = Literal["raise", "keep"]


@known_options
def to_long(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record and measure: `metric`, `value`, `unit`."""
    found = columns(frame)
    if found.layout == "long":
        return frame
    _require(found, "wide")
    record = _marks(duplicates)
    wanted = [*reshape.LONG_KEYS, *_wide_measures(), "usage.unit", *_nested(found)]
    query = lambda source: reshape.long(
        _wide(source, found, wanted, record), record=record, own=found.own
    )
    return _run(frame, found, query, _with_own(schema.layout_types("long", record=record), found))


@known_options
def to_wide(frame: FrameT) -> FrameT:
    """Return one row a record from long: what long does not hold is null."""
    found = columns(frame)
    if found.layout == "wide":
        return frame
    _require(found, "long")
    query = lambda source: _wide_of_long(source, found)
    return _run(frame, found, query, _with_own(schema.layout_types("wide"), found))


@known_options
def charges(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a charge."""
    return _child(frame, "charges", duplicates)


@known_options
def resources(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record and resource."""
    return _child(frame, "resources", duplicates)


@known_options
def tool_actions(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record, tool and action."""
    return _child(frame, "tool_actions", duplicates)


def _child(frame: FrameT, layout: Layout, duplicates: Repeated) -> FrameT:
    found = columns(frame)
    if found.layout == layout:
        return frame
    record = _marks(duplicates)
    types_ = schema.layout_types(layout, record=record)
    if found.layout == "long":
        if layout == "resources":
            raise UnknownFieldError(
                "A long frame holds no resources.", "Call resources() on the wide frame."
            )
        query = lambda source: reshape.child(
            f"({_wide_of_long(source, found)})", layout, record=record
        )
        return _run(frame, found, query, types_)
    _require(found, "wide")
    entries = reshape.CHILDREN[layout]
    if entries not in found.known and not (layout == "charges" and _has_amounts(found)):
        raise UnknownFieldError(
            f"The frame has no column {schema.rename(entries, found.sep)!r}.",
            "It holds the entries; flatten_usage() and read_usage() make it in the wide layout.",
        )
    wanted = ["id", *catalogue.CHARGE_COLUMNS, entries]
    query = lambda source: reshape.child(
        _wide(source, found, wanted, record), layout, record=record
    )
    return _run(frame, found, query, types_)


def _run(frame: FrameT, found: Columns, query: engines.Query, types_: engines.Types) -> FrameT:
    try:
        return engines.run(frame, query, types_, found.sep)
    except engines.refusals() as error:
        fact, _, hint = engines.message(error).partition(" — ")
        raise FrameError(
            f"The frame cannot be reshaped: {fact}",
            hint or "restore() brings a frame from CSV, Excel or a database to the dtypes needed.",
        ) from error


def _marks(duplicates: str) -> bool:
    one_of("duplicates", duplicates, ("raise", "keep"))
    return duplicates == "keep"


def _require(found: Columns, layout: str) -> None:
    if found.layout != layout:
        raise FrameError(
            f"This is a frame of {found.layout}; a {layout} one is needed.",
            f"Make one with flatten_usage(…, layout={layout!r}).",
        )


def _wide_measures() -> list[str]:
    return [*(field.column for field in catalogue.MEASURES), *catalogue.CHARGE_COLUMNS]


def _nested(found: Columns) -> list[str]:
    return ["charges", catalogue.TOOL_ACTIONS.column]


def _has_amounts(found: Columns) -> bool:
    return any(f"charges.{type_}" in found.known for type_ in catalogue.CHARGE_TYPES)


def _wide(source: str, found: Columns, wanted: Collection[str], record: bool) -> str:
    """Return the SQL of the wide columns that a query needs, and the guard over repeated ids."""
    rows = typed(source, found, dict.fromkeys(wanted), found.own)
    if "charges" in wanted and "charges" not in found.known:
        rows = f"(select * replace ({rebuilt_charges()} as charges) from {rows})"
    if record:
        return f"(select *, row_number() over () - 1 as record from {rows})"
    message = literal(
        "tidyusage: an id stands on several rows — Give duplicates='keep' to tell them apart by "
        "a column record, or keep the newest of each."
    )
    repeated = f"(select count(*) > count(distinct {quote(found.known['id'])}) from {source})"
    return f"(select * from {rows} where case when {repeated} then error({message}) else true end)"


def _wide_of_long(source: str, found: Columns) -> str:
    own = [name for name in found.own if name != "record"]
    wanted = [*reshape.LONG_KEYS, "metric", "value", "unit"]
    record = "record" in found.known
    rows = typed(source, found, [*(["record"] if record else []), *wanted], own)
    return reshape.wide(rows, record=record, own=own)


def _with_own(types_: engines.Types, found: Columns) -> engines.Types:
    """Add the caller's own columns, in whatever type they have."""
    return types_ | dict.fromkeys(name for name in found.own if name != "record")


@known_options
def restore(frame: FrameT, *, sep: Separator = ".") -> FrameT:
    """Bring a frame that came back from CSV, Excel or a database to the catalogue's dtypes."""
    found = columns(frame)
    wanted = _with_own({name: types()[name] for name in found.known}, found)
    nested = {found.known[name]: type_ for name, type_ in wanted.items() if _is_nested(type_)}

    def query(source: str) -> str:
        return _restored(source, found)

    try:
        return engines.run(frame, query, wanted, sep, before=lambda t: _with_parsed(t, nested))
    except engines.refusals() as error:
        raise FrameError(engines.message(error), "Mend or drop the value.") from error


def _is_nested(type_: pa.DataType | None) -> bool:
    return type_ is not None and pa.types.is_nested(type_)


def _with_parsed(table: pa.Table, nested: dict[str, pa.DataType]) -> pa.Table:
    """Return a table whose nested columns are no longer text."""
    for name, type_ in nested.items():
        place = table.column_names.index(name)
        if not _is_nested(table.schema.types[place]):
            values = [_parsed(text) for text in table[name].cast(pa.string()).to_pylist()]
            table = table.set_column(place, name, pa.array(values, type_))
    return table


def _parsed(text: str | None) -> Any:
    """Return a nested value from its text: JSON, or the way Python prints it."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        try:  # pandas writes an array of entries without commas between them
            return ast.literal_eval(re.sub(r"\}\s+\{", "}, {", text))
        except (ValueError, SyntaxError):
            raise FrameError(
                f"This is no list of entries: {text[:80]!r}.",
                "Nested columns come back as JSON or as Python prints them; drop others first.",
            ) from None


def _restored(source: str, found: Columns) -> str:
    parts = [
        f"{_cast(name, quote(actual))} as {quote(name)}" for name, actual in found.known.items()
    ]
    return f"select {', '.join([*parts, *map(quote, found.own)])} from {source}"


def _cast(name: str, x: str) -> str:
    type_ = types()[name]
    text = f"nullif(cast({x} as varchar), '')"
    if pa.types.is_nested(type_):
        return f"cast({x} as {schema.duckdb_type(type_)})"
    if type_ == pa.string():
        return text
    if type_ == pa.bool_():
        value = f"case when lower({text}) in ('true', 't', '1', '1.0') then true when lower({text}) in ('false', 'f', '0', '0.0') then false end"
    elif type_ == schema.ARROW["timestamp"]:
        value = flatten.timestamp(text)  # naive ones, as Excel and databases give them, are UTC
    else:
        value = f"try_cast({text} as {schema.duckdb_type(type_)})"
    message = f"'tidyusage: the column {name} holds ' || {text} || ', which is no {_KINDS[type_]}'"
    return (
        f"case when {text} is not null and ({value}) is null then error({message}) else {value} end"
    )


_KINDS = {
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.bool_(): "boolean",
    schema.ARROW["timestamp"]: "date",
}
