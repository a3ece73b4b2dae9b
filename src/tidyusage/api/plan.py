"""Check the options of a fetch."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, get_args

from tidyusage.api.ranges import split, until_today
from tidyusage.api.service import Service
from tidyusage.errors import MissingExtraError, OptionError, is_number, one_of
from tidyusage.typing import Every, Partial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.api.query import Query

BASE_URL: Final = "https://api.truto.one"
_LONGEST: Final = 1_000_000.0  # days; longer than any range
_NEEDED: Final = ("httpx", "stamina", "anyio", "filelock", "tqdm")


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a fetch."""

    queries: tuple[Query, ...]
    service: Service
    token: object
    every: Every | None
    lookback: dt.timedelta
    partial: Partial
    progress: bool | None

    def parts(self) -> list[Query]:
        """Return all queries, split as was asked for."""
        return [part for query in self.queries for part in split(query, self.every)]


def plan(
    queries: Iterable[Query],
    *,
    base_url: str,
    token: object,
    every: Every | None,
    lookback: int | dt.timedelta,
    partial: Partial,
    progress: bool | None,
) -> Plan:
    """Look at the options of a fetch, and at what it needs to be installed."""
    one_of("every", every, [None, *get_args(Every)])
    one_of("partial", partial, get_args(Partial))
    one_of("progress", progress, [None, True, False])
    made = Plan(
        tuple(map(until_today, queries)),
        Service.at(base_url),
        token,
        every,
        _days(lookback),
        partial,
        progress,
    )
    made.parts()
    _require_extra()
    return made


def _days(lookback: object) -> dt.timedelta:
    is_days = is_number(lookback) and float(lookback) >= 0  # type: ignore[arg-type]
    if isinstance(lookback, dt.timedelta) and lookback >= dt.timedelta():
        return lookback
    if not is_days:
        raise OptionError(
            f"lookback={lookback!r} is no number of days.", "Give one as 30, or a timedelta."
        )
    return dt.timedelta(days=min(float(lookback), _LONGEST))  # type: ignore[arg-type]


def _require_extra() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Fetching needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "not installed.",
            "Install tidyusage[api].",
        )
