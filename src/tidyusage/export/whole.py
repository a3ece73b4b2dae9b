"""Files and folders that appear when they are whole, and never half-written.

What is being written has a name of its own beside its target, and takes its place in one step of
the file system.  What a killed export left there is removed by the next one of the same target.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tidyusage.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST: Final = "".join(c if c.isalnum() else "-" for c in socket.gethostname())
_SUFFIX: Final = ".partial"
_AT_CURRENT_FOLDER: Final = -100
_EXCHANGE: Final = 2


@contextmanager
def replaced(path: str) -> Iterator[str]:
    """Yield the path to write a file or a folder to; it takes its place if nothing is raised."""
    import duckdb

    _sweep(path)
    partial = os.path.join(os.path.dirname(path), f"{_prefix(path)}{os.getpid()}{_SUFFIX}")
    _remove(partial)
    try:
        yield partial
        for name in _files(partial):
            _flush(name)
        if os.path.isdir(partial) and os.path.isdir(path):
            _exchange(partial, path)
        else:
            os.replace(partial, path)
        _flush(os.path.dirname(path))
    except ExportError:
        raise
    except (OSError, duckdb.IOException) as error:
        raise failed(path, error) from error
    finally:
        _remove(partial)


def failed(place: str, error: Exception) -> ExportError:
    """Return the error of a target that could not be written."""
    line = str(error).partition("\n")[0]
    is_full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space" in line
    hint = "Make room, and run it again." if is_full else "Mend it, and run it again."
    return ExportError(f"{place!r} could not be written, and is as it was before: {line}", hint)


def _prefix(path: str) -> str:
    return f".{os.path.basename(path)}.{_HOST}-"


def _sweep(path: str) -> None:
    """Remove what exports of the same target left here, whose processes are no more."""
    folder, prefix = os.path.dirname(path), _prefix(path)
    for name in os.listdir(folder):
        process = name.removeprefix(prefix).removesuffix(_SUFFIX)
        is_partial = name.startswith(prefix) and name.endswith(_SUFFIX) and process.isdigit()
        if is_partial and not _is_alive(int(process)):
            _remove(os.path.join(folder, name))


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


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
    """Put a folder in another's place, which ends up in its own; in one step where that can be."""
    if _exchange_at_once(partial, path):
        return
    aside = f"{partial}.old"
    os.rename(path, aside)
    try:
        os.rename(partial, path)
    except OSError:
        os.rename(aside, path)
        raise
    os.rename(aside, partial)


def _exchange_at_once(partial: str, path: str) -> bool:
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(partial), os.fsencode(path)
    at = _AT_CURRENT_FOLDER
    return bool(rename(at, names[0], at, names[1], _EXCHANGE) == 0)
