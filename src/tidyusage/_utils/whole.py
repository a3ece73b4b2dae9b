"""Write several files or folders completely or not at all.

What is being written has a name of its own beside its place, and takes it in one step of the file
system.  What a killed export left there is removed by the next one of the same target.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import secrets
import shutil
import tempfile
import zlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.interrupts import LEFT
from tidyusage._utils.machine import HOST, IS_FULL, runs
from tidyusage.errors import ExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUFFIX: Final = ".partial"
_OLD: Final = ".old"  # what stood in the place, until all is done
LOG: Final = ".wal"  # what DuckDB writes beside its file
# Threads write the same target under names of their own, which no other of them removes.
_NUMBERS: Final = itertools.count()
_OURS: Final[set[str]] = set()
_AT_CURRENT_FOLDER: Final = -100
_EXCHANGE: Final = 2
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Of a file that is there, and is not what its name says.
_STRANGE: Final = (pa.ArrowInvalid, zlib.error, UnicodeDecodeError)
# What has been at a place: nothing, or a file or folder that any change makes another.
_Stamp = tuple[int, int, int] | None


@dataclass(slots=True)
class Files:
    """What an export writes, each beside its place; all take their places together."""

    keeps: bool = False
    _partials: dict[str, str] = field(default_factory=dict)
    _stamps: dict[str, _Stamp] = field(default_factory=dict)
    _gone: list[str] = field(default_factory=list)

    @contextmanager
    def written(self, path: str) -> Iterator[str]:
        """Yield the path to write a file or a folder to."""
        sweep(path)
        self._stamps[path] = _stamp(path)
        name = _name(path)
        _OURS.add(name)
        partial = self._partials[path] = os.path.join(os.path.dirname(path), name)
        LEFT.add(partial)
        with telling(path):
            yield partial
            for name in _files(partial):
                _flush(name)

    def remove(self, path: str) -> None:
        """Have a file of an earlier export gone when all others are in their places."""
        self._gone.append(path)

    def take_places(self) -> None:
        """Put everything in its place: what was begun first comes last, and stands for all."""
        main = next(iter(self._partials), None)
        if main is None:
            return
        with _alone(os.path.dirname(main)):
            self._require_unchanged(main)
            try:
                for path, partial in reversed(self._partials.items()):
                    with telling(path):
                        if path != main and os.path.exists(path):
                            linked(path, partial + _OLD)  # from where it can be put back
                        _put(partial, path)
            except BaseException:
                if os.path.exists(self._partials[main]):
                    self._put_back(main)
                raise
            for path in self._gone:
                _remove(path)
            _flush(os.path.dirname(main))

    def clear(self) -> None:
        """Remove what took no place."""
        for partial in self._partials.values():
            for name in (partial, partial + _OLD, partial + LOG):
                _remove(name)
            _OURS.discard(os.path.basename(partial))
            LEFT.discard(partial)

    def _require_unchanged(self, path: str) -> None:
        """Raise if what was not to be lost has changed since it was looked at."""
        if self.keeps and _stamp(path) != self._stamps[path]:
            raise ExportError(
                f"{path!r} was changed by another while this export was made, and is as that left "
                "it.",
                "Run it again.",
            )

    def _put_back(self, main: str) -> None:
        """Have what stood beside the main file when all began."""
        for path, partial in self._partials.items():
            if path != main and os.path.exists(partial + _OLD):
                os.replace(partial + _OLD, path)
            elif path != main and self._stamps[path] is None:
                _remove(path)


@contextmanager
def together(*, keeps: bool = False) -> Iterator[Files]:
    """Yield what files are written with; they take their places if nothing is raised.

    With ``keeps`` the first of them must be as it was then, lest another's rows are lost.
    """
    files = Files(keeps)
    try:
        yield files
        files.take_places()
    finally:
        files.clear()


@contextmanager
def replaced(path: str) -> Iterator[str]:
    """Yield the path to write a file or a folder to; it takes its place if nothing is raised."""
    with together() as files, files.written(os.path.realpath(path)) as partial:
        yield partial


@contextmanager
def telling(place: str) -> Iterator[None]:
    """Say of what a system refuses which target could not be written."""
    import duckdb

    try:
        yield
    except UsageError:
        raise
    except (
        OSError,
        duckdb.IOException,
        duckdb.OutOfMemoryException,
        duckdb.TransactionException,
        duckdb.FatalException,
        *_STRANGE,
    ) as error:
        raise failed(place, error) from error


def failed(place: str, error: Exception) -> ExportError:
    """Return the error of a target that could not be written."""
    import duckdb

    line = str(error).partition("\n")[0]
    is_full = getattr(error, "errno", None) in _FULL or any(sign in line for sign in IS_FULL)
    room = f"Make room there and in {tempfile.gettempdir()!r}, and run it again."
    hint = room if is_full else "Mend it, and run it again."
    hint = bounded.HINT if isinstance(error, duckdb.OutOfMemoryException) else hint
    return ExportError(f"{place!r} could not be written, and is as it was before: {line}", hint)


def sweep(path: str) -> None:
    """Remove what exports of the same target left here, whose processes are no more."""
    folder = os.path.dirname(path)
    for name in os.listdir(folder):
        found = re.fullmatch(_pattern(path), name)
        if found is None or _is_alive(int(found["process"]), name):
            continue
        left = os.path.join(folder, name)
        if name.endswith(_OLD) and not os.path.exists(path):
            os.rename(left, path)  # killed between two steps where a folder needs two
        else:
            _remove(left)


def _name(path: str) -> str:
    number = f"{next(_NUMBERS)}-{secrets.token_hex(8)}"  # random: nobody can plant a link there
    return f".{os.path.basename(path)}.{HOST}-{os.getpid()}-{number}{_SUFFIX}"


def _pattern(path: str) -> str:
    """Return the pattern of names beside a path under which it may be written."""
    before = re.escape(f".{os.path.basename(path)}.{HOST}-")
    ends = "|".join(map(re.escape, (_OLD, LOG)))
    return rf"{before}(?P<process>\d+)(-\d+)?(-[0-9a-f]+)?{re.escape(_SUFFIX)}({ends})?"


def _is_alive(process: int, name: str) -> bool:
    if process == os.getpid():
        return name.partition(_SUFFIX)[0] + _SUFFIX in _OURS
    return runs(process)


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Keep other exports from taking places in a folder, where a system has such locks."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            handle = stack.enter_context(_opened(folder))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def linked(source: str, place: str) -> None:
    """Have a file at another place too: as a link, or copied where there can be none."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)


def _put(partial: str, path: str) -> None:
    if os.path.isdir(partial) and os.path.isdir(path):
        _exchange(partial, path)
    else:
        os.replace(partial, path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            os.remove(path)


def _files(path: str) -> Iterator[str]:
    """Yield a file, or a folder after all that is in it."""
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)
        yield folder
    if not os.path.isdir(path):
        yield path


def _flush(path: str) -> None:
    """Have a file, or a folder's names, on the disk before what names them is."""
    with suppress(OSError), _opened(path) as handle:  # some file systems flush no folders
        os.fsync(handle)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _exchange(partial: str, path: str) -> None:
    """Put a folder in another's place, in one step where that can be."""
    if _exchange_at_once(partial, path):
        return
    aside = partial + _OLD
    os.rename(path, aside)
    try:
        os.rename(partial, path)
    except BaseException:
        if not os.path.exists(path):
            os.rename(aside, path)
        raise


def _exchange_at_once(partial: str, path: str) -> bool:
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(partial), os.fsencode(path)
    at = _AT_CURRENT_FOLDER
    return bool(rename(at, names[0], at, names[1], _EXCHANGE) == 0)
