"""The catalogue as types: what DuckDB reads, and the columns of each layout in every library."""

import json
from functools import cache
from typing import Any, Final, cast, get_args

import pyarrow as pa

from tidyusage import catalogue
from tidyusage._utils.sql import literal, quote
from tidyusage.catalogue import FIELDS, LISTS, Dtype, Field, Tree
from tidyusage.typing import Layout

# The key of an API page that holds its records.  It is read of records too: it tells pages apart.
RESULT: Final = "result"
LAYOUTS: Final[tuple[Layout, ...]] = get_args(Layout)

COUNTS: Final[pa.DataType] = pa.list_(
    pa.struct([("tool", pa.string()), ("action", pa.string()), ("count", pa.float64())])
)
ARROW: Final[dict[Dtype, pa.DataType]] = {
    "string": pa.string(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "counts": COUNTS,
    "json": pa.string(),
}
# A number keeps its text until it is checked: read as DOUBLE, DuckDB takes true for 1.0.
# Flags keep their JSON, for the same reason; text is read as the query says that looks at it.
_RAW: Final[dict[Dtype, str]] = {
    "number": "VARCHAR",
    "boolean": "JSON",
    "timestamp": "VARCHAR",
    "counts": "JSON",
    "json": "JSON",
}


def rename(column: str, sep: str) -> str:
    """Spell a dotted column of ours with another separator; a caller's own keeps its name."""
    return column.replace(".", sep) if sep != "." and column in _columns() else column


@cache
def _columns() -> frozenset[str]:
    wide = layout_types("wide", remote_data=True, extra=True, source=True)
    return frozenset(wide).union(*(layout_types(layout) for layout in LAYOUTS if layout != "wide"))


def arrow_tree(tree: Tree) -> pa.DataType:
    """Return the struct type of nested fields."""
    members = []
    for key, child in tree.items():
        if isinstance(child, Field):
            members.append(pa.field(key, ARROW[child.dtype]))
        elif isinstance(child, list):
            members.append(pa.field(key, pa.list_(arrow_tree(child[0]))))
        else:
            members.append(pa.field(key, arrow_tree(child)))
    return pa.struct(members)


def list_type(name: str) -> pa.DataType:
    """Return the type of a list of the record, such as ``charges``."""
    return pa.list_(arrow_tree(catalogue.entry(name)))


def layout_types(
    layout: "Layout",
    *,
    remote_data: bool = False,
    extra: bool = False,
    record: bool = False,
    source: bool = False,
) -> dict[str, pa.DataType]:
    """Return the dotted columns of a layout with their Arrow types, in order."""
    number, text = ARROW["number"], ARROW["string"]
    sources = {field.column: ARROW[field.dtype] for field in catalogue.SOURCE if source}
    position = {"record": pa.int64()} if record else {}
    if layout == "wide":
        return (
            {field.column: ARROW[field.dtype] for field in catalogue.SCALARS}
            | ({"remote_data": text} if remote_data else {})
            | dict.fromkeys(catalogue.CHARGE_COLUMNS, number)
            | {"charges.currency": text}
            | {name: list_type(name) for name in LISTS}
            | {catalogue.TOOL_ACTIONS.column: COUNTS}
            | sources
            | ({"extra": text} if extra else {})
        )
    if layout == "long":
        return (
            position
            | {"id": text}
            | {field.column: text for field in catalogue.DIMENSIONS}
            | {"start_date": ARROW["timestamp"], "end_date": ARROW["timestamp"]}
            | {"metric": text, "value": number, "unit": text}
            | sources
        )
    keys = position | {"id": text, "position": pa.int64()}
    if layout == "tool_actions":
        return keys | {"tool": text, "action": text, "count": number} | sources
    return keys | {field.column: ARROW[field.dtype] for field in LISTS[layout]} | sources


def duckdb_type(type_: pa.DataType) -> str:
    """Write an Arrow type as DuckDB's."""
    if pa.types.is_struct(type_):
        members = (f"{quote(member.name)} {duckdb_type(member.type)}" for member in type_)
        return f"struct({', '.join(members)})"
    if pa.types.is_list(type_):
        return f"{duckdb_type(type_.value_type)}[]"
    return {
        pa.string(): "varchar",
        pa.float64(): "double",
        pa.bool_(): "boolean",
        pa.int64(): "bigint",
        pa.date32(): "date",
        ARROW["timestamp"]: "timestamptz",
    }[type_]


def raw_columns(*, remote_data: bool, text: str, source: bool = False) -> dict[str, str]:
    """Return the record's keys with the types as which DuckDB reads them, before any check."""
    tree = _raw_tree(remote_data, text, source)
    return {key: _raw_type(child) for key, child in tree.items()}


def raw_struct(*, remote_data: bool, text: str, source: bool = False) -> str:
    """Return the raw record as one DuckDB type."""
    return _raw_type(_raw_tree(remote_data, text, source))


def raw_structure(*, remote_data: bool, text: str, source: bool = False) -> str:
    """Return the raw record as DuckDB's ``from_json`` takes it."""
    return json.dumps(_raw_tree(remote_data, text, source))


@cache
def _raw_tree(remote_data: bool, text: str, source: bool) -> dict[str, Any]:
    """Return the record's types, nested as it is; a list is a list of its entry's type."""

    def types(child: Any) -> Any:
        if isinstance(child, Field):
            return _RAW.get(child.dtype, text)
        if isinstance(child, list):
            return [types(child[0])]
        return {key: types(inner) for key, inner in child.items()}

    fields = tuple(field for field in FIELDS if remote_data or field.dtype != "json")
    marks = catalogue.SOURCE if source else ()
    tree = cast("dict[str, Any]", types(catalogue.tree((*fields, *marks))))
    return {**tree, RESULT: "JSON"}


def _raw_type(child: Any) -> str:
    if isinstance(child, list):
        return f"{_raw_type(child[0])}[]"
    if isinstance(child, dict):
        members = (f"{quote(key)} {_raw_type(inner)}" for key, inner in child.items())
        return f"STRUCT({', '.join(members)})"
    return str(child)


def columns_argument(columns: dict[str, str]) -> str:
    """Write the ``columns=`` argument of DuckDB's ``read_json``."""
    return (
        "{" + ", ".join(f"{quote(key)}: {literal(type_)}" for key, type_ in columns.items()) + "}"
    )
