"""Check the type of a column's values before SQL fails on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WORDS: Final = {
    "number": "numbers",
    "text": "text",
    "boolean": "booleans",
    "time": "dates",
    "list": "lists",
    "other": "values of another kind",
}
_TESTS: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (pa.types.is_null, ""),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "number"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_timestamp, "time"),
    (pa.types.is_date, "time"),
    (pa.types.is_nested, "list"),
)

_UNFIT: Final[tuple[Callable[[Any], bool], ...]] = (
    pa.types.is_duration,
    pa.types.is_float16,
    pa.types.is_decimal256,
    pa.types.is_run_end_encoded,
)


def check(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise if a column holds what does not belong there; one without values may be of any type."""
    for name, kind in wanted.items():
        if not fits(kind, found.get(name, "")):
            holds, belong = _WORDS[found[name]], _WORDS[kind]
            raise FrameError(
                f"The column {name!r} holds {holds}, and {belong} belong there.",
                "tu.restore(frame) brings a frame's columns to their dtypes.",
            )


def fits(wanted: str, found: str) -> bool:
    """Tell whether a column of one kind can be read as another."""
    # What is text may be written as numbers, as ids often are.
    return found in {wanted, ""} or (wanted == "text" and found in {"number", "boolean"})


def check_dimensions(schema: pa.Schema, dimensions: Iterable[str]) -> None:
    """Raise if a frame cannot be grouped by a column on every engine."""
    for name in dimensions:
        type_ = schema.field(name).type
        type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
        if isinstance(type_, pa.BaseExtensionType) or any(test(type_) for test in _UNFIT):
            raise unfit(name, str(type_))
        if pa.types.is_timestamp(type_) and type_.unit == "ns":
            raise unfit(name, str(type_), "microseconds")


def unfit(name: str, dtype: str, to: str = "text") -> FrameError:
    """Return the error of a column by which no frame can be grouped."""
    return FrameError(
        f"The column {name!r} holds {dtype}, by which nothing can be grouped.",
        f"Bring it to {to} first.",
    )


def of_arrow(schema: pa.Schema) -> dict[str, str]:
    """Return the kinds of an Arrow table's columns."""
    return {field.name: _of_type(field.type) for field in schema}


def of_duckdb(type_: str) -> str:
    """Return the kind of a relation's column, of its type as DuckDB writes it."""
    if type_.endswith("]") or type_.startswith(("STRUCT", "MAP")):
        return "list"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return "time"
    if type_ in {"DOUBLE", "FLOAT"} or "INT" in type_ or type_.startswith("DECIMAL"):
        return "number"
    names = {"VARCHAR": "text", "BOOLEAN": "boolean", '"NULL"': "", "NULL": ""}
    return "text" if type_.startswith("ENUM") else names.get(type_, "other")


def of_spark(type_: str) -> str:
    """Return the kind of a Spark frame's column, of its type as Spark writes it."""
    if type_.startswith(("array", "struct", "map")):
        return "list"
    if type_.startswith(("timestamp", "date")):
        return "time"
    if type_.endswith("int") or type_.startswith(("double", "float", "decimal")):
        return "number"
    return {"string": "text", "boolean": "boolean", "void": ""}.get(type_, "other")


def _of_type(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _of_type(type_.value_type)
    return next((kind for test, kind in _TESTS if test(type_)), "other")
