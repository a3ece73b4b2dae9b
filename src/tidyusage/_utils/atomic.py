"""Write a file completely or not at all: it is written under another name, then renamed."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tidyusage._utils.interrupts import LEFT, remove
from tidyusage._utils.machine import HOST, IS_FULL, runs
from tidyusage.errors import ExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODE = 0o666  # less the umask, as for any new file


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the path of an empty file that replaces ``path`` if the block succeeds.

    The file is in the same folder.  Its name is random and it is created exclusively, so that
    nobody can plant a link there.  A symbolic link keeps pointing to its target, and the target is
    replaced.  What killed processes left of the same file is removed first.

    Raises
    ------
    ExportError
        If the system refuses to write, such as for a full disk; ``path`` is as it was before.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    _sweep(folder, name)
    mark = f"{HOST}-{os.getpid()}-{secrets.token_hex(8)}"
    partial = os.path.join(folder, f".{name}.{mark}.partial")
    LEFT.add(partial)
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
        yield partial
        os.replace(partial, target)
    except UsageError:
        raise
    except Exception as error:
        line = str(error).partition("\n")[0]
        if not isinstance(error, OSError) and not any(sign in line for sign in IS_FULL):
            raise
        raise ExportError(
            f"{os.fspath(path)!r} could not be written, and is as it was before: "
            f"{getattr(error, 'strerror', None) or line}.",
            "Make room there, or write to another folder, and run it again.",
        ) from error
    finally:
        remove(partial)


def _sweep(folder: str, name: str) -> None:
    """Remove the partial files of processes that were killed while they wrote a file."""
    ours = re.compile(rf"\.{re.escape(name)}\.{re.escape(HOST)}-(\d+)-[0-9a-f]{{16}}\.partial")
    with suppress(OSError):  # whether the folder can be written to, its next user finds out
        for left in os.listdir(folder):
            if (found := ours.fullmatch(left)) and not runs(int(found[1])):
                remove(os.path.join(folder, left))
