"""`daily` and `between`: cut windows at days or at a date range.

A piece has the share of its record's charges and counts that its seconds have of the window's;
what cannot be added is null on it, and `window_cut` marks it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.engines import frames
from tidyusage.errors import OptionError, UndatedWarning, counted, known_options, warn
from tidyusage.metrics import _source
from tidyusage.metrics._periods import BEGIN, DATES, FROM, PART, PRODUCT, TO, UNTIL, Periods
from tidyusage.prepare import _parts, _rewrite

if TYPE_CHECKING:
    import polars as pl

    from tidyusage.engines.columns import Columns
    from tidyusage.typing import Ends, FrameT, Instant


START, END = DATES
WINDOW_CUT: Final = "window_cut"
_IS_CUT: Final = "tu__is_cut"


@known_options
def between(
    frame: FrameT,
    since: Instant | None = None,
    until: Instant | None = None,
    *,
    tz: str = "UTC",
    end: Ends = "exclusive",
) -> FrameT:
    """Clip a frame to a range of dates.

    Records outside the range are left out.  A window that crosses one of its bounds is clipped:
    the record keeps the share of its charges and counts that its seconds inside the range have of
    the window's.  `daily` and `freq=` split by the same rule, so a month of the metrics is the
    same as the metrics of a month.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    since
        A period alone: "2026-01", "2026-Q1", "2026-W05" (ISO week) or "2026".  Or the lower bound:
        a date, an instant, or a period, which then starts the range; None for no lower bound.
    until
        The upper bound.  A date or a period is included to its end (`until="2026-01-31"` covers
        the 31st), an instant is not; None for no upper bound.
    tz
        The IANA time zone of dates, periods and instants without an offset.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  The frame's columns, its own
        included, in its order of rows, then `window_cut` (boolean): true where a window was
        clipped, here or earlier.  There `start_date` and `end_date` are those of the piece, and
        what cannot be added (distinct counts, flags) is null.

    Raises
    ------
    OptionError
        For an invalid date, time zone or kind of end, or a range that ends before it starts.
    FrameError
        If the frame is not a wide one, or dtypes do not fit.

    Warns
    -----
    UndatedWarning
        Records without a `start_date` are left out; the warning counts them.  A lazy frame warns
        when it is collected; DuckDB relations and Spark frames cannot warn.

    Notes
    -----
    A window without an end after its start is one day if it starts at 00:00 UTC, else an instant.
    The column `window_cut` lets `active_users` and others know that a record covers a part of its
    window only.  After this all ends are exclusive.

    Examples
    --------
    >>> import tidyusage as tu
    >>> record = {"id": "a", "charges": [{"type": "net", "amount": 30}],
    ...           "start_date": "2026-01-30", "end_date": "2026-02-02"}
    >>> january = tu.between(tu.flatten_usage(record), "2026-01")
    >>> january[["id", "end_date", "charges.net", "window_cut"]]
      id                  end_date  charges.net  window_cut
    0  a 2026-02-01 00:00:00+00:00         20.0        True
    """
    found, days = _rewrite.wide(frame), Periods("1d", tz, end)
    limits = parse_date_range(since, until, tz)
    lower, upper = _bound(limits.since), _bound(limits.until)
    inside = f"date_diff('microsecond', {BEGIN}, {UNTIL})"
    all_ = f"date_diff('microsecond', {FROM}, {TO})"
    pieces = f"""windows as (
  select *, start_date as {FROM},
    {days.ends()} as {TO}
  from dated
  where start_date is not null
),
clipped as (
  select *,
    greatest({FROM}, {lower or FROM}) as {BEGIN},
    least({TO}, {upper or TO}) as {UNTIL}
  from windows
),
pieces as (
  select *, cast({inside} as double) / {all_} as {PART}
  from clipped
  where {BEGIN} < {UNTIL}
)"""
    return _cut(_without_undated(frame, found), found, days, pieces)


@known_options
def daily(frame: FrameT, *, end: Ends = "exclusive", tz: str = "UTC") -> FrameT:
    """Return a record for each day that a window touches.

    A window that spans several days of the zone is cut at their bounds.  Each piece has the share
    of its record's charges and counts that its seconds have of the window's, so that the pieces
    add up to the record.  `freq=` of the metrics and `between` cut by the same rule.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    tz
        The IANA time zone whose days count.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  The frame's columns, its own
        included, in its order of rows, a record's pieces by time; then `window_cut` (boolean),
        true for pieces of a longer window.  A piece has its record's `id`, text, lists of
        resources and dates of creation; `start_date` and `end_date` (timestamp, UTC) are its own.
        Counts, `usage.quantity` and charges (float64) are its share, within `charges` and
        `usage.code.tool_actions` too.  What cannot be added (distinct counts, flags) is null on a
        piece.  A record within one day stays as it is, and so does one without dates.

    Raises
    ------
    OptionError
        For an invalid time zone or kind of end.
    FrameError
        If the frame is not a wide one, or dtypes do not fit.

    Notes
    -----
    A window without an end after its start is one day if it starts at 00:00 UTC, else an instant,
    which is never cut.  After this all ends are exclusive: an inclusive `end_date` is written as
    the instant after its day.  `start_date` tells the rows of one `id` apart.

    Examples
    --------
    >>> import tidyusage as tu
    >>> record = {"id": "a", "charges": [{"type": "net", "amount": 79}],
    ...           "start_date": "2026-10-12", "end_date": "2026-10-15"}
    >>> tu.daily(tu.flatten_usage(record))[["id", "start_date", "charges.net"]]
      id                start_date  charges.net
    0  a 2026-10-12 00:00:00+00:00    26.333333
    1  a 2026-10-13 00:00:00+00:00    26.333333
    2  a 2026-10-14 00:00:00+00:00    26.333333
    """
    found, days = _rewrite.wide(frame), Periods("1d", tz, end)
    return _cut(frame, found, days, days.pieces("dated", "tu__day"))


def _cut(frame: FrameT, found: Columns, days: Periods, pieces: str) -> FrameT:
    """Return the frame that ``pieces`` makes of the step ``dated``."""
    added: dict[str, pa.DataType] = {WINDOW_CUT: pa.bool_()}
    if START in found.known and END not in found.known:
        added = {END: schema.ARROW["timestamp"], **added}
    divided = _parts.measures(found, PART, _IS_CUT)
    was_cut = WINDOW_CUT in found.own
    names = [*found.known, *(name for name in found.own if name != WINDOW_CUT)]
    names += [name for name in added if name != WINDOW_CUT]
    written = {**divided, START: _start(), END: _end(days)}
    earlier = f" or coalesce(try_cast({quote(WINDOW_CUT)} as boolean), false)" if was_cut else ""
    rows = [f"{written.get(name, quote(name))} as {quote(name)}" for name in names]
    rows += [f"{_IS_CUT}{earlier} as {quote(WINDOW_CUT)}"]
    sql = f"""{_dated(found)},
{pieces},
cut as (
  select *, coalesce({BEGIN} > {FROM} or {UNTIL} < {TO}, false) as {_IS_CUT}
  from pieces
)
select
    {clauses(rows)}
from cut
order by {_rewrite.ROW}, {BEGIN}"""
    changed = (*DATES, *divided)
    return _rewrite.rewritten(frame, found, sql, changed=changed, added=added, without={WINDOW_CUT})


def _dated(found: Columns) -> str:
    """Return the step that has what a window is read from, null where absent."""
    absent = {*DATES, PRODUCT} - {*found.known}
    nulls = "".join(f", {_source.null(name)} as {quote(name)}" for name in sorted(absent))
    typed = [f"cast({name} as timestamp) as {name}" for name in DATES if name in found.known]
    replaced = f" replace ({', '.join(typed)})" if typed else ""
    return f"dated as (\n  select *{replaced}{nulls}\n  from usage\n)"


def _start() -> str:
    """Return the SQL of where a piece begins."""
    return f"case when {_IS_CUT} then {BEGIN} else {quote(START)} end"


def _end(days: Periods) -> str:
    """Return the SQL of where a piece ends."""
    moved = f" when {days.moved()} then {TO}" if days.moved() else ""
    return f"case when {_IS_CUT} then {UNTIL}{moved} else {quote(END)} end"


def _bound(instant: dt.datetime | None) -> str:
    if instant is None:
        return ""
    return f"cast({literal(instant.replace(tzinfo=None).isoformat(' '))} as timestamp)"


def _without_undated(frame: FrameT, found: Columns) -> FrameT:
    """Return the frame; warn of records without dates, of a lazy one when it is collected."""
    if frames.backend_of(frame) in {"duckdb", "pyspark"}:
        return frame
    column = found.known.get(START)
    if frames.is_lazy(frame):
        lazy = cast("pl.LazyFrame", frame)

        def look(eager: pl.DataFrame) -> pl.DataFrame:
            _warn_of_undated(eager[column].null_count() if column else eager.height)
            return eager

        return cast("FrameT", lazy.map_batches(look, schema=lazy.collect_schema()))
    if frames.backend_of(frame) == "pyarrow":
        frame = cast("FrameT", frames.to_arrow(frame))  # a reader can be read only once
    if column is None:
        _warn_of_undated(frames.height(frame))
    else:
        _warn_of_undated(cast("Any", frames.column(frame, column)).null_count)
    return frame


def _warn_of_undated(count: int) -> None:
    if count:
        records = f"{counted(count)} {'has' if count == 1 else 'have'}"
        warn(
            f"{records} no start_date and cannot be placed in a date range; left out.\n\n"
            "Use the whole frame to count them.",
            UndatedWarning,
        )


_DAY: Final = dt.timedelta(days=1)
_PERIOD: Final = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?|-[Qq](?P<quarter>[1-4])|-[Ww](?P<week>\d{2}))?"
)
_SHAPE: Final = (
    "Write a period such as '2026-01', '2026-Q1', '2026-W05' or '2026'; a date such as "
    "'2026-01-31'; or an instant such as '2026-01-31T12:00:00Z'."
)


@dataclass(frozen=True, slots=True)
class DateRange:
    """A half-open range of time, in UTC; None where it has no bound."""

    since: dt.datetime | None
    until: dt.datetime | None


def parse_date_range(
    since: Instant | None = None, until: Instant | None = None, tz: str = "UTC"
) -> DateRange:
    """Return the range of time that one period or two bounds name.

    A period alone ("2026-01") is that period.  Of two bounds, a period or a date as the upper one
    is included to its end, an instant is not.  A date or an instant alone is a lower bound.
    Periods, dates and instants without an offset are those of the zone.

    Parameters
    ----------
    since, until
        Text as in ISO 8601, a date or a datetime; None for no bound.
    tz
        An IANA time zone.

    Returns
    -------
    DateRange
        Its bounds in UTC.

    Raises
    ------
    OptionError
        For text that is not a date, a range without any bound, and one that ends before it starts.

    Examples
    --------
    >>> from tidyusage.prepare.windows import parse_date_range
    >>> found = parse_date_range("2026-01-05", "2026-01-31")
    >>> print(found.since, found.until)
    2026-01-05 00:00:00+00:00 2026-02-01 00:00:00+00:00
    """
    if since is None and until is None:
        raise OptionError("The date range has no bound.", _SHAPE)
    zone = ZoneInfo(tz)
    first = _bounds("since", since, zone) if since is not None else None
    last = _bounds("until", until, zone) if until is not None else None
    start = first.start if first else None
    named = last or (first if first and first.is_period else None)  # a period alone is the range
    end = named.end if named else None
    if start is not None and end is not None and end <= start:
        raise OptionError(
            f"The date range ends before it starts: since={since!r}, until={until!r}.",
            "Exchange the bounds. An upper bound with a time of day is not included.",
        )
    return DateRange(start, end)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What one text names: from when until when, and whether it is a period longer than a day."""

    start: dt.datetime
    end: dt.datetime
    is_period: bool = False


def _bounds(option: str, value: Instant, zone: ZoneInfo) -> _Bounds:
    try:
        if isinstance(value, dt.datetime):
            return _instant(value, zone)
        if isinstance(value, dt.date):
            return _days(value, value + _DAY, zone)
        if isinstance(value, str):
            return _text(value.strip(), zone)
    except (ValueError, OverflowError) as error:
        raise OptionError(f"Invalid date: {option}={value!r}.", _SHAPE) from error
    raise OptionError(f"Invalid date: {option}={value!r}.", _SHAPE)


def _text(text: str, zone: ZoneInfo) -> _Bounds:
    found = _PERIOD.fullmatch(text)
    if found is None:
        if not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]", text):
            raise ValueError(text)
        return _instant(dt.datetime.fromisoformat(text), zone)
    year = int(found["year"])
    if found["day"]:
        day = dt.date.fromisoformat(text)
        return _days(day, day + _DAY, zone)
    if found["week"]:
        monday = dt.date.fromisocalendar(year, int(found["week"]), 1)
        return _days(monday, monday + 7 * _DAY, zone, is_period=True)
    month, months = 1, 12
    if found["month"]:
        month, months = int(found["month"]), 1
    elif found["quarter"]:
        month, months = 3 * int(found["quarter"]) - 2, 3
    years, after = divmod(month - 1 + months, 12)
    end = dt.date(year + years, after + 1, 1)
    return _days(dt.date(year, month, 1), end, zone, is_period=True)


def _days(first: dt.date, after: dt.date, zone: ZoneInfo, *, is_period: bool = False) -> _Bounds:
    """Return the bounds of days of a zone; where clocks skip midnight, a day starts after it."""
    start, end = (
        dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)
        for day in (first, after)
    )
    return _Bounds(start, end, is_period)


def _instant(value: dt.datetime, zone: ZoneInfo) -> _Bounds:
    at = (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(dt.UTC)
    at = dt.datetime(*at.timetuple()[:6], at.microsecond, tzinfo=dt.UTC)  # of pandas, a plain one
    return _Bounds(at, at)
