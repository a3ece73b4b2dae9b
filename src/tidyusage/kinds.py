"""What kind of values a column holds, so that a wrong one is named before SQL stumbles over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def check(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise if a column holds what does not belong there; one without values may be of any type."""
    for name, kind in wanted.items():
        # What is text may be written as numbers, as ids often are.
        fitting = {kind, ""} | ({"number", "boolean"} if kind == "text" else set())
        if found.get(name, "") not in fitting:
            holds, belong = _WORDS[found[name]], _WORDS[kind]
            raise FrameError(
                f"The column {name!r} holds {holds}, and {belong} belong there.",
                "tu.restore(frame) brings a frame's columns to their dtypes.",
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


def _of_type(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _of_type(type_.value_type)
    return next((kind for test, kind in _TESTS if test(type_)), "other")
