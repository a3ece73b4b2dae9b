"""Fetch several queries concurrently and yield their pages in order.

The requests run in a thread with a loop of its own, so that it works in a notebook, whose own
loop is busy, and ends at once when whoever asks for pages stops.
"""

from __future__ import annotations

import atexit
import weakref
from collections import Counter
from collections.abc import Generator
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from anyio.from_thread import start_blocking_portal

from tidyusage.api.pages import Page, partial_error, walk
from tidyusage.errors import ApiError, PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anyio.from_thread import BlockingPortal
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from tidyusage.api.client import Client
    from tidyusage.api.query import Query
    from tidyusage.typing import Partial

# Queries at once, and pages that wait to be taken.
WORKERS: Final = 8
_WAITING: Final = 8
_TICK: Final = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """A query, and where to go on; ``seen`` are the cursors that its pages had so far."""

    query: Query
    partial: Partial
    seen: tuple[str, ...] = ()

    @property
    def cursor(self) -> str | None:
        """The cursor of the next page."""
        return self.seen[-1] if self.seen else None


Found = tuple[int, Page | ApiError]


def pages(connect: Callable[[], Client], jobs: Sequence[Job]) -> Iterator[Found]:
    """Yield each job's pages in their order, with the job's number; or why there are no more."""
    found = _pages(connect, jobs)
    _OPEN.add(found)
    return found


# At its very end Python stops the threads that closing an iterator would wait for.
_OPEN: Final = weakref.WeakSet[Generator[Found]]()


@atexit.register
def _close() -> None:
    for found in list(_OPEN):
        with suppress(ValueError):  # another thread waits for it at this moment
            found.close()


def _pages(connect: Callable[[], Client], jobs: Sequence[Job]) -> Generator[Found]:
    with start_blocking_portal(name="tidyusage-fetch") as portal:
        send, receive = portal.call(_stream)
        crawl = portal.start_task_soon(_crawl, connect, jobs, send)
        try:
            while (found := _patiently(portal, receive)) is not None:
                _, page = found
                if isinstance(page, Page) and page.is_partial:
                    warn(f"{page.said()} Totals are too low.", PartialWarning)
                yield found
        finally:
            portal.call(receive.aclose)
        crawl.result()


def _patiently(portal: BlockingPortal, receive: MemoryObjectReceiveStream[Found]) -> Found | None:
    """Wait for what comes next, so that Ctrl-C is heard.

    Polars' handler of SIGINT has waits without a time limit go on after it (Polars 2.1).
    """
    future = portal.start_task_soon(_next, receive)
    while not wait([future], timeout=_TICK).done:
        pass
    return future.result()


async def _stream() -> tuple[MemoryObjectSendStream[Found], MemoryObjectReceiveStream[Found]]:
    return anyio.create_memory_object_stream[Found](_WAITING)


async def _next(receive: MemoryObjectReceiveStream[Found]) -> Found | None:
    """Return what came next, None after the last."""
    try:
        return await receive.receive()
    except anyio.EndOfStream:
        return None


async def _crawl(
    connect: Callable[[], Client], jobs: Sequence[Job], send: MemoryObjectSendStream[Found]
) -> None:
    workers = anyio.Semaphore(WORKERS)
    async with send, connect() as client, anyio.create_task_group() as group:
        for number in _in_turn(jobs):
            group.start_soon(_walk, client, number, jobs[number], send, workers)


def _in_turn(jobs: Sequence[Job]) -> list[int]:
    """Return the jobs' numbers so that accounts take turns: each has limits of its own."""
    counts: Counter[str | None] = Counter()
    turns = []
    for job in jobs:
        counts[job.query.account] += 1
        turns.append(counts[job.query.account])
    return sorted(range(len(jobs)), key=turns.__getitem__)


async def _walk(
    client: Client,
    number: int,
    job: Job,
    send: MemoryObjectSendStream[Found],
    workers: anyio.Semaphore,
) -> None:
    async with workers:
        try:
            async for page in walk(client, job.query, job.cursor, job.seen):
                if page.is_partial and job.partial == "raise":
                    raise partial_error(page)
                await send.send((number, page))
        except ApiError as error:
            error.args = tuple(client.hide(str(part)) for part in error.args)
            await send.send((number, error))
