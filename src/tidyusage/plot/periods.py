"""The time axis: all periods from first to last, and which of them are complete."""

from __future__ import annotations

from calendar import month_name
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tidyusage.engines import frames
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError
from tidyusage.metrics import _spread
from tidyusage.metrics._periods import Periods, fiscal_label
from tidyusage.metrics._usage import INSTANT, usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.typing import Ends, Freq, WeekStart

Period = date | datetime | None

WORDS: Final[dict[Freq, str]] = {
    "1h": "hour",
    "1d": "day",
    "1w": "week",
    "1mo": "month",
    "1q": "quarter",
    "1y": "year",
}
UNDATED: Final = "(no date)"
_MOST: Final = 5_000
MONTHS: Final = {"1mo": 1, "1q": 3, "1y": 12}


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when a frame's windows reach, in UTC; nothing where none has dates."""

    begin: datetime | None
    end: datetime | None

    @classmethod
    def of(cls, frame: Any, end: Ends) -> Span:
        """Look at a frame's windows."""
        asked, periods = usage(frame, ()), Periods("1d", end=end)
        sql = f"""bounds as (
  select min(start_date) as tu__begin, max({periods.ends()}) as tu__end
  from usage
  where start_date is not null
)
select tu__begin as begins, tu__end as ends
from bounds"""
        types = {"begins": INSTANT, "ends": INSTANT}
        query = asked.query(sql, periods.fields, types, portable=False)
        row = frames.collected(run_query(frame, query)).to_pylist()[0]
        return cls(row["begins"], row["ends"])

    def says(self, tz: str) -> str:
        """Return the days that it touches on a zone's calendar, in words."""
        if self.begin is None or self.end is None:
            return ""
        zone = ZoneInfo(tz)
        first = self.begin.astimezone(zone).date()
        last = (self.end - timedelta(microseconds=1)).astimezone(zone).date()
        return f"{first} ({tz})" if first == last else f"{first} to {last} ({tz})"

    def covers(self, period: Period, freq: Freq, tz: str) -> bool:
        """Tell whether it reaches over a period from its start to its end."""
        if period is None or self.begin is None or self.end is None:
            return True
        begin, end = _instant(period, tz), _instant(after(period, freq), tz)
        return self.begin <= begin and end <= self.end


@dataclass(frozen=True, slots=True)
class Times:
    """The periods of a chart, if it has any, and the span of the frame's windows."""

    freq: Freq | None
    tz: str
    end: Ends
    span: Span
    is_spread: bool = False  # whether most windows are longer than the period
    fiscal_year_start: int = 1
    week_start: WeekStart = "monday"

    @classmethod
    def of(
        cls,
        frame: Any,
        freq: Freq | None,
        tz: str,
        end: Ends,
        *,
        fiscal_year_start: int = 1,
        week_start: WeekStart = "monday",
    ) -> Times:
        """Look at the windows of a frame; raise for an invalid option."""
        periods = Periods.of(freq, tz, end, fiscal_year_start, week_start)
        spreads = periods is not None and _spread.is_spread(frame, periods)
        return cls(freq, tz, end, Span.of(frame, end), spreads, fiscal_year_start, week_start)

    @property
    def options(self) -> dict[str, Any]:
        """The options of a metric that has these periods."""
        if not self.freq:
            return {}
        return {
            "freq": self.freq,
            "tz": self.tz,
            "end": self.end,
            "fiscal_year_start": self.fiscal_year_start,
            "week_start": self.week_start,
        }

    @property
    def word(self) -> str:
        """What a period is called."""
        return WORDS[self.freq] if self.freq else ""

    @property
    def each(self) -> str:
        """The end of a title that says how long a period is."""
        return f", per {self.word}" if self.freq else ""

    @property
    def title(self) -> str:
        """The title of the axis of time."""
        begins = " beginning" if self.freq == "1w" else ""
        is_fiscal = self.fiscal_year_start != 1 and self.freq in {"1q", "1y"}
        of = f", fiscal year from {month_name[self.fiscal_year_start]}" if is_fiscal else ""
        return f"{self.word}{begins}{of} ({self.tz})"

    @property
    def says(self) -> str:
        """The days of the data, in words."""
        return self.span.says(self.tz)

    def label(self, period: Period) -> str:
        """Return what a period's place on the axis is called."""
        return label(period, self.freq, self.fiscal_year_start) if self.freq else ""

    def covers(self, period: Period) -> bool:
        """Tell whether the data covers a period whole."""
        return self.freq is None or self.span.covers(period, self.freq, self.tz)

    def places(self, periods: Iterable[Period]) -> list[Period]:
        """Return all places on the axis."""
        return every(periods, self.freq) if self.freq else []


def every(periods: Iterable[Period], freq: Freq) -> list[Period]:
    """Return all periods from the first to the last, and none at last if it is among them."""
    found = set(periods)
    dated: list[Any] = sorted(period for period in found if period is not None)
    grid = set(dated)
    at = dated[0] if dated else None
    while at is not None and at < dated[-1]:
        grid.add(at)
        at = after(at, freq)
        if len(grid) > _MOST:
            raise OptionError(
                f"freq={freq!r} makes more than {_MOST:,} periods from {dated[0]} to {dated[-1]}, "
                "which no chart can show.",
                "Choose a longer freq=, or leave out records whose dates are far from the rest.",
            )
    return [*sorted(grid), *([None] if None in found else [])]


def label(period: Period, freq: Freq, fiscal_year_start: int = 1) -> str:
    """Return a period in words that sort: its first day, its month, quarter or year."""
    if period is None:
        return UNDATED
    if fiscal := fiscal_label(period, freq, fiscal_year_start):
        return fiscal
    if isinstance(period, datetime):
        zone = "" if period.utcoffset() == timedelta(0) else f"{period:%z}"
        return f"{period:%Y-%m-%d %H:%M}{zone}"
    if freq == "1q":
        return f"{period:%Y}-Q{(period.month + 2) // 3}"
    return f"{period:%Y}" if freq == "1y" else f"{period:%Y-%m}" if freq == "1mo" else f"{period}"


def after(period: date, freq: Freq) -> date:
    """Return the period after one."""
    if isinstance(period, datetime):
        return (period.astimezone(UTC) + timedelta(hours=1)).astimezone(period.tzinfo)
    if freq in MONTHS:
        months = period.year * 12 + period.month - 1 + MONTHS[freq]
        return date(months // 12, months % 12 + 1, 1)
    return period + timedelta(days=7 if freq == "1w" else 1)


def _instant(period: date, tz: str) -> datetime:
    if isinstance(period, datetime):
        return period.astimezone(UTC)
    return datetime(period.year, period.month, period.day, tzinfo=ZoneInfo(tz)).astimezone(UTC)
