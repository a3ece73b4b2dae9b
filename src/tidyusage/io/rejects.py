"""Rejected records: what is kept of them, and how the caller is told."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Final

from tidyusage._utils.atomic import replacing
from tidyusage.errors import OptionError, RecordError, RejectWarning, counted, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SHOWN: Final = 5
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was set aside."""

    source: str
    line: int | None
    id: str | None
    path: str
    expected: str
    found: str
    raw: str

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        id_ = "" if self.id is None else f" (id {_short(self.id)!r})"
        path, found = _short(self.path), _short(self.found)
        return f"{self.source}{line}{id_}: {path}: expected {self.expected}, found {found}"


def _short(text: str) -> str:
    """Return a text as a message shows it; the file of rejects has all of it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class Spilled:
    """Rejects in a file, of which memory need not hold all."""

    def __init__(self, path: str) -> None:
        self._path, self._count = path, 0

    def extend(self, rejects: Iterable[Reject]) -> None:
        """Put rejects behind those that are there."""
        with open(self._path, "a", encoding="utf-8", errors="surrogateescape") as stream:
            for reject in rejects:
                stream.write(json.dumps(asdict(reject)) + "\n")
                self._count += 1

    def clear(self) -> None:
        """Forget all of them."""
        self._count = 0
        if os.path.exists(self._path):
            os.remove(self._path)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Reject]:
        if not self._count:
            return
        with open(self._path, encoding="utf-8") as stream:
            for line in stream:
                yield Reject(**json.loads(line))


def check_target(target: str | os.PathLike[str]) -> None:
    """Refuse a target that is no file to be replaced: only one of an earlier run is."""
    path = os.fspath(target)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise OptionError(
            f"rejects={path!r} lies in a folder that does not exist.", "Make the folder first."
        )
    if os.path.isdir(path):
        raise OptionError(f"rejects={path!r} is a folder.", "Name a file in it.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OptionError(
            f"rejects={path!r} is a device or a pipe, which cannot be replaced.", "Name a file."
        )
    if os.path.exists(path) and not _is_of_an_earlier_run(path):
        raise OptionError(
            f"rejects={path!r} is a file that holds something else; it would be replaced.",
            "Name a new file, or one of an earlier run.",
        )


def is_same(path: str, rejects: str | os.PathLike[str] | None) -> bool:
    """Tell whether a file is that of an earlier run's rejects, which is no source."""
    return rejects is not None and os.path.exists(rejects) and os.path.samefile(path, rejects)


def _is_of_an_earlier_run(path: str) -> bool:
    with open(path, "rb") as stream:
        line = stream.readline()
    if not line.strip():
        return True
    try:
        return list(json.loads(line)) == [field.name for field in fields(Reject)]
    except (ValueError, TypeError):
        return False


def report(rejects: Sequence[Reject] | Spilled, target: str | os.PathLike[str] | None) -> None:
    """Raise over the rejects, or write them to a file and warn; the file of an earlier run goes."""
    if target is None:
        if rejects:
            raise RecordError(_summary(rejects), "Give rejects=PATH to set such records aside.")
        return
    if not rejects:
        if os.path.exists(target):
            os.remove(target)
        return
    write(rejects, target)
    message = f"{counted(len(rejects))} set aside in {os.fspath(target)}."
    warn(message, RejectWarning)


def _summary(rejects: Sequence[Reject] | Spilled) -> str:
    shown = [f"  {reject}" for reject in islice(rejects, SHOWN)]
    more = [f"  … and {len(rejects) - SHOWN:,} more"] if len(rejects) > SHOWN else []
    return "\n".join([f"{counted(len(rejects))} cannot be read:", *shown, *more])


def write(rejects: Sequence[Reject] | Spilled, target: str | os.PathLike[str]) -> None:
    """Write rejects as NDJSON, to a file that is complete or absent."""
    with (
        replacing(target) as partial,
        open(partial, "w", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        stream.writelines(
            json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects
        )
