"""Which days to ask for: all of them at first, then what is new and what may have been restated."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from tidyusage.api.query import Query, day
from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidyusage.manifest import Run
    from tidyusage.typing import Every

_DAY: Final = dt.timedelta(days=1)


def until_today(query: Query) -> Query:
    """Return a query that has a beginning with an end: today, so that all its days are over."""
    if query.start is None or query.end is not None:
        return query
    today = max(dt.datetime.now(dt.UTC).date(), day(query.start) + _DAY)
    return query.ranged(query.start, today.isoformat())


def split(query: Query, every: Every | None) -> Iterator[Query]:
    """Yield a query for each day or calendar month of the range."""
    if every is None:
        yield query
        return
    if query.start is None or query.end is None:
        raise OptionError(f"every={every!r} needs a range.", "Give start_date=.")
    first, end = day(query.start), day(query.end)
    while first < end:
        after = first + _DAY if every == "1d" else (first.replace(day=1) + 31 * _DAY).replace(day=1)
        yield query.ranged(first.isoformat(), min(after, end).isoformat())
        first = after


def left_to_do(query: Query, runs: Iterable[Run], lookback: dt.timedelta) -> Query | None:
    """Return the range to ask for beside the runs that are unfinished; None if there is none.

    ``runs`` are those that differ from the query in their range alone.
    """
    runs = list(runs)
    is_unfinished = any(not run.is_ended for run in runs)
    if query.start is None or query.end is None:
        return None if is_unfinished else query
    start, end = day(query.start), day(query.end)
    reached = _reached(start, runs)
    if is_unfinished and end <= reached:
        return None
    first = max(start, min(reached, end) - lookback)
    if first == start:
        return query
    return query.ranged(first.isoformat(), query.end) if first < end else None


def _reached(start: dt.date, runs: Iterable[Run]) -> dt.date:
    """Return the day up to which runs have every day from a first one on."""
    covered = sorted(
        (day(first), _end(run))
        for run in runs
        if (first := run.query["start_date"]) is not None and not run.is_partial
    )
    reached = start
    for first, end in covered:
        if first <= reached:
            reached = max(reached, end)
    return reached


def _end(run: Run) -> dt.date:
    """Return the day up to which a run has data: its end, if that was over when it began."""
    begun, end = day(run.begun), run.query["end_date"]
    return begun if end is None else min(day(end), begun)
