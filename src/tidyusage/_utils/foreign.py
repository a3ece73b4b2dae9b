"""Unwrap frames of other libraries: pandas subclasses, narwhals frames and Arrow streams."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any, Final

# Libraries whose objects are taken as they are, though most of them can stream Arrow.
_TAKEN: Final = {"pandas", "polars", "pyarrow", "duckdb", "_duckdb", "pyspark", "numpy"}


def unwrapped(value: Any) -> Any:
    """Return a frame as that of a library whose frames the engines know; anything else as it is.

    A subclass of a pandas or Polars frame becomes a plain one without a copy, a narwhals frame the
    one that it wraps, and an object that streams Arrow a table.
    """
    type_: Any = type(value)  # hashable, which mypy does not see
    kind = _kind(type_)
    if not kind:
        return value
    if kind in {"pandas", "polars"}:
        return sys.modules[kind].DataFrame(value)
    if kind == "narwhals":
        return value.to_native()
    import pyarrow as pa

    try:
        return pa.table(value)
    except (pa.ArrowException, TypeError):  # one column, not several
        return value


def wrapped(value: Any, like: Any) -> Any:
    """Return an answer as a narwhals frame if the frame that it was made from was one."""
    type_: Any = type(like)
    if _kind(type_) != "narwhals":
        return value
    # Frames of `narwhals.stable.v1` go back to where they came from.
    module = type_.__module__.split(".")
    depth = 3 if module[1:2] == ["stable"] else 1
    narwhals = import_module(".".join(module[:depth]))
    return narwhals.from_native(value, pass_through=True)


@cache
def _kind(type_: type) -> str:
    """Return how objects of a type are unwrapped; empty for those that are taken as they are."""
    root = type_.__module__.partition(".")[0]
    if root == "narwhals":
        return "narwhals" if type_.__name__ in {"DataFrame", "LazyFrame"} else ""
    for library in ("pandas", "polars"):
        plain = getattr(sys.modules.get(library), "DataFrame", None)
        if plain is not None and issubclass(type_, plain):
            return library if type_ is not plain else ""
    if root in _TAKEN:
        return ""
    streams = hasattr(type_, "__arrow_c_stream__") or hasattr(type_, "__arrow_c_array__")
    return "arrow" if streams else ""
