"""Export a frame that already is the wide table, without a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage.engines import frames
from tidyusage.export.table import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from tidyusage.engines.columns import Columns
    from tidyusage.export.table import Table

_IS_TEXT: Final[tuple[Callable[[Any], bool], ...]] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def held(
    frame: Any, table: pa.Table, found: Columns, types: Mapping[str, pa.DataType]
) -> pl.DataFrame | pa.Table | None:
    """Return rows as the wide table that is exported, or None if a query must make it so.

    The ``table`` is the ``frame`` in Arrow; a Polars frame that has every column stays itself.
    """
    if found.layout != "wide" or "charges" not in found.known:
        return None
    given = {**found.known, **{name: name for name in found.own}}
    columns: dict[str, Any] = {
        spelled(name): table[given[name]]
        if name in given
        else pa.nulls(table.num_rows, cast("Any", type_))
        for name, type_ in types.items()
    }
    fit = all(_is(columns[spelled(name)], type_) for name, type_ in types.items())
    if not fit:
        return None
    if frames.backend_of(frame) != "polars" or frames.is_lazy(frame) or len(given) < len(types):
        return pa.table(columns)
    eager = cast("pl.DataFrame", frame)
    return eager.select(eager[given[name]].alias(spelled(name)) for name in types)


def in_polars(table: Table) -> pl.DataFrame:
    """Return the rows that a table holds in memory."""
    import polars as pl

    rows = table.held
    return (
        rows
        if isinstance(rows, pl.DataFrame)
        else cast("pl.DataFrame", pl.from_arrow(cast("pa.Table", rows)))
    )


def _is(column: Any, type_: pa.DataType) -> bool:
    """Tell whether a column is of a type but for how long its texts and lists may be."""
    from pyarrow import compute as pc

    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        return False
    return _alike(column.type, type_)


def _alike(found: pa.DataType, type_: pa.DataType) -> bool:
    if pa.types.is_list(type_):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and _alike(cast("Any", found).value_type, cast("Any", type_).value_type)
    if pa.types.is_struct(type_):
        inner = [(member.name, member.type) for member in type_]
        return (
            pa.types.is_struct(found)
            and len(inner) == len(list(found))
            and all(
                ours.name == name and _alike(ours.type, of)
                for ours, (name, of) in zip(found, inner, strict=True)
            )
        )
    if pa.types.is_string(type_):
        return any(test(found) for test in _IS_TEXT)
    return bool(found == type_)
