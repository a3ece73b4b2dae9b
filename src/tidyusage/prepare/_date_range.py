"""Parse date ranges: one period, or two bounds."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from tidyusage.typing import Instant

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
    >>> from tidyusage.prepare._date_range import parse_date_range
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
