"""Detect windows longer than the requested periods, whose figures are spread evenly."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils.sql import FRAME, quote
from tidyusage.engines import frames
from tidyusage.engines.columns import columns
from tidyusage.engines.dialects.translate import Table
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import SpreadWarning, warn
from tidyusage.metrics._periods import DATES, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import polars as pl

    from tidyusage.engines.columns import Columns
    from tidyusage.metrics._periods import Periods

_DAY: Final = 86_400_000_000  # microseconds
# Whether a warning was given already, within a function that asks several metrics.
_TOLD: ContextVar[list[bool] | None] = ContextVar("tu__told", default=None)


@contextmanager
def warn_once() -> Iterator[None]:
    """Within it, all metrics together warn once."""
    token = _TOLD.set([])
    try:
        yield
    finally:
        _TOLD.reset(token)


def checked(frame: Any, known: Columns, periods: Periods, needs: Iterable[str]) -> Any:
    """Return a frame; warn if its figures are spread, of a lazy one when it is collected.

    Relations and Spark frames cannot warn, nor can a warehouse's text.
    """
    if isinstance(frame, Table) or frames.backend_of(frame) in {"duckdb", "pyspark"}:
        return frame
    if frames.is_lazy(frame):
        wanted = [*needs, *_columns(known).values()]
        lazy = cast("pl.LazyFrame", frame).select(list(dict.fromkeys(wanted)))

        def look(eager: pl.DataFrame) -> pl.DataFrame:
            _tell(eager, known, periods)
            return eager

        return lazy.map_batches(look)
    if frames.backend_of(frame) == "pyarrow":
        frame = frames.to_arrow(frame)  # a reader can be read only once
    _tell(frame, known, periods)
    return frame


def share(frame: Any, known: Columns, periods: Periods) -> tuple[int, int]:
    """Return how many of a frame's windows are longer than the period, and how many there are."""
    found = _columns(known)
    if DATES[0] not in found:
        return 0, 0
    kinds = {**dict.fromkeys(DATES, "timestamp"), PRODUCT: "varchar"}
    fields = [
        f"cast({quote(found[name]) if name in found else 'null'} as {kind}) as {quote(name)}"
        for name, kind in kinds.items()
    ]
    sql = f"""with windows as (
  select {", ".join(fields)}
  from {FRAME}
)
select count(*) as windows,
  count(case when {periods.is_exceeded()} then 1 end) as longer
from windows
where start_date is not null"""
    types: dict[str, pa.DataType | None] = {"windows": pa.int64(), "longer": pa.int64()}
    needed = Query(sql, tuple(found.values()), types, {})
    row = frames.collected(run_query(frame, needed)).to_pylist()[0]
    return row["longer"], row["windows"]


def is_spread(frame: Any, periods: Periods) -> bool:
    """Tell whether most windows of a frame are longer than the period; it is read at once."""
    longer, windows = share(frame, columns(frame), periods)
    return 2 * longer > windows


def _tell(frame: Any, known: Columns, periods: Periods) -> None:
    told = _TOLD.get()
    if told or _are_short(frame, known, periods):
        return
    longer, windows = share(frame, known, periods)
    if 2 * longer <= windows:
        return
    if told is not None:
        told.append(True)
    warn(
        f"Figures are spread evenly: {longer:,} of {windows:,} windows are longer than the period "
        f"(freq={periods.freq!r}).\n\n"
        "Choose a longer freq=, unless an even spread over each window is what you want.",
        SpreadWarning,
    )


def _are_short(frame: Any, known: Columns, periods: Periods) -> bool:
    """Tell quickly whether no window of an eager frame can be longer than the period.

    Dates that are not dates are left to the metric, which says so.
    """
    from pyarrow import compute as pc

    found = _columns(known)
    if DATES[0] not in found:
        return True
    dates = [frames.column(frame, found[name]) for name in DATES if name in found]
    if any(date is None or not pa.types.is_temporal(date.type) for date in dates):
        return True
    if periods.freq == "1h":  # a day is longer, and a window without an end may be one
        return False
    if len(dates) < len(DATES):
        return True
    start, end = (_microseconds(date) for date in dates)
    length = pc.max(pc.subtract(end, start)).as_py()
    inclusive = _DAY if periods.moved() else 0
    return length is None or length + inclusive <= periods.longest


def _microseconds(column: Any) -> Any:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return column.cast(pa.timestamp("us", tz=zone)).cast(pa.int64())


def _columns(known: Columns) -> dict[str, str]:
    return {name: known.known[name] for name in (*DATES, PRODUCT) if name in known.known}
