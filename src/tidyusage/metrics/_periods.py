"""Periods (days, weeks, months, …): which ones a window falls into, and with what share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, get_args
from zoneinfo import available_timezones

import pyarrow as pa

from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.errors import OptionError, is_count, one_of
from tidyusage.typing import End, Freq, WeekStart

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from tidyusage.typing import Ends

UTC: Final = "UTC"
PERIOD: Final = "period"
WEIGHT: Final = "tu__weight"
FIRST: Final = "tu__first_period"
LAST: Final = "tu__last_period"
PART: Final = "tu__part"  # the share of a piece in its window, whatever lists split besides
# The longest period of each length, in hours; a day may have an hour more where clocks change.
_HOURS: Final[dict[Freq, int]] = {
    "1h": 1,
    "1d": 24 + 1,
    "1w": 7 * 24 + 1,
    "1mo": 31 * 24 + 1,
    "1q": 92 * 24 + 1,
    "1y": 366 * 24,
}
# A window as it is read, and a piece of it; the ends are the first instants after.
FROM: Final = "tu__from"
TO: Final = "tu__to"
BEGIN: Final = "tu__begin"
UNTIL: Final = "tu__until"
PRODUCT: Final = "product.id"
INCLUSIVE: Final = "inclusive"
_MONTHS: Final = 12
# An instant is a window of the smallest length that engines know, so it never crosses a bound.
_NEXT: Final = "{start} + interval '1 microsecond'"
AT_START: Final = "{start}"  # where lengths are measured, an instant has none
DATES: Final = ("start_date", "end_date")
_UNITS: Final[dict[Freq, str]] = {
    "1h": "hour",
    "1d": "day",
    "1w": "week",
    "1mo": "month",
    "1q": "quarter",
    "1y": "year",
}
# What pandas, Polars and people call these lengths, in lower case.
_ALIASES: Final[dict[str, str]] = {
    alias: freq
    for freq, aliases in {
        "1h": "h hour hourly",
        "1d": "d day daily",
        "1w": "w week weekly w-mon 7d",
        "1mo": "m me ms month monthly 1m 1month",
        "1q": "q qe qs quarter quarterly 3mo",
        "1y": "y ye ys a year yearly annual 12mo",
    }.items()
    for alias in aliases.split()
}


def window_end_sql(
    *, start: str = "start_date", end: str = "end_date", instant: str = _NEXT
) -> str:
    """Return the SQL of the first moment after a window: the one definition of windows.

    A window whose end is missing or not after its start is

    - one day, if it starts at 00:00 UTC (vendors write days as a bare date),
    - else an instant, as vendors write events.

    Both times are timestamps without a zone, in UTC.
    """
    return f"""case
      when {end} > {start} then {end}
      when {start} = date_trunc('day', {start}) then {start} + interval '1 day'
      else {instant.format(start=start)}
    end"""


def is_instant_sql(*, start: str = "start_date", end: str = "end_date") -> str:
    """Return the SQL test of a window that is an instant; true or false."""
    is_timed = f"{start} <> date_trunc('day', {start})"
    return f"coalesce({is_timed} and not coalesce({end} > {start}, false), false)"


@cache
def _zones() -> frozenset[str]:
    # A system has names for the zone that it is set to, which mean nothing elsewhere.
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


@dataclass(frozen=True, slots=True)
class Periods:
    """Calendar periods of a length, in a zone."""

    freq: Freq
    tz: str = UTC
    end: Ends = "exclusive"
    fiscal_year_start: int = 1  # the month
    week_start: WeekStart = "monday"

    def __post_init__(self) -> None:
        """Refuse what is no length, no zone, no kind of end."""
        one_of("freq", self.freq, get_args(Freq), _ALIASES)
        one_of("week_start", self.week_start, get_args(WeekStart))
        if not is_count(self.fiscal_year_start) or self.fiscal_year_start > _MONTHS:
            raise OptionError(
                f"fiscal_year_start={self.fiscal_year_start!r} is not a month.",
                "Give the number of the month in which the fiscal year starts, 1 to 12.",
            )
        _by_product(self.end)  # raises if it is invalid
        if self.tz != UTC and self.tz not in _zones():
            raise OptionError(
                f"Invalid time zone: {self.tz!r}.", "Give an IANA name such as 'Europe/Berlin'."
            )

    @classmethod
    def of(
        cls,
        freq: Freq | None,
        tz: str,
        end: Ends,
        fiscal_year_start: int = 1,
        week_start: WeekStart = "monday",
    ) -> Periods | None:
        """Return the periods of a length, None without one; refuse what no option has."""
        each = "1d" if freq is None else freq
        periods = cls(each, tz, end, fiscal_year_start, week_start)
        return periods if freq is not None else None

    @property
    def type(self) -> pa.DataType:
        """The type of a period: a date, or an instant in the zone."""
        return pa.timestamp("us", tz=self.tz) if self.freq == "1h" else pa.date32()

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (*DATES, *([PRODUCT] if isinstance(self.end, Mapping) else []))

    def split(self, source: str, columns: Iterable[str]) -> str:
        """Return the steps from records to ``usage``: their pieces, weighed by their share."""
        kept = ", ".join(map(quote, dict.fromkeys(columns)))
        return f"""{self.pieces(source)},
usage as (
  select {kept}, period, {PART}, {WEIGHT} * {PART} as {WEIGHT}
  from pieces
)"""

    def pieces(self, source: str, period: str = PERIOD) -> str:
        """Return the steps from records to ``pieces``, each with its period and its share.

        A record without dates is one piece, of which the period is null.
        """
        none = "[cast(null as timestamp)]"
        series, begin, until = self._bounds()
        inside = f"date_diff('microsecond', {BEGIN}, {UNTIL})"
        all_ = f"date_diff('microsecond', {FROM}, {TO})"
        last = f"({TO} - interval 1 microsecond)"
        # A clock that skips a day has one of no length.
        return f"""windows as (
  select *, start_date as {FROM},
    {self.ends()} as {TO}
  from {source}
),
clocks as (
  select *,
    {self._local(FROM)} as tu__first,
    {self._local(last)} as tu__last
  from windows
),
bounds as (
  select *, unnest(case when {FROM} is null then {none} else {series} end) as tu__bound
  from clocks
),
stretches as (
  select *,
    {begin} as {BEGIN},
    {until} as {UNTIL}
  from bounds
),
pieces as (
  select *, {self.named("tu__bound")} as {period},
    coalesce(cast({inside} as double) / {all_}, 1e0) as {PART}
  from stretches
  where {FROM} is null or {BEGIN} < {UNTIL}
)"""

    def _bounds(self) -> tuple[str, str, str]:
        """Return the SQL of a window's bounds, and of where its piece at one begins and ends.

        Whatever a clock does, the first piece begins and the last ends with the window.
        """
        if self.freq == "1h":  # an hour that comes twice in the zone is two
            first = f"{FROM} - (tu__first - date_trunc('hour', tu__first))"
            series = f"generate_series({first}, {TO} - interval 1 microsecond, interval 1 hour)"
            end = "tu__bound + interval 1 hour"
            return series, f"greatest({FROM}, tu__bound)", f"least({TO}, {end})"
        first, step = self._floor("tu__first"), self.step()
        lower, upper = self._instant("tu__bound"), self._instant(f"(tu__bound + {step})")
        return (
            f"generate_series({first}, greatest(tu__first, tu__last), {step})",
            f"case when tu__bound > tu__first then greatest({FROM}, {lower}) else {FROM} end",
            f"case when tu__bound + {step} <= tu__last then least({TO}, {upper}) else {TO} end",
        )

    @property
    def longest(self) -> int:
        """How long a period can be, in microseconds."""
        return _HOURS[self.freq] * 3_600_000_000

    def is_exceeded(self) -> str:
        """Return the SQL test of a window that is longer than any period."""
        return f"date_diff('microsecond', start_date, {self.ends()}) > {self.longest}"

    def step(self, periods: int = 1) -> str:
        """Return the SQL of the length of so many periods."""
        if self.freq == "1q":
            return f"interval '{3 * periods} month'"
        return f"interval '{periods} {_UNITS[self.freq]}'"

    def named(self, bound: str) -> str:
        """Return the SQL of a period as an answer has it, of the time at which it begins."""
        return bound if self.freq == "1h" else f"cast({bound} as date)"

    @property
    def is_plain(self) -> bool:
        """Whether periods are calendar dates of UTC, which every engine can tell."""
        return self.tz == UTC and self.freq != "1h" and not self._shift

    def assign(self, source: str, step: str = "usage") -> str:
        """Return the steps from records to their period; one that touches two is marked.

        A record without dates is in none.
        """
        last = f"{self.ends()} - interval '1 microsecond'"
        return f"""windows as (
  select *, {self.of_instant("start_date")} as period, {self.of_instant(f"({last})")} as tu__last
  from {source}
  where start_date is not null
),
{step} as (
  select *, case when period <> tu__last then 1 else 0 end as tu__crossing
  from windows
)"""

    def touched(self, source: str) -> str:
        """Return the step from records to ``usage``: the first and last period of each window.

        Both are null for a record without dates.
        """
        last = f"{self.ends()} - interval '1 microsecond'"
        return f"""usage as (
  select *, {self.of_instant("start_date")} as {FIRST}, {self.of_instant(f"({last})")} as {LAST}
  from {source}
)"""

    def ends(self, *, instant: str = _NEXT) -> str:
        """Return the SQL of the first moment after a record's window."""
        return window_end_sql(end=self.given_end(), instant=instant)

    def given_end(self) -> str:
        """Return the SQL of the end that a record gives, as the first moment after it; or null."""
        if is_moved := self.moved():
            return f"case when {is_moved} then end_date + interval '1 day' else end_date end"
        return "end_date"

    def moved(self) -> str:
        """Return the test of an end that means a whole day; empty if none does."""
        is_date = "end_date = date_trunc('day', end_date)"
        ends = _by_product(self.end)
        default = ends.pop("*")
        if not ends:
            return is_date if default == INCLUSIVE else ""
        cases = [f"when {literal(product)} then {_flag(end)}" for product, end in ends.items()]
        named = f"case {quote(PRODUCT)} {clauses(cases, '')} else {_flag(default)} end"
        return f"{named} = 1 and {is_date}"

    def of_instant(self, instant: str) -> str:
        """Return the SQL of the period of an instant."""
        local = self._local(instant)
        if self.freq == "1h":
            return f"({instant} - ({local} - date_trunc('hour', {local})))"
        return f"cast({self._floor(local)} as date)"

    def _floor(self, local: str) -> str:
        """Return the SQL of the beginning of the period of a time on the zone's clocks.

        Times are shifted to a calendar whose years begin in January, or weeks on Monday, and back.
        """
        unit = literal(_UNITS[self.freq])
        if not (shift := self._shift):
            return f"date_trunc({unit}, {local})"
        return f"(date_trunc({unit}, {local} - {shift}) + {shift})"

    @property
    def _shift(self) -> str:
        """The SQL of how much later than a calendar's a period begins; empty if it does not."""
        if self.freq in {"1q", "1y"} and self.fiscal_year_start > 1:
            return f"interval '{int(self.fiscal_year_start) - 1} month'"
        if self.freq == "1w" and self.week_start == "sunday":
            return "interval '6 day'"  # a week that begins on Sunday begins 6 days after a Monday
        return ""

    def _local(self, instant: str) -> str:
        """Return the time on the zone's clocks of an instant, both without a zone."""
        if self.tz == UTC:
            return instant
        return f"timezone({literal(self.tz)}, timezone('UTC', {instant}))"

    def _instant(self, local: str) -> str:
        """Return the first instant at which the zone's clocks show a time, both without a zone."""
        if self.tz == UTC:
            return local
        later = f"timezone('UTC', timezone({literal(self.tz)}, {local}))"
        # A midnight that comes twice begins its day the first time, by the clock of the day before.
        before = f"({local} - interval '1 day')"
        earlier = f"({local} - ({self._local(before)} - {before}))"
        return f"""case
      when {self._local(earlier)} = {local}
        then {earlier}
      else {later}
    end"""


def fiscal_label(start: date, freq: Freq, fiscal_year_start: int) -> str | None:
    """Return the name of a fiscal quarter or year by its first day, such as "FY2026 Q1".

    A fiscal year is named after the calendar year in which it ends.  Other periods, and years that
    start in January, have no fiscal name.
    """
    if fiscal_year_start == 1 or freq not in {"1q", "1y"}:
        return None
    # Count months on a calendar whose years begin with the fiscal year.
    year, month = divmod(start.year * 12 + start.month - int(fiscal_year_start), 12)
    name = f"FY{year + 1}"
    return f"{name} Q{month // 3 + 1}" if freq == "1q" else name


def _by_product(end: Ends) -> dict[str, End]:
    """Return what each product means by an end, and under * what all others do."""
    ends: dict[str, End] = dict(end) if isinstance(end, Mapping) else {"*": end}
    for product, each in ends.items():
        if not isinstance(product, str):
            raise OptionError(f"end= names the product {product!r}.", "Name products as text.")
        one_of("end", each, get_args(End))
    return {"*": "exclusive", **ends}


def _flag(end: End) -> int:
    return int(end == INCLUSIVE)
