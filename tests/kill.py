"""Kill reads, exports and fetches at random points, and look at what is left.

    python tests/kill.py --times 500 --seed 1

Each round starts one of them in a process of its own and sends it SIGKILL: in half of the rounds before
a random step of writing, in the others at a random time.  Then three things must hold:

1. What is visible is all old or all new, never half-written.
2. The same call, made again, succeeds and gives what an undisturbed one gives.
3. Nothing that the killed process began is left beside the target.

A round that breaks one of these is printed with its seed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

# Imports of the library and of other tests are inside the functions: every process that is to be
# killed imports this module again.

RECORDS = 3_000
KILLED = -9


@dataclass
class Report:
    """What became of the rounds: outcomes by kind, and what did not hold."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> int:
        """Return how many rounds ended in one way."""
        return sum(n for (_, found), n in self.outcomes.items() if found == outcome)

    def __str__(self) -> str:
        """Return a table of the outcomes by kind, and the failures."""
        kinds = sorted({kind for kind, _ in self.outcomes})
        lines = [f"{'':24}{'old':>6}{'new':>6}{'ended':>7}"]
        for kind in kinds:
            old, new, ended = (self.outcomes[kind, each] for each in ("old", "new", "ended"))
            lines.append(f"{kind:24}{old:6}{new:6}{ended:7}")
        lines.append(f"{sum(self.outcomes.values())} rounds, {len(self.failures)} failures")
        return "\n".join([*lines, *self.failures])


def read(source: str, rejects: str, temporary: str) -> None:
    """Read a file with records that cannot be read; they are set aside."""
    import tidyusage as tu

    warnings.simplefilter("ignore")
    tempfile.tempdir = temporary
    tu.read_usage(source, rejects=rejects, backend="polars")


def read_and_die(source: str, rejects: str, temporary: str, step: int) -> None:
    """Read, and kill this process before the given step of writing the file of rejects."""
    left = [step]
    folder = os.path.dirname(rejects)

    def heard(event: str, args: tuple[Any, ...]) -> None:
        is_opened = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)
        is_written = is_opened or event in {"os.rename", "os.remove"}
        if is_written and str(args[0]).startswith(folder):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(heard)
    read(source, rejects, temporary)


class Reads:
    """Reads with `rejects=`: the file of rejects of an earlier run is there, or none."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.source = os.path.join(folder, "usage.ndjson")
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(RECORDS):
                amount = "many" if n % 3 == 0 else n
                charge = {"type": "net", "amount": amount, "currency": "USD"}
                file.write(json.dumps({"id": f"r{n}", "charges": [charge]}) + "\n")
        self.whole = os.path.join(folder, "whole.ndjson")
        for _ in range(2):  # the first one waits for imports
            began = time.monotonic()
            self._start(self.whole).join(120)
            self.duration = time.monotonic() - began
        self.new = _content(self.whole)
        assert self.new is not None
        assert self.new.count(b"\n") == RECORDS / 3

    def _start(self, rejects: str) -> Any:
        import processes

        return processes.run(read, self.source, rejects, self.folder)

    def round(self, draw: random.Random, number: int) -> tuple[str, str]:
        """Kill one read; return what it was and what was found."""
        import processes
        import tidyusage as tu

        folder = os.path.join(self.folder, f"read-{number}")
        os.mkdir(folder)
        rejects = os.path.join(folder, "rejects.ndjson")
        old = draw.choice([None, self.new.partition(b"\n")[0] + b"\n"])  # fewer were rejected
        if old is not None:
            with open(rejects, "wb") as file:
                file.write(old)
        if draw.random() < 0.5:
            step = draw.randrange(4)
            process = processes.run(read_and_die, self.source, rejects, self.folder, step)
        else:
            process = self._start(rejects)
            time.sleep(draw.uniform(0.0, 1.1) * self.duration)
            process.kill()
        process.join(120)
        found = _content(rejects)
        _require(found in {old, self.new}, f"the rejects are half-written: {found!r:.200}")
        _require(process.exitcode == KILLED or found == self.new, "it ended without its rejects")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = tu.read_usage(self.source, rejects=rejects, backend="polars")
        _require(frame.height == RECORDS - RECORDS // 3, f"{frame.height} rows when read again")
        _require(_content(rejects) == self.new, "other rejects when read again")
        _require(os.listdir(folder) == ["rejects.ndjson"], f"left: {sorted(os.listdir(folder))}")
        shutil.rmtree(folder)
        return "read", _outcome(process, is_new=found == self.new)


class Exports:
    """Exports to every target, in every mode that it takes."""

    def __init__(self, folder: str, url: str) -> None:
        import test_export_faults as faults

        self.faults = faults
        self.folder, self.url = folder, url
        faults.BEGUN["in"] = os.path.join(folder, "begun")
        os.makedirs(faults.BEGUN["in"], exist_ok=True)
        self.whole: dict[tuple[str, str], tuple[Any, Any, float]] = {}

    def _place(self, name: str, folder: str) -> Any:
        os.makedirs(folder)
        return self.faults.Place(name, folder, self.url)

    def _ended(self, name: str, mode: str) -> tuple[Any, Any, float]:
        """Return what is there before and after an export that nobody kills, and how long it takes."""
        import export_process
        import processes

        if (name, mode) not in self.whole:
            place = self._place(name, os.path.join(self.folder, f"ended-{name}-{mode}"))
            before, began = place.begin(mode), time.monotonic()
            given = (place.target, mode, place.options, place.folder)
            process = processes.run(export_process.export_aside, *given)
            process.join(120)
            _require(process.exitcode == 0, f"an export that nobody killed: {process.exitcode}")
            self.whole[name, mode] = before, place.rows(), time.monotonic() - began
        return self.whole[name, mode]

    def round(self, draw: random.Random, number: int) -> tuple[str, str]:
        """Kill one export; return what it was and what was found."""
        import export_process
        import processes

        # What is appended has an id that is there, which PostgreSQL's primary key rightly refuses.
        cases = [case for case in self.faults.CASES if case != ("postgres", "append")]
        name, mode = draw.choice(cases)
        before, after, duration = self._ended(name, mode)
        folder = os.path.join(self.folder, f"export-{number}", "in")
        place = self._place(name, folder)
        kind = f"export {name} {mode}"
        _require(place.begin(mode) == before, f"{kind}: it began with other rows")
        given = (place.target, mode, place.options, place.folder)
        if draw.random() < 0.5:
            process = processes.run(export_process.export_and_die, *given, draw.randrange(25))
        else:
            process = processes.run(export_process.export_aside, *given)
            time.sleep(draw.uniform(0.0, 1.1) * duration)
            process.kill()
        process.join(120)
        found = place.rows()
        _require(found in (before, after), f"{kind}: half-written, {len(found or ())} rows")
        if mode in {"overwrite", "upsert"}:  # the others refuse what is there, or add it twice
            export_process.export(place.target, mode, place.options)
            _require(place.rows() == after, f"{kind}: other rows when exported again")
        place.export("xyz", "overwrite", "last")
        last = sum("last" in row for row in place.rows())
        _require(last == 3, f"{kind}: {last} of 3 rows in the next export")
        left = [n for n in place.names() if ".partial" in n or n.endswith((".wal", ".old"))]
        _require(not left, f"{kind}: left {left}")
        shutil.rmtree(os.path.dirname(folder))
        return f"export {name}", _outcome(process, is_new=found == after)


class Fetches:
    """Fetches into a landing folder, of several accounts' pages."""

    def __init__(self, folder: str, server: Any) -> None:
        import landing_process

        self.folder, self.server = folder, server
        whole = os.path.join(folder, "whole")
        for _ in range(2):
            shutil.rmtree(whole, ignore_errors=True)
            began = time.monotonic()
            self._start(landing_process.fetch, whole).join(120)
            self.duration = time.monotonic() - began
        self.rows = self._rows(whole)
        assert self.rows.height == 400

    def _start(self, function: Any, folder: str, *more: Any) -> Any:
        import landing_process
        import processes

        return processes.run(function, self.server.url, folder, *landing_process.OF, *more)

    def _rows(self, folder: str) -> Any:
        import tidyusage as tu

        frame = tu.read_usage(folder, backend="polars", duplicates="raise")
        return frame.sort("source.report_type", "id")

    def round(self, draw: random.Random, number: int) -> tuple[str, str]:
        """Kill one fetch; return what it was and what was found."""
        import gzip

        import landing_process

        folder = os.path.join(self.folder, f"fetch-{number}")
        if draw.random() < 0.5:
            process = self._start(landing_process.fetch_and_die, folder, draw.randrange(90))
        else:
            process = self._start(landing_process.fetch, folder)
            time.sleep(draw.uniform(0.0, 1.1) * self.duration)
            process.kill()
        process.join(120)
        pages = [
            os.path.join(inner, name)
            for inner, _, names in os.walk(folder)
            for name in names
            if name.endswith(".gz")
        ]
        for page in pages:
            with gzip.open(page) as file:
                _require(all(map(json.loads, file)), f"fetch: half a page, {page}")
        landing_process.fetch(self.server.url, folder, *landing_process.OF)
        found = self._rows(folder)
        _require(found.equals(self.rows), f"fetch: {found.height} rows when fetched again")
        left = [name for _, _, names in os.walk(folder) for name in names if "partial" in name]
        _require(not left, f"fetch: left {left}")
        shutil.rmtree(folder)
        return "fetch", _outcome(process, is_new=len(pages) == 20)


def run(times: int, seed: int, *, seconds: float = float("inf")) -> Report:
    """Kill so many times, or for so many seconds, and report."""
    from api_server import records, serving
    from servers import postgres
    from tidyusage.api import limits

    report, began = Report(), time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tidyusage-kill-"))
        url = stack.enter_context(postgres())
        server, server_url = stack.enter_context(serving())
        server.url = server_url
        limits.SECONDS = 0.0
        server.page_size, server.delay = 20, 0.003
        server.records = {("a1", name): records(200) for name in ("cost", "user_usage")}
        places = [os.path.join(folder, name) for name in ("reads", "exports", "fetches")]
        for place in places:
            os.mkdir(place)
        kinds = [Reads(places[0]), Exports(places[1], url), Fetches(places[2], server)]
        for number in range(times):
            if time.monotonic() - began > seconds:
                break
            draw = random.Random(f"{seed}-{number}")  # noqa: S311 - points in time are no secret
            # Exports are of ten kinds and five modes, so they get more rounds.
            (kind,) = draw.choices(kinds, weights=(1, 3, 1))
            try:
                report.outcomes[kind.round(draw, number)] += 1
            except Exception as error:  # noqa: BLE001 - the rounds go on
                report.outcomes[type(kind).__name__, "failed"] += 1
                told = traceback.format_exc() if not isinstance(error, AssertionError) else error
                report.failures.append(f"--seed {seed}, round {number}: {told}")
                sys.stdout.write(report.failures[-1] + "\n")
    return report


def _outcome(process: Any, *, is_new: bool) -> str:
    return "ended" if process.exitcode != KILLED else "new" if is_new else "old"


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    given = parser.parse_args()
    report = run(given.times, given.seed, seconds=given.seconds)
    sys.stdout.write(f"{report}\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
