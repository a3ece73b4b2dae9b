"""Open DuckDB connections: settings, cancellation and progress."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.interrupts import heard, remove, waited
from tidyusage._utils.progress import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb


# Up to so many rows, to open a DuckDB and to plan a query take longer than to run it.
FEW: Final = 2_048
_WITHOUT_NETWORK: Final[dict[str, Any]] = {"autoinstall_known_extensions": False}
# One a process and form of Arrow, which is set for a whole DuckDB; without threads of its own, that
# few rows do not need and a process that is forked would miss.
_LASTING: Final[dict[tuple[int, str], duckdb.DuckDBPyConnection]] = {}


@contextmanager
def connect(*, few: bool = False, form: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of our own: in memory, in UTC, and without a look at the network.

    For ``few`` rows it is a session in one that lasts: what it makes must be temporary, and all of
    one ``form`` are set to give Arrow alike.
    """
    with interruptible(), _closing(_session(form) if few else new()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        without_bar(connection)
        connection.execute("set python_enable_replacements = false")
        with nullcontext() if few else stoppable(connection):
            yield connection


@contextmanager
def _closing(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Close a connection in the end; one that is left to itself is closed by who has it."""
    import duckdb

    try:
        yield connection
    finally:
        with suppress(duckdb.ResourceInUseException):
            connection.close()


def write(connection: duckdb.DuckDBPyConnection, sql: str, partial: str) -> None:
    """Run a statement that writes a file or folder, and may sort before: Ctrl-C does not wait.

    A sort does not look up.  It goes on, in memory and where it spills, until it sees that nobody
    wants it; then what it has written, or what that is a part of, is removed.
    """

    def undo() -> None:
        connection.close()
        remove(partial)

    waited(lambda: connection.execute(sql), undo)


@contextmanager
def stoppable(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let a bar see how far a connection has come, and Ctrl-C end its work at once."""
    with interruptible(), watched(connection), heard(connection.interrupt):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Call it what it is where DuckDB has an error of its own for Ctrl-C."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def without_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Have a connection draw no bar of its own."""
    import duckdb

    # In Jupyter without ipywidgets there is no bar, and DuckDB 2.0 refuses to turn it off.
    with suppress(duckdb.InvalidInputException):
        connection.execute("set enable_progress_bar = false")


def new() -> duckdb.DuckDBPyConnection:
    """Open a DuckDB of our own."""
    import duckdb

    connection = duckdb.connect(config=_WITHOUT_NETWORK)
    connection.execute("set temp_directory = ?", [tempfile.gettempdir()])
    # What a query frees, the next part of it takes again; all goes when the connection closes.
    connection.execute("set allocator_flush_threshold = '1TB'")
    connection.execute("set allocator_bulk_deallocation_flush_threshold = '1TB'")
    return connection


def _session(form: str) -> duckdb.DuckDBPyConnection:
    import duckdb

    key = os.getpid(), form
    if key not in _LASTING:
        _LASTING[key] = duckdb.connect(config={**_WITHOUT_NETWORK, "threads": 1})
    return _LASTING[key].cursor()


def bound(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Have a connection of our own put into a folder what is more than the rows in flight."""
    connection.execute("set memory_limit = '512MB'")
    connection.execute("set temp_directory = ?", [folder])
