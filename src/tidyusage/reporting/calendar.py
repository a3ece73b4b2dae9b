"""The periods of a report: length, label, and how complete they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tidyusage.errors import OptionError, one_of
from tidyusage.metrics._periods import fiscal_label
from tidyusage.plot.periods import MONTHS, after

if TYPE_CHECKING:
    from tidyusage.typing import Freq, WeekStart

FREQS: Final[tuple[Freq, ...]] = ("1d", "1w", "1mo", "1q", "1y")
MOST: Final = 400  # periods, lest a page grows with its calendar
_DAYS: Final = 31
_WEEKS: Final = 184


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when there is data, by the clocks of the report's zone."""

    first: datetime
    last: datetime

    @classmethod
    def of(cls, first: Any, last: Any, tz: str) -> Span | None:
        """Return the span of two instants, None if there is none."""
        if first is None or last is None:
            return None
        return cls(local(first, tz), local(last, tz))

    @property
    def days(self) -> float:
        """How many days it takes."""
        return (self.last - self.first) / timedelta(days=1)

    @property
    def last_day(self) -> date:
        """The last day that it touches."""
        return (self.last - timedelta(microseconds=1)).date()


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar period: its first day, the first day after, and what it is called."""

    start: date
    end: date
    label: str
    short: str


def local(instant: datetime, tz: str) -> datetime:
    """Return what the clocks of a zone show at an instant."""
    known = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return known.astimezone(ZoneInfo(tz)).replace(tzinfo=None)


def day(value: date) -> str:
    """Return a day as a reader writes it."""
    return f"{value.day} {value:%b} {value.year}"


def chosen(freq: Freq | None, span: Span | None) -> Freq:
    """Return the length of periods that was asked for, or that fits the data."""
    if freq is not None:
        one_of("freq", freq, (None, *FREQS))
        return freq
    days = span.days if span else 0
    if days <= _DAYS:
        return "1d"
    if days <= _WEEKS:
        return "1w"
    return next(f for f in (*FREQS[2:], "1y") if f == "1y" or days / (30 * MONTHS[f]) < MOST)


def periods(
    freq: Freq,
    span: Span | None,
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
) -> list[Period]:
    """Return all periods from the first to the last that the data touches."""
    if span is None:
        return []
    found: list[Period] = []
    start = _first_day(freq, span.first.date(), fiscal_year_start, week_start)
    while start <= span.last_day:
        if len(found) == MOST:
            raise OptionError(
                f"From {day(span.first.date())} to {day(span.last_day)} there are more than {MOST} "
                f"periods of freq={freq!r}.",
                "Choose a longer freq=, or leave out the records whose dates are wrong.",
            )
        end = after(start, freq)
        fiscal = fiscal_label(start, freq, fiscal_year_start)
        labels = (fiscal, fiscal) if fiscal else (_label(freq, start), _short(freq, start))
        found.append(Period(start, end, *labels))
        start = end
    return found


def _first_day(freq: Freq, value: date, fiscal_year_start: int, week_start: WeekStart) -> date:
    """Return the first day of the period that a day is in."""
    if freq == "1w":
        return value - timedelta(days=(value.weekday() + (week_start == "sunday")) % 7)
    if freq == "1d":
        return value
    months = value.year * 12 + value.month - 1
    year, month = divmod(months - (months - fiscal_year_start + 1) % MONTHS[freq], 12)
    return date(year, month + 1, 1)


def _label(freq: Freq, start: date) -> str:
    words = {"1d": day(start), "1w": f"week of {day(start)}"}
    return words.get(freq) or _short(freq, start)


def _short(freq: Freq, start: date) -> str:
    """Return a period's name where its year is known from others."""
    quarter = (start.month + 2) // 3
    return {
        "1d": f"{start.day} {start:%b}",
        "1w": f"week of {start.day} {start:%b}",
        "1mo": f"{start:%b} {start.year}",
        "1q": f"Q{quarter} {start.year}",
        "1y": f"{start.year}",
    }[freq]
