"""Progress bars for long runs, on a terminal or in a notebook."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    from rich.progress import Progress, ProgressColumn
    from tqdm.auto import tqdm

_PATIENCE: Final = 1.0
# What a cell shows is kept with its notebook.
_PATIENCE_IN_NOTEBOOKS: Final = 5.0
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
def bar(label: str, progress: bool | None = None) -> Iterator[None]:
    """Show a bar while the block runs, if that takes long; within another's block there is none."""
    if WATCH.get() is not None or not is_shown(progress):
        yield
        return
    watch, draw = Watch(), _draw
    if is_notebook():
        tqdm = in_notebook()
        if tqdm is None:
            yield
            return
        draw = partial(_draw_in_notebook, tqdm)
    thread = Thread(target=draw, args=(label, watch), daemon=True)
    token = WATCH.set(watch)
    thread.start()
    try:
        yield
    finally:
        WATCH.reset(token)
        watch.done.set()
        thread.join()


def is_shown(progress: bool | None) -> bool:
    """Tell whether a bar is to be shown: None asks for one where somebody looks."""
    if progress is not None:
        return progress
    return is_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def is_notebook() -> bool:
    """Tell whether this runs in a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return "IPKernelApp" in getattr(shell, "config", {})


def in_notebook() -> Callable[..., tqdm[Any]] | None:
    """Return tqdm's bar for notebooks; None without tqdm: then nothing is shown.

    Without widgets it draws with text, which is fine, and warns of it as it is imported.  Warnings
    are silenced for a whole process, so that this is for the caller's thread.
    """
    if find_spec("tqdm") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm


def on_terminal(*columns: ProgressColumn) -> Progress:
    """Return a bar; where there is no terminal, only what remains at the end is written."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(
        *columns,
        console=console,
        transient=console.is_terminal,
        redirect_stdout=False,  # what the caller prints goes where it was sent
        redirect_stderr=False,
    )


def _draw(label: str, watch: Watch) -> None:
    if watch.done.wait(_PATIENCE):
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with on_terminal(*columns) as progress:
        task = progress.add_task(label, total=None)
        while not watch.done.wait(_TICK):
            percent = watch.percent()
            if percent is not None:
                progress.update(task, total=100, completed=percent)


def _draw_in_notebook(tqdm: Callable[..., Any], label: str, watch: Watch) -> None:
    if watch.done.wait(_PATIENCE_IN_NOTEBOOKS):
        return
    with tqdm(desc=label, total=100, unit="%", leave=False) as drawn:
        while not watch.done.wait(_TICK):
            percent = watch.percent()
            if percent is not None:
                drawn.update(percent - drawn.n)
