"""Detect responses that cover only the first day or month of the requested range."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from tidyusage.api.query import day, moment
from tidyusage.errors import PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.api.pages import Page
    from tidyusage.api.query import Query

_DAY: Final = dt.timedelta(days=1)


class Reach:
    """The last day that the records of each query tell of."""

    def __init__(self) -> None:
        self._last: dict[int, dt.date] = {}

    def see(self, number: int, page: Page) -> None:
        """Look at a page of a query from its first page on; warn after its last."""
        last = max(_days(page.parsed), default=None)
        if last is not None:
            self._last[number] = max(last, self._last.get(number, last))
        if page.next_cursor is None and number in self._last:
            _tell(page.query, self._last[number])


def _days(records: Iterable[Any]) -> Iterable[dt.date]:
    """Yield the last day of each record that has dates; an end is not inside."""
    for record in records:
        if not isinstance(record, dict):
            continue
        dates = {"start_date": dt.timedelta(), "end_date": dt.timedelta(microseconds=1)}
        try:
            instants = [
                moment(record[name]) - before
                for name, before in dates.items()
                if isinstance(record.get(name), str)
            ]
        except ValueError:
            continue
        if instants:
            yield max(instants).date()


def _tell(query: Query, last: dt.date) -> None:
    if query.start is None or query.end is None:
        return
    first, end = day(query.start), day(query.end)
    month = (first.replace(day=1) + 31 * _DAY).replace(day=1)
    if end > first + _DAY and last <= first:
        part, every, vendor = "day", "1d", "OpenAI Codex"
    elif end > month and last < month:
        part, every, vendor = "month", "1mo", "Confluent and Datadog"
    else:
        return
    warn(
        f"All records of {query} are of its first {part}. Either nothing was used after it, or the "
        f"vendor answers one {part} at a time, as {vendor} may: every={every!r} asks for each.",
        PartialWarning,
    )
