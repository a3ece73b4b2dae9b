"""Quick check for products with rows of several grains, reports or window lengths.

What has none of these cannot overlap, and most frames do not: the look takes a fraction of a sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl
import pyarrow as pa

from tidyusage.engines import frames

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns

_PRODUCT: Final = "product.id"
_REPORT: Final = "source.report_type"
_USER: Final = ("user.id", "user.email", "user.name")
_SPELLED: Final = ("user.id", "user.email")  # which blanks around make no difference to
_SCALARS: Final = (*_USER, "model.id", "surface")
_LIST: Final = "resources"
_DATES: Final = ("start_date", "end_date")
_QUARTER: Final = 900_000_000  # of an hour, in microseconds
_DAY: Final = 86_400_000_000


def products(frame: Any, found: Columns) -> list[str | None]:
    """Return the products of an eager frame whose rows are not all alike."""
    seen, of = _seen(frame, found)
    bits = [pl.any_horizontal(of[name] for name in _USER), *(of[n] for n in (*_SCALARS[3:], _LIST))]
    # One byte each: of eight, the multiplications alone take twice as long.
    weighed = (bit.cast(pl.UInt8) * pl.lit(1 << n, pl.UInt8) for n, bit in enumerate(bits))
    grain = pl.sum_horizontal(weighed).cast(pl.Int64)
    length = _length(seen, of)
    # Eager steps: the streaming engine takes three times as long for so few columns.
    product = of[_PRODUCT].alias(_PRODUCT)
    codes = seen.select(product, (length * 2 ** len(bits) + grain).alias("code"))
    least, most = pl.col("code").min(), pl.col("code").max().alias("most")
    groups = codes.group_by(_PRODUCT).agg(least, most).filter(pl.col("code") != pl.col("most"))
    suspects = groups[_PRODUCT].to_list()
    reported = _of_several_reports(seen, of) if _REPORT in of else set()
    if not suspects and not reported:
        return []
    dates = (of[name].alias(name) for name in _DATES)
    rows = seen.select(product, grain.alias("grain"), *dates).filter(_is_one_of(suspects))
    grains = rows.group_by(_PRODUCT).agg(pl.col("grain").n_unique())
    several = set(grains.filter(pl.col("grain") > 1)[_PRODUCT].to_list())
    alone = [name for name in suspects if name not in reported]
    return [*reported, *(name for name in alone if name in several or _nests(rows, name))]


def is_of_one_length(frame: Any, found: Columns) -> bool:
    """Tell whether all windows of an eager frame are of one length."""
    seen, of = _seen(frame, found)
    return bool(seen.select(_length(seen, of).n_unique() <= 1).item())


def _seen(frame: Any, found: Columns) -> tuple[pl.DataFrame, dict[str, pl.Expr]]:
    """Return a frame in Polars, and what of it is looked at."""
    if frames.backend_of(frame) == "polars":
        return cast("pl.DataFrame", frame), _of_polars(frame, found)
    seen = _of_others(frame, found)
    return seen, {name: pl.col(name) for name in seen.columns}


def _length(seen: pl.DataFrame, of: dict[str, pl.Expr]) -> pl.Expr:
    """Return the length of a row's window, in microseconds; -1 where it is not known."""
    start, end = of["start_date"], of["end_date"]
    # Most frames have an end after every start, and comparing is cheaper than dividing by a day.
    if seen.select((end > start).all(ignore_nulls=False)).item() is not True:
        end = window_end(start, end)
    return (end - start).fill_null(-1)


def _is_one_of(names: list[str | None]) -> pl.Expr:
    return pl.col(_PRODUCT).is_in(names, nulls_equal=True)


def _nests(rows: pl.DataFrame, product: str | None) -> bool:
    """Tell whether a window of a product, on quarters of an hour, has a shorter one in it."""
    those = rows.filter(_is_one_of([product]), pl.col("start_date").is_not_null())
    end = window_end(pl.col("start_date"), pl.col("end_date"))
    windows = those.select("start_date", end.alias("end_date")).unique()
    ordered = windows.sort("start_date", "end_date", descending=[False, True])
    is_calendar = (pl.col("start_date") % _QUARTER == 0) & (pl.col("end_date") % _QUARTER == 0)
    reach = pl.when(is_calendar).then("end_date").cum_max().forward_fill().shift()
    return bool(ordered.select((reach >= pl.col("end_date")).any()).item())


def window_end(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Return what `time.window_end_sql` does, of microseconds; a test compares the two."""
    is_midnight = start % _DAY == 0
    length = pl.when(is_midnight).then(_DAY).otherwise(1)
    return pl.when(end > start).then(end).otherwise(start + length)


def _of_several_reports(seen: pl.DataFrame, of: dict[str, pl.Expr]) -> set[str | None]:
    """Return the products whose records were fetched of several reports."""
    named = seen.select(of[name].alias(name) for name in (_PRODUCT, _REPORT))
    reports = named.group_by(_PRODUCT).agg(pl.col(_REPORT).n_unique())
    return set(reports.filter(pl.col(_REPORT) > 1)[_PRODUCT].to_list())


def _of_polars(frame: pl.DataFrame, found: Columns) -> dict[str, pl.Expr]:
    """Return the product, what a row names, and its window in microseconds."""
    schema, known = frame.schema, found.known
    is_there = {
        path: _is_there(path, known[path], schema) if path in known else pl.lit(value=False)
        for path in (*_SCALARS, _LIST)
    }
    if isinstance(schema.get(known.get(_LIST, "")), pl.List):
        is_there[_LIST] = (pl.col(known[_LIST]).list.len() > 0).fill_null(value=False)
    instants = {
        path: pl.col(known[path]).cast(pl.Datetime("us")).cast(pl.Int64)
        if path in known and schema[known[path]].is_temporal()
        else pl.lit(None, pl.Int64)
        for path in _DATES
    }
    product = pl.col(known[_PRODUCT]).cast(pl.String) if _PRODUCT in known else pl.lit(None)
    report = {_REPORT: pl.col(known[_REPORT]).cast(pl.String)} if _REPORT in known else {}
    return {_PRODUCT: product, **is_there, **instants, **report}


def _is_there(path: str, column: str, schema: pl.Schema) -> pl.Expr:
    """Return whether a column has a value; a user whose text is empty is none."""
    if path in _SPELLED and schema[column] == pl.String():
        return (pl.col(column).str.len_bytes() > 0).fill_null(value=False)
    return pl.col(column).is_not_null()


def _of_others(frame: Any, found: Columns) -> pl.DataFrame:
    from pyarrow import compute as pc

    rows = frames.height(frame)
    nothing = pa.repeat(pa.scalar(value=False), rows)
    columns: dict[str, Any] = {}
    reports = (_REPORT,) if _REPORT in found.known else ()
    for path in (_PRODUCT, *reports, *_SCALARS, _LIST, *_DATES):
        column = frames.column(frame, found.known[path]) if path in found.known else None
        if path in _DATES:
            is_instant = column is not None and pa.types.is_temporal(column.type)
            empty = pa.nulls(rows, pa.int64())
            columns[path] = _microseconds(column) if is_instant else empty
        elif path in {_PRODUCT, _REPORT}:
            columns[path] = pa.nulls(rows, pa.string()) if column is None else _text(column)
        elif column is None:
            columns[path] = nothing
        elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            entries = pc.fill_null(pc.list_value_length(column), pa.scalar(0))
            columns[path] = pc.greater(entries, pa.scalar(0))
        elif path in _SPELLED and (
            pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        ):
            length = pc.fill_null(pc.binary_length(column), pa.scalar(0))
            columns[path] = pc.greater(length, pa.scalar(0))
        else:
            columns[path] = pc.is_valid(column)
    return cast("pl.DataFrame", pl.from_arrow(pa.table(columns)))


def _microseconds(column: Any) -> Any:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return column.cast(pa.timestamp("us", tz=zone)).cast(pa.int64())


def _text(column: Any) -> Any:
    type_ = column.type
    if pa.types.is_dictionary(type_):
        return column.cast(type_.value_type)
    return column if pa.types.is_large_string(type_) else column.cast(pa.string())
