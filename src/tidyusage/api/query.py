"""The parameters of a query: account, report, date range and filters."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from tidyusage._utils.timestamps import TIMESTAMP
from tidyusage.errors import OptionError, is_count

if TYPE_CHECKING:
    from collections.abc import Iterator

# Parameters that have a keyword of their own.
_KEYWORDS: Final = {
    "integrated_account_id": "integrated_account_id=",
    "report_type": "report_type=",
    "start_date": "start_date=",
    "end_date": "end_date=",
    "product_ids": "product_ids=",
    "user_ids": "user_ids=",
    "model_ids": "model_ids=",
    "surfaces": "surfaces=",
    "limit": "page_size=",
    "truto_ignore_remote_data": "remote_data='json'",
}
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE: Final = re.compile(TIMESTAMP)
_YEARS: Final = range(1970, 3000)
# Parameters that belong to whoever follows the pages.
_OURS: Final = ("next_cursor", "truto_response_format", "truto_skip_api_call")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One report of one account; ``start`` and ``end`` are texts of ISO 8601, or None."""

    account: str | None
    report_type: str | None
    start: str | None
    end: str | None
    parameters: Pairs = ()

    def pairs(self, cursor: str | None) -> list[tuple[str, str]]:
        """Return the parameters of a page's request."""
        own = {
            "integrated_account_id": self.account,
            "report_type": self.report_type,
            "start_date": self.start,
            "end_date": self.end,
            "next_cursor": cursor,
        }
        given = [(name, value) for name, value in own.items() if value is not None]
        return [*given, *self.parameters]

    def label(self) -> dict[str, str | None]:
        """Return what its records are marked with."""
        return {"account": self.account, "report_type": self.report_type}

    def is_of(self, other: Query) -> bool:
        """Tell whether two queries differ in their range alone."""
        return replace(other, start=self.start, end=self.end) == self

    def holds(self, other: Query) -> bool:
        """Tell whether a query's range holds all of another's."""
        if None in {self.start, self.end, other.start, other.end}:
            return (self.start, self.end) == (other.start, other.end)
        return moment(str(self.start)) <= moment(str(other.start)) and moment(
            str(other.end)
        ) <= moment(str(self.end))

    def ranged(self, start: str | None, end: str | None) -> Query:
        """Return the query for another range."""
        return replace(self, start=start, end=end)

    def __str__(self) -> str:
        report = f"report {self.report_type!r}" if self.report_type else "the default report"
        account = f"account {self.account!r}" if self.account else "the token's account"
        days = f", {self.start or '…'} to {self.end or '…'}" if self.start or self.end else ""
        return f"{report} of {account}{days}"


def queries(
    *,
    accounts: object,
    report_types: object,
    start: object,
    end: object,
    filters: Mapping[str, object],
    params: Mapping[str, Any] | None,
    page_size: int | None,
    remote_data: bool,
) -> list[Query]:
    """Return a query for every account and report type."""
    parameters = [("truto_ignore_remote_data", "false" if remote_data else "true")]
    for name, values in filters.items():
        parameters += [(f"{name}[]", value) for value in _texts(name, values) if value]
    if page_size is not None:
        if not is_count(page_size):
            raise OptionError(f"page_size={page_size!r} is no count.", "Give one as 100.")
        parameters += [("limit", str(page_size))]
    parameters += _further(params or {})
    first, last = _instant("start_date", start), _instant("end_date", end)
    if first and last and moment(first) > moment(last):
        raise OptionError(
            f"start_date={first!r} is after end_date={last!r}.", "Exchange them, or drop one."
        )
    return [
        Query(account, report_type, first, last, tuple(parameters))
        for account in _texts("integrated_account_id", accounts)
        for report_type in _texts("report_type", report_types)
    ]


def _texts(option: str, given: object) -> list[str | None]:
    """Return one text or several as a list without repeats; None stands for itself."""
    is_one = given is None or isinstance(given, str | UUID)
    values = list(given) if isinstance(given, Iterable) and not is_one else [given]
    if not values:
        raise OptionError(f"{option}={given!r} asks for nothing.", "Give a text, several, or None.")
    for value in values:
        if value is not None and not (isinstance(value, str | UUID) and _is_text(str(value))):
            raise OptionError(f"{option}={given!r} is no text.", "Give a text, or a list of them.")
    texts = [None if value is None else _tidied(str(value)) for value in values]
    return list(dict.fromkeys(texts))


def _is_text(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _tidied(text: str) -> str:
    """Return a text without blanks around; one UUID is one text, however it is written."""
    text = text.strip()
    return text.lower() if _UUID.fullmatch(text) else text


def _instant(option: str, value: object) -> str | None:
    """Return a date as the service takes it."""
    if value is None:
        return None
    text = ""
    try:
        text = _written(value)
        is_date = moment(text).year in _YEARS
    except (ValueError, OverflowError):
        is_date = False
    if not is_date:
        raise OptionError(
            f"{option}={value!r} is no date of ISO 8601.",
            "Give a date as '2026-01-31', or an instant as '2026-01-31T12:00:00Z'.",
        )
    return text


def _written(value: object) -> str:
    if isinstance(value, dt.datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return zoned.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    text = value.isoformat() if isinstance(value, dt.date) else str(value).strip()
    if not isinstance(value, str | dt.date) or not _DATE.fullmatch(text):
        raise ValueError(text)
    return text


def moment(text: str) -> dt.datetime:
    """Return the instant of a date's text; without a zone it is UTC."""
    found = dt.datetime.fromisoformat(text)
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    """Return the day of a date's text, in UTC."""
    return moment(text).date()


def _further(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield parameters that the caller names as the service does."""
    if not isinstance(params, Mapping):
        raise OptionError(f"params={params!r} is no mapping.", "Give one as {'bucket': 'day'}.")
    for name, value in params.items():
        bare = str(name).partition("[")[0]
        if bare in _KEYWORDS:
            raise OptionError(f"params has {name!r}.", f"Give {_KEYWORDS[bare]} instead.")
        if bare in _OURS:
            raise OptionError(
                f"params has {name!r}, which is for whoever follows the pages.", "Leave it out."
            )
        yield from _encoded(str(name), value)


def _encoded(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield a parameter in the service's spelling: ``name[]=…`` of a list, ``name[key]=…``."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _encoded(f"{name}[{key}]", inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _encoded(name if name.endswith("[]") else f"{name}[]", inner)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, dt.date):
        yield name, _instant(name, value) or ""
    elif isinstance(value, str | int | float):
        yield name, str(value)
    elif value is not None:
        raise OptionError(
            f"params[{name!r}]={value!r} is nothing that an address can hold.",
            "Give text, a number, a flag, a date, or a list or mapping of those.",
        )
