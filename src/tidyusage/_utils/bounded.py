"""DuckDB with a memory limit, and temporary folders that it spills into."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import tempfile
import time
import weakref
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from uuid import uuid4

from tidyusage._utils import connections
from tidyusage._utils.interrupts import LEFT, remove
from tidyusage._utils.machine import HOST, IS_FULL, runs
from tidyusage.errors import MemoryLimitError, OptionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from tidyusage.typing import Path

_UNITS: Final = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS_OF_TWO: Final = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_LIMIT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B)", re.IGNORECASE)
# Below, DuckDB cannot read a line of JSON.
_LEAST: Final = 128 * 10**6
# Of what a process may hold; the rest is for Python, libraries, and what DuckDB does not count.
_SHARE: Final = 0.75
_PREFIX: Final = "tidyusage-"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SPILL: Final = "spill"
# When a folder was last looked through for what killed processes left, and seconds until the next.
_SWEPT: Final[dict[str, float]] = {}
_SWEEP_AGAIN: Final = 60.0
# What a DuckDB keeps that lends its memory.
_KEPT: Final = 0.125
# Those that are open, with their limits, by folder.
_OPEN: Final[dict[str, tuple[weakref.ref[duckdb.DuckDBPyConnection], int | None]]] = {}
HINT: Final = (
    "Raise memory_limit=, and give as temp_directory= a folder on a disk with room for what does "
    "not fit."
)


class Home(NamedTuple):
    """A connection and the folder that goes with it."""

    connection: duckdb.DuckDBPyConnection
    folder: str
    limit: int | None

    def close(self) -> None:
        """Close the connection, and remove its folder."""
        self.connection.close()
        remove(self.folder)


def check(memory_limit: object, temp_directory: object) -> None:
    """Raise for a limit that is none, or a folder that cannot be written to."""
    if memory_limit is not None:
        _bytes(memory_limit)
    if temp_directory is None:
        return
    if not isinstance(temp_directory, str | os.PathLike):
        raise OptionError(f"temp_directory={temp_directory!r} is no path.", "Give a folder's.")
    folder = os.fspath(temp_directory)
    if not os.path.isdir(folder):
        raise OptionError(
            f"temp_directory={folder!r} is no folder.", "Make it first, on a disk with room."
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OptionError(
            f"temp_directory={folder!r} cannot be written to: {error.strerror}.",
            "Give a folder of your own, on a disk with room.",
        ) from error


@contextmanager
def temporary_folder(within: str | None = None) -> Iterator[str]:
    """Yield a temporary folder, in the system's unless it is to be within another."""
    folder = new_folder(within)
    try:
        yield folder
    finally:
        remove(folder)


def new_folder(within: str | None = None) -> str:
    """Make a folder whose name says which process it belongs to; whoever asks for it removes it.

    Folders that killed processes of this machine have left in the same place are removed, so that
    a read never fills a disk that an earlier one was killed on.
    """
    within = os.path.abspath(within or tempfile.gettempdir())
    if time.monotonic() - _SWEPT.get(within, -math.inf) > _SWEEP_AGAIN:
        _SWEPT[within] = time.monotonic()
        _sweep(within)
    folder = os.path.join(within, f"{_PREFIX}{HOST}-{os.getpid()}-{uuid4().hex}")
    LEFT.add(folder)
    os.mkdir(folder, 0o700)
    return folder


def keep_with(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Keep a folder as long as a connection, or remove it now if nothing is in it."""
    if os.listdir(folder):
        LEFT.discard(folder)
        weakref.finalize(connection, _removed, folder, os.getpid())
    else:
        remove(folder)


def opened(memory_limit: str | None, temp_directory: Path | None) -> Home:
    """Open a DuckDB with a limit; its folder goes when nobody has the connection any more."""
    within = os.fspath(temp_directory) if temp_directory is not None else None
    _SWEPT.clear()  # records that need a limit leave much behind
    folder = new_folder(within)
    try:
        with connections.interruptible():
            return _opened(folder, memory_limit)
    except BaseException:
        remove(folder)
        raise


def _opened(folder: str, memory_limit: str | None) -> Home:
    connection = connections.new()
    connection.execute("set temp_directory = ?", [os.path.join(folder, _SPILL)])
    limit = None if memory_limit is None else int(_bytes(memory_limit) * _SHARE)
    _set_limit(connection, limit)
    # A limit is for all, so what was freed is given back.
    connection.execute("reset allocator_flush_threshold")
    connection.execute("reset allocator_bulk_deallocation_flush_threshold")
    connection.execute("set TimeZone = 'UTC'")
    weakref.finalize(connection, _removed, folder, os.getpid())
    _OPEN[folder] = weakref.ref(connection), limit
    return Home(connection, folder, limit)


def home(relation: duckdb.DuckDBPyRelation) -> Home | None:
    """Return where a relation lives, if that is a DuckDB of ours with a folder."""
    if not _OPEN:
        return None
    setting = "select current_setting('temp_directory')"
    with connections.interruptible():
        told = cast("duckdb.DuckDBPyRelation", relation.query("tu__home", setting))
        ((spill,),) = told.fetchall()
    folder = os.path.dirname(spill or "")
    reference, limit = _OPEN.get(folder, (None, None))
    connection = reference() if reference is not None else None
    return Home(connection, folder, limit) if connection is not None else None


@contextmanager
def lent(of: Home, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let another connection of ours have the memory of one that waits, and spill beside it."""
    kept = int((of.limit or 0) * _KEPT)
    try:
        connection.execute("set temp_directory = ?", [os.path.join(of.folder, "lent")])
        _set_limit(of.connection, kept or None)
        _set_limit(connection, of.limit and of.limit - kept)
        yield
    finally:
        _set_limit(of.connection, of.limit)


@contextmanager
def running(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let our bar see what runs, Ctrl-C end it, and say what to do where memory is short."""
    import duckdb

    with connections.interruptible():
        setting = "select current_setting('enable_progress_bar')"
        ((its_bar,),) = connection.execute(setting).fetchall()
    try:
        with connections.stoppable(connection):
            connections.without_bar(connection)
            yield
    except duckdb.OutOfMemoryException as error:
        line = str(error).partition("\n")[0].removeprefix("Out of Memory Error: ")
        raise MemoryLimitError(f"The limit of memory was reached: {line}", HINT) from error
    except duckdb.IOException as error:
        if not is_full(error):
            raise
        line = str(error).partition("\n")[0]
        raise MemoryLimitError(f"There is no room to spill into: {line}", HINT) from error
    finally:
        if its_bar:
            connection.execute("set enable_progress_bar = true")


@contextmanager
def temporary_files() -> Iterator[None]:
    """Say what to do where there is no room for the temporary files of a read."""
    import duckdb

    try:
        yield
    except UsageError:
        raise
    except (OSError, duckdb.Error) as error:
        if not is_full(error) and getattr(error, "errno", None) not in _FULL:
            raise
        line = str(error).partition("\n")[0]
        raise MemoryLimitError(
            f"There is no room for temporary files in {tempfile.gettempdir()!r}: {line}",
            "Make room there, or set the environment variable TMPDIR to a folder on another disk.",
        ) from error


@contextmanager
def asked(relation: duckdb.DuckDBPyRelation) -> Iterator[None]:
    """Do as much while a relation is run, if it lives on a DuckDB of ours."""
    found = home(relation)
    with running(found.connection) if found else nullcontext():
        yield


def is_full(error: Exception) -> bool:
    """Tell whether an error is about a disk without room."""
    return any(sign in str(error) for sign in IS_FULL)


def _bytes(limit: object) -> int:
    found = _LIMIT.fullmatch(limit.strip()) if isinstance(limit, str) else None
    if found is None:
        raise OptionError(
            f"memory_limit={limit!r} is no amount of memory.", "Write one such as '2GB' or '800MB'."
        )
    size = int(float(found[1]) * (_UNITS | _UNITS_OF_TWO)[found[2].upper()])
    if size < _LEAST:
        raise OptionError(
            f"memory_limit={limit!r} is less than records can be read in.", "Give '128MB' or more."
        )
    return size


def _set_limit(connection: duckdb.DuckDBPyConnection, limit: int | None) -> None:
    if limit is not None:
        connection.execute("set memory_limit = ?", [f"{limit // 1000}KB"])


def _removed(folder: str, process: int) -> None:
    _OPEN.pop(folder, None)
    if os.getpid() == process:  # a forked one has but a copy
        remove(folder)


def _sweep(within: str) -> None:
    """Remove what killed processes of this machine left in a folder."""
    left = re.compile(rf"{_PREFIX}{re.escape(HOST)}-(\d+)-\w+")
    with suppress(OSError):
        for name in os.listdir(within):
            found = left.fullmatch(name)
            if found and not runs(int(found[1])):
                shutil.rmtree(os.path.join(within, name), ignore_errors=True)
