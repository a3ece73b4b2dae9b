"""A folder in which pages land: each whole or not at all, and a manifest that says which.

`tidyusage.io.fetch_manifest` reads what is written here.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from tidyusage.api.query import Query
from tidyusage.errors import OptionError, SourceError
from tidyusage.io import fetch_manifest
from tidyusage.io.fetch_manifest import Entry, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidyusage.api.pages import Page

_PARTIAL: Final = ".partial"
_LOCK: Final = ".lock"


@dataclass(slots=True)
class Landing:
    """A folder that this process alone writes to."""

    folder: str
    runs: list[Run] = field(default_factory=list)
    last: int = 0

    def begin(self, query: Query, service: str, every: str | None) -> Run:
        """Note that a query is to be fetched."""
        self.last += 1
        names = (query.account or "account", query.report_type or "default")
        slugs = (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] for name in names)
        run = Run(f"{self.last:06}-{'-'.join(slugs)}", described(query, service, every), _now())
        self._note(event="begin", run=run.name, query=run.query, at=run.begun)
        self.runs.append(run)
        return run

    def is_whole(self, run: Run) -> bool:
        """Tell whether all pages of a run are as they were written."""
        return all(_is_whole(os.path.join(self.folder, page.file), page) for page in run.pages)

    def void(self, run: Run) -> None:
        """Remove a run, of which another has all."""
        self._note(event="void", run=run.name)
        self.runs.remove(run)
        shutil.rmtree(os.path.join(self.folder, run.name), ignore_errors=True)

    def land(self, run: Run, page: Page) -> None:
        """Write a page, and then that it is there."""
        name = os.path.join(run.name, f"{page.number:06}.ndjson.gz")
        lines = list(page.lines())
        packed = gzip.compress(b"".join(lines), compresslevel=6, mtime=0)
        _write(os.path.join(self.folder, name), packed)
        entry = Entry(
            name.replace(os.sep, "/"),
            len(lines),
            len(packed),
            hashlib.sha256(packed).hexdigest(),
            page.next_cursor,
            page.is_partial,
        )
        self._note(
            event="page",
            run=run.name,
            file=entry.file,
            records=entry.records,
            bytes=entry.size,
            sha256=entry.sha256,
            next_cursor=entry.next_cursor,
            partial=entry.is_partial,
        )
        run.pages.append(entry)

    def end(self, run: Run) -> None:
        """Note that a run is whole."""
        records = sum(page.records for page in run.pages)
        self._note(event="end", run=run.name, pages=len(run.pages), records=records, at=_now())
        run.is_ended = True
        self._clean(run)

    def _clean(self, run: Run) -> None:
        """Remove what a killed fetch began to write."""
        folder = os.path.join(self.folder, run.name)
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(_PARTIAL):
                os.remove(os.path.join(folder, name))

    def _note(self, **event: Any) -> None:
        path = os.path.join(self.folder, fetch_manifest.NAME)
        with open(path, "ab") as stream:
            stream.write(orjson.dumps(event) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


@contextmanager
def landing(folder: str) -> Iterator[Landing]:
    """Open a folder for this process alone; it is made if there is none."""
    from filelock import FileLock, Timeout

    if not folder or (os.path.exists(folder) and not os.path.isdir(folder)):
        what = "is a file" if folder else "names nothing"
        raise OptionError(f"into={folder!r} {what}.", "Give a folder, which may not be there.")
    os.makedirs(folder, exist_ok=True)
    lock = FileLock(os.path.join(folder, _LOCK), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SourceError(
            f"Another fetch is writing to {folder!r}.", "Wait for its end, or give another folder."
        ) from None
    with lock:
        _cut_unfinished_line(folder)
        runs, names = fetch_manifest.read(folder), fetch_manifest.names(folder)
        for name in set(names).difference(run.name for run in runs):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)  # void since a kill
        numbers = (int(name.partition("-")[0]) for name in names)
        yield Landing(folder, runs, max(numbers, default=0))


def described(query: Query, service: str, every: str | None) -> dict[str, Any]:
    """Return a query as the manifest has it."""
    return {
        "service": service,
        **query.label(),
        "start_date": query.start,
        "end_date": query.end,
        "every": every,
        "parameters": [list(pair) for pair in query.parameters],
    }


def asked(run: Run) -> Query:
    """Return the query that a run was of."""
    of = run.query
    pairs = tuple((name, value) for name, value in of["parameters"])
    return Query(of["account"], of["report_type"], of["start_date"], of["end_date"], pairs)


def _write(path: str, data: bytes) -> None:
    """Write a file under a name that no reader takes, then give it its own."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    partial = os.path.join(folder, f".{name}{_PARTIAL}")
    with open(partial, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def _is_whole(path: str, page: Entry) -> bool:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == page.sha256
    except OSError:
        return False


def _cut_unfinished_line(folder: str) -> None:
    """Remove what a killed fetch began to write."""
    path = os.path.join(folder, fetch_manifest.NAME)
    if not os.path.exists(path):
        return
    with open(path, "rb+") as stream:
        text = stream.read()
        stream.truncate(text.rfind(b"\n") + 1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
