"""How far a long read has come: a bar on the terminal, after a second, and none elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_PATIENCE: Final = 1.0
_TICK: Final = 0.1


class Watch:
    """Knows the connection that works now; another thread asks it how far it has come."""

    def __init__(self) -> None:
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.done = Event()

    def percent(self) -> float | None:
        """Return how much of the running query is done, if the engine can tell."""
        connection = self.connection
        share = -1.0 if connection is None else connection.query_progress()
        return share if share >= 0 else None


WATCH: Final[ContextVar[Watch | None]] = ContextVar("tidyusage_watch", default=None)


@contextmanager
def watched(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let the bar, if there is one, ask a connection for its progress."""
    watch = WATCH.get()
    if watch is None:
        yield
        return
    before, watch.connection = watch.connection, connection
    try:
        yield
    finally:
        watch.connection = before


@contextmanager
def bar(label: str) -> Iterator[None]:
    """Show a bar on a terminal while the block runs, if it takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    watch = Watch()
    thread = Thread(target=_draw, args=(label, watch), daemon=True)
    token = WATCH.set(watch)
    thread.start()
    try:
        yield
    finally:
        WATCH.reset(token)
        watch.done.set()
        thread.join()


def _draw(label: str, watch: Watch) -> None:
    if watch.done.wait(_PATIENCE):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        while not watch.done.wait(_TICK):
            percent = watch.percent()
            if percent is not None:
                progress.update(task, total=100, completed=percent)
