"""The manifest of a landing folder: its fetches, and whether each is complete.

It is a journal, `_manifest.ndjson`: one line an event, only ever added to, so that a fetch that is
killed leaves at most its last line unfinished.  Events: ``begin`` (a run, with its query),
``page`` (a file that is whole, and the cursor of the next), ``end``, and ``void`` (another run has
all that this one had).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from tidyusage.errors import PartialWarning, SourceError, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = "_manifest.ndjson"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """A page's file, with what it must be."""

    file: str
    records: int
    size: int
    sha256: str
    next_cursor: str | None
    is_partial: bool


@dataclass(slots=True)
class Run:
    """One query from its first page to its last."""

    name: str
    query: dict[str, Any]
    begun: str
    pages: list[Entry] = field(default_factory=list)
    is_ended: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether the service said of a page that it is not all."""
        return any(page.is_partial for page in self.pages)


def read(folder: str) -> list[Run]:
    """Return the runs of a folder, in the order in which they began; none without a manifest."""
    runs: dict[str, Run] = {}
    for number, line in enumerate(_lines(folder), start=1):
        try:
            _apply(runs, orjson.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"Line {number} of {os.path.join(folder, NAME)!r} is no event of a fetch: {error}.",
                "The manifest is damaged: restore it, or fetch into a new folder.",
            ) from None
    return list(runs.values())


def names(folder: str) -> list[str]:
    """Return the names of all runs that ever began, void ones too."""
    events = map(orjson.loads, _lines(folder))
    return [event["run"] for event in events if event["event"] == "begin"]


def _lines(folder: str) -> list[bytes]:
    """Return the lines of a folder's manifest but one that was never finished."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as stream:
        return stream.read().split(b"\n")[:-1]


def _apply(runs: dict[str, Run], event: dict[str, Any]) -> None:
    kind, name = event["event"], event["run"]
    if kind == "begin":
        runs[name] = Run(name, event["query"], event["at"])
    elif kind == "page":
        runs[name].pages.append(
            Entry(
                event["file"],
                event["records"],
                event["bytes"],
                event["sha256"],
                event["next_cursor"],
                event["partial"],
            )
        )
    elif kind == "void":
        del runs[name]
    elif kind == "end":
        runs[name].is_ended = True
    else:
        raise ValueError(f"event {kind!r}")


def home(path: str) -> str | None:
    """Return the landing folder in which a file lies, if it lies in one."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    return folder if os.path.exists(os.path.join(folder, NAME)) else None


def warn_of_gaps(paths: Iterable[str]) -> None:
    """Warn of landing folders that do not hold all that was asked for."""
    for folder in dict.fromkeys(filter(None, map(home, paths))):
        runs = read(folder)
        problems = [problem for run in runs for problem in _problems(folder, run)]
        if problems:
            more = f" and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
            warn(
                f"{folder!r} does not hold all that was asked for: "
                f"{'; '.join(problems[:_SHOWN])}{more}. Run the same fetch again.",
                PartialWarning,
            )


def _problems(folder: str, run: Run) -> Iterable[str]:
    report = run.query.get("report_type") or "the default report"
    name = f"{report} of account {run.query.get('account')} from {run.query.get('start_date')}"
    if not run.is_ended:
        yield f"{name} is unfinished, with {len(run.pages):,} pages"
    if run.is_partial:
        yield f"{name} has pages that the service called partial"
    lost = [page.file for page in run.pages if _size(os.path.join(folder, page.file)) != page.size]
    if lost:
        yield f"{name} lacks {len(lost):,} pages that it had, such as {lost[0]!r}"


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1
