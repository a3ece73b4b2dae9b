"""Periods: which of them a record's window falls into, and with what share of its seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, get_args
from zoneinfo import available_timezones

import pyarrow as pa

from tidyusage.errors import OptionError, one_of
from tidyusage.sqltext import literal, quote
from tidyusage.typing import End, Freq

if TYPE_CHECKING:
    from collections.abc import Iterable

UTC: Final = "UTC"
PERIOD: Final = "period"
WEIGHT: Final = "tu__weight"
PART: Final = "tu__part"  # the share of a piece in its window, whatever lists split besides
DATES: Final = ("start_date", "end_date")
_UNITS: Final[dict[Freq, str]] = {
    "1h": "hour",
    "1d": "day",
    "1w": "week",
    "1mo": "month",
    "1q": "quarter",
    "1y": "year",
}


@cache
def _zones() -> frozenset[str]:
    # A system has names for the zone that it is set to, which mean nothing elsewhere.
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


@dataclass(frozen=True, slots=True)
class Periods:
    """Calendar periods of a length, in a zone."""

    freq: Freq
    tz: str = UTC
    end: End = "exclusive"

    def __post_init__(self) -> None:
        """Refuse what is no length, no zone, no kind of end."""
        one_of("freq", self.freq, get_args(Freq))
        one_of("end", self.end, get_args(End))
        if self.tz != UTC and self.tz not in _zones():
            raise OptionError(
                f"tz={self.tz!r} is no time zone.", "Give an IANA name such as 'Europe/Berlin'."
            )

    @classmethod
    def of(cls, freq: Freq | None, tz: str, end: End) -> Periods | None:
        """Return the periods of a length, None without one; refuse what no option has."""
        periods = cls("1d" if freq is None else freq, tz, end)
        return periods if freq is not None else None

    @property
    def type(self) -> pa.DataType:
        """The type of a period: a date, or an instant in the zone."""
        return pa.timestamp("us", tz=self.tz) if self.freq == "1h" else pa.date32()

    def split(self, source: str, columns: Iterable[str]) -> str:
        """Return the steps from records to their pieces, each with its period and its share.

        A record without dates is one piece, of which the period is null.
        """
        none = "[cast(null as timestamp)]"
        kept = ", ".join(quote(column) for column in columns)
        first, last = self._local("tu__from"), self._local("tu__to - interval 1 microsecond")
        unit, step = _UNITS[self.freq], self.step()
        if self.freq == "1h":  # an hour that comes twice in the zone is two
            begin = f"tu__from - ({first} - date_trunc('hour', {first}))"
            bounds = f"generate_series({begin}, tu__to - interval 1 microsecond, interval 1 hour)"
            lower, upper = "tu__bound", "tu__bound + interval 1 hour"
        else:
            begin = f"date_trunc({literal(unit)}, {first})"
            bounds = f"generate_series({begin}, {last}, {step})"
            lower = self._instant("tu__bound")
            upper = self._instant(f"tu__bound + {step}")
        inside = f"date_diff('microsecond', greatest(tu__from, {lower}), least(tu__to, {upper}))"
        all_ = "date_diff('microsecond', tu__from, tu__to)"
        return f"""windows as (
  select *, start_date as tu__from, {self.ends()} as tu__to
  from {source}
),
bounds as (
  select *, unnest(case when tu__from is null then {none} else {bounds} end) as tu__bound
  from windows
),
pieces as (
  select *, {self.named("tu__bound")} as period,
    coalesce(cast({inside} as double) / {all_}, 1e0) as {PART}
  from bounds
),
usage as (
  select {kept}, period, {PART}, {WEIGHT} * {PART} as {WEIGHT}
  from pieces
)"""

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
        return self.tz == UTC and self.freq != "1h"

    def assign(self, source: str, step: str = "usage") -> str:
        """Return the steps from records to their period; one that touches two is marked.

        A record without dates is in none.
        """
        last = f"{self.ends()} - interval '1 microsecond'"
        return f"""windows as (
  select *, {self._of("start_date")} as period, {self._of(f"({last})")} as tu__last
  from {source}
  where start_date is not null
),
{step} as (
  select *, case when period <> tu__last then 1 else 0 end as tu__crossing
  from windows
)"""

    def guard(self) -> str:
        """Return what to say of records that touch two periods and cannot be split."""
        return (
            f"{{}} records have a window that crosses a bound of freq={self.freq!r} in the zone "
            f"{self.tz}, so that they do not say on which side a user was active.\n\n"
            "Choose a longer freq=, the zone of the windows as tz=, or leave those records out."
        )

    def ends(self) -> str:
        """Return the SQL of the first instant after a record's window."""
        end = "end_date"
        if self.end == "inclusive":
            is_date = "end_date = date_trunc('day', end_date)"
            end = f"case when {is_date} then end_date + interval '1 day' else end_date end"
        return f"case when {end} > start_date then {end} else start_date + interval '1 day' end"

    def _of(self, instant: str) -> str:
        """Return the SQL of the period of an instant."""
        local = self._local(instant)
        if self.freq == "1h":
            return f"({instant} - ({local} - date_trunc('hour', {local})))"
        return f"cast(date_trunc({literal(_UNITS[self.freq])}, {local}) as date)"

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
        earlier = f"{later} - interval '1 hour'"  # a midnight that comes twice begins its day once
        return f"case when {self._local(f'({earlier})')} = {local} then {earlier} else {later} end"
