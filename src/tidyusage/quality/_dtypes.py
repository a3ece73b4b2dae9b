"""Whether a column has the catalogue's dtype, in whichever way its library holds it.

Text may be Python's, Arrow's or categories, a number NumPy's, nullable or Arrow's.  What the
values are is not free: a number is a float64, an instant has a zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage.engines import frames
from tidyusage.engines import spark as sparks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.engines.columns import Columns


def fits(found: Any, wanted: Any) -> bool:
    """Tell whether an Arrow type holds what another one does.

    Null may stand for anything, None for nothing.
    """
    if found is None:
        return False
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found):
        return True
    if pa.types.is_string(wanted):
        return any(is_text(found) for is_text in _TEXT)
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(found) and found.tz is not None
    if pa.types.is_list(wanted):
        is_list = any(is_one(found) for is_one in _LISTS)
        return is_list and fits(found.value_type, wanted.value_type)
    if pa.types.is_struct(wanted):
        members = {member.name: member.type for member in wanted}
        return (
            pa.types.is_struct(found)
            and {member.name for member in found} == members.keys()
            and all(fits(member.type, members[member.name]) for member in found)
        )
    return bool(found == wanted)


_TEXT: Final = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_LISTS: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def arrow_types(frame: Any, columns: Iterable[str]) -> dict[str, pa.DataType | None]:
    """Return columns' types as Arrow's, None for what Arrow has no type for."""
    backend = frames.backend_of(frame)
    if backend == "pandas":
        return {name: of_series(frame[name]) for name in columns}
    if backend == "polars":
        dtypes = frame.collect_schema()
        return {name: of_polars(dtypes[name]) for name in columns}
    if backend == "pyspark":
        held = sparks.schema(frame)
        return {name: held.field(name).type for name in columns}
    empty = frame.limit(0).to_arrow_table() if backend == "duckdb" else frame
    return {name: empty.schema.field(name).type for name in columns}


def of_series(series: Any) -> pa.DataType | None:
    """Return the type of a pandas column; of one of objects, what its values are."""
    values = series if series.dtype == object else series.iloc[:0]
    try:
        return cast("pa.DataType", pa.Array.from_pandas(values).type)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        return None


def of_polars(dtype: Any) -> pa.DataType | None:
    """Return the type of a Polars dtype."""
    import polars as pl

    try:
        return cast("pa.DataType", pl.Series([], dtype=dtype).to_arrow().type)
    except pl.exceptions.PolarsError:
        return None


def unfit(frame: Any, found: Columns, wanted: dict[str, pa.DataType]) -> dict[str, str]:
    """Return the columns that have another dtype than the catalogue's, with that one."""
    types = arrow_types(frame, found.known.values())
    wrong = [path for path, own in found.known.items() if not fits(types[own], wanted[path])]
    return {path: _spelled(frame, found.known[path]) for path in wrong}


def _spelled(frame: Any, column: str) -> str:
    backend = frames.backend_of(frame)
    if backend == "pandas":
        return str(frame[column].dtype)
    if backend == "polars":
        return str(frame.collect_schema()[column])
    if backend == "duckdb":
        return str(frame.types[frame.columns.index(column)])
    if backend == "pyspark":
        return sparks.types(frame)[column]
    return str(frame.schema.field(column).type)
