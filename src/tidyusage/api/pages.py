"""Pagination: read a page's records and find the next page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from tidyusage.errors import ApiError
from tidyusage.io import json_text
from tidyusage.io.api_pages import is_partial, next_cursor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Iterator

    from tidyusage.api.client import Client
    from tidyusage.api.query import Query

# So many pages in a row without a record are no data any more.
EMPTY: Final = 1_000
# A cursor goes into an address, and few servers take longer ones.
_LONGEST_CURSOR: Final = 8_192


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query's answer; ``number`` counts from one."""

    query: Query
    number: int
    body: bytes
    parsed: list[Any]
    next_cursor: str | None
    is_partial: bool

    def records(self) -> Iterator[Any]:
        """Yield the records as objects, each with its source."""
        for record in self.parsed:
            yield self._labelled(record) if isinstance(record, dict) else record

    def lines(self) -> Iterator[bytes]:
        """Yield the records as the service wrote them, one a line, each with its source."""
        if any(isinstance(record, dict) and "source" in record for record in self.parsed):
            yield from (orjson.dumps(record) + b"\n" for record in self.records())
            return
        label = orjson.dumps(self.query.label()).decode()
        text = self.body.decode("utf-8", "surrogatepass")
        for found in json_text.page_entries(text):
            yield _with_source(found.text, label).encode("utf-8", "surrogatepass") + b"\n"

    def _labelled(self, record: dict[str, Any]) -> dict[str, Any]:
        label: dict[str, Any] = self.query.label()
        if "source" in record:
            label = {**label, "value": record["source"]}
        return {**record, "source": label} if "source" in record else {"source": label, **record}

    def said(self) -> str:
        """Say of a partial page that it is one."""
        return (
            f"The service called page {self.number:,} of {self.query} partial: records are missing."
        )

    def last_day(self) -> str | None:
        """Return the latest day on which a record begins."""
        days = (record.get("start_date") for record in self.parsed if isinstance(record, dict))
        return max((day[:10] for day in days if isinstance(day, str)), default=None)


def _with_source(text: str, label: str) -> str:
    # A record may stand on several lines; within its strings there are none.
    text = text.replace("\n", " ").replace("\r", " ")
    if not text.startswith("{"):
        return text
    rest = text[1:].lstrip()
    return f'{{"source":{label}{"" if rest.startswith("}") else ","}{rest}'


class LeadsBackError(ApiError):
    """A cursor leads to a page that was read already."""


def page(query: Query, number: int, body: bytes) -> Page:
    """Look at an answer, which must be a page."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        shown = body[:80].decode("utf-8", "replace")
        raise ApiError(
            f"The answer to {query} is no JSON: {error}; it begins {shown!r}.",
            "Check base_url: what answers there may be no API.",
        ) from None
    result = envelope.get("result") if isinstance(envelope, dict) else None
    records = list(result.values()) if isinstance(result, dict) else result
    if not isinstance(records, list) or (isinstance(result, dict) and not _are_objects(records)):
        keys = list(envelope)[:8] if isinstance(envelope, dict) else type(envelope).__name__
        raise ApiError(
            f"The answer to {query} is no page of records: it has no result, but {keys}.",
            "A page has result and next_cursor; a parameter in params= may have changed its form.",
        )
    cursor = next_cursor(envelope)
    if not isinstance(cursor, str | int | None):
        raise ApiError(
            f"Page {number:,} of {query} has a cursor that is none: {str(cursor)[:80]}.",
            "Report it to the service's support.",
        )
    following = None if cursor is None else str(cursor)
    if following and len(following) > _LONGEST_CURSOR:
        raise ApiError(
            f"Page {number:,} of {query} has a cursor of {len(following):,} characters, "
            f"more than the {_LONGEST_CURSOR:,} that fit into an address.",
            "Report it to the service's support.",
        )
    return Page(query, number, body, records, following, is_partial(envelope))


def _are_objects(values: Iterable[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def partial_error(page: Page) -> ApiError:
    """Return the error of a page that is not all."""
    return ApiError(
        page.said(),
        "Run it again later. partial='warn' takes what is there; totals will be too low.",
    )


async def walk(
    client: Client, query: Query, cursor: str | None, seen: Collection[str]
) -> AsyncIterator[Page]:
    """Yield the pages from a cursor on, until there is none; ``seen`` are those before it."""
    before, number, empty = set(seen), len(seen) + 1, 0
    while True:
        found = page(query, number, await client.get(query, cursor))
        empty = 0 if found.parsed else empty + 1
        if found.next_cursor in before:
            raise LeadsBackError(
                f"Page {number:,} of {query} leads back to a page that was read already: its "
                f"cursor {found.next_cursor!r} repeats, so the records would never end.",
                "Report it to the service's support; a shorter range may help.",
            )
        if empty >= EMPTY and found.next_cursor:
            raise ApiError(
                f"The last {EMPTY:,} pages of {query} hold no record, but there is always one "
                "more.",
                "Report it to the service's support; a shorter range may help.",
            )
        yield found
        if found.next_cursor is None:
            return
        before.add(found.next_cursor)
        cursor, number = found.next_cursor, number + 1
