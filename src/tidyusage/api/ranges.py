"""Choose the date range to fetch: everything at first, then new and restated days."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from tidyusage.api.query import Query, day, moment
from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidyusage.io.fetch_manifest import Run
    from tidyusage.typing import Every

_DAY: Final = dt.timedelta(days=1)


def until_today(query: Query) -> Query:
    """Return a query that has a beginning with an end: today, so that all its days are over."""
    if query.start is None or query.end is not None:
        return query
    today = max(dt.datetime.now(dt.UTC).date(), day(query.start) + _DAY)
    return query.ranged(query.start, today.isoformat())


def split(query: Query, every: Every | None) -> Iterator[Query]:
    """Yield a query for each day or calendar month of the range, in UTC."""
    if every is None:
        yield query
        return
    if query.start is None or query.end is None:
        raise OptionError(f"every={every!r} needs a range.", "Give start_date=.")
    start, end = query.start, moment(query.end)
    while (after := _after(start, every)) < end:
        yield query.ranged(start, _text(after))
        start = _text(after)
    yield query.ranged(start, query.end)


def _after(start: str, every: Every) -> dt.datetime:
    """Return the midnight that ends the day or month in which an instant lies."""
    first = _midnight(moment(start))
    return first + _DAY if every == "1d" else (first.replace(day=1) + 31 * _DAY).replace(day=1)


def left_to_do(query: Query, runs: Iterable[Run], lookback: dt.timedelta) -> Query | None:
    """Return the range to ask for beside the runs that are unfinished; None if there is none.

    ``runs`` are those that differ from the query in their range alone.
    """
    runs = list(runs)
    is_unfinished = any(not run.is_ended for run in runs)
    if query.start is None or query.end is None:
        return None if is_unfinished else query
    start, end = moment(query.start), moment(query.end)
    reached = _reached(start, runs)
    if is_unfinished and end <= reached:
        return None
    known = min(reached, end) - start
    if known <= lookback or not known:
        return query
    first = start + known - lookback
    return query.ranged(_text(first), query.end) if first < end else None


def _reached(start: dt.datetime, runs: Iterable[Run]) -> dt.datetime:
    """Return the instant up to which runs have everything from a first one on."""
    covered = sorted(
        (moment(first), _end(run))
        for run in runs
        if (first := run.query["start_date"]) is not None and not run.is_partial
    )
    reached = start
    for first, end in covered:
        if first <= reached:
            reached = max(reached, end)
    return reached


def _end(run: Run) -> dt.datetime:
    """Return the instant up to which a run has data: its end, if that day was over by then."""
    over, end = _midnight(moment(run.begun)), run.query["end_date"]
    return over if end is None else min(moment(end), over)


def _midnight(instant: dt.datetime) -> dt.datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _text(instant: dt.datetime) -> str:
    """Write an instant: a date at midnight."""
    if instant == _midnight(instant):
        return instant.date().isoformat()
    return instant.isoformat().replace("+00:00", "Z")
