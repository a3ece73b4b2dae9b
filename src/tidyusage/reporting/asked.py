"""Call every metric of a report once, with the same options."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tidyusage._utils import bounded
from tidyusage.engines import frames
from tidyusage.engines.query import run_query
from tidyusage.errors import UnknownFieldError
from tidyusage.metrics._missing_charges import ALREADY_CHECKED
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._usage import usage
from tidyusage.metrics.cost import Money

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidyusage.engines.query import Query
    from tidyusage.metrics._usage import Usage

CALENDAR: Final = ("tz", "end", "fiscal_year_start", "week_start")
Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A frame, and the options of metrics that the whole report shares."""

    frame: Any
    options: Mapping[str, Any]
    freq: Any = None

    @property
    def people(self) -> Mapping[str, str] | None:
        """Who is meant by a user id or e-mail."""
        people: Mapping[str, str] | None = self.options.get("people")
        return people

    @property
    def money(self) -> Money:
        """The policy by which a record's cost is found, and in what currency."""
        options = self.options
        return Money.of(
            options["charge"],
            options["rates"],
            options["to"],
            options.get("assume_currency"),
        )

    def of(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Return those of the options that a function has."""
        known = inspect.signature(function).parameters
        options = {name: value for name, value in self.options.items() if name in known}
        return options | ({"overlap": ALREADY_CHECKED} if "overlap" in known else {})

    def ask(self, metric: Callable[..., Any], *by: str, **more: Any) -> list[Row]:
        """Return a metric's answer as rows."""
        return rows(metric(self.frame, *by, **{**self.of(metric), **more}))

    def usage(self, *by: str, whole: bool = False, freq: Any = None) -> Usage:
        """Look at the frame as a metric does."""
        periods = Periods.of(freq, **{name: self.options[name] for name in CALENDAR})
        return usage(
            self.frame, by, periods, whole=whole, overlap=ALREADY_CHECKED, people=self.people
        )

    def run(self, query: Query) -> list[Row]:
        """Return a query's answer as rows."""
        return rows(run_query(self.frame, query))


def rows(frame: Any) -> list[Row]:
    """Return a metric's answer, of any library, as rows."""
    if frames.backend_of(frame) != "duckdb":
        return frames.collected(frame).to_pylist()
    with bounded.asked(frame):
        return frames.collected(frame).to_pylist()


def attempted(ask: Callable[[], T]) -> tuple[T | None, str]:
    """Return an answer; or none, and why a frame without the columns cannot give any."""
    try:
        return ask(), ""
    except UnknownFieldError as error:
        return None, fact(error)


def fact(error: Exception) -> str:
    """Return what an error states, without what to do in Python."""
    return str(error).partition("\n")[0]
