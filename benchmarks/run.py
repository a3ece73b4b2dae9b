"""Measure everything and print the tables: ``python benchmarks/run.py``.

This process stays small on purpose: on Linux a child's peak memory begins at its parent's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import report
from tasks import TASKS, Task

HERE: Final = Path(__file__).parent
DATA: Final = HERE / "data"


def main() -> None:
    arguments = _arguments()
    path = arguments.path or DATA / f"usage-{arguments.records}.ndjson"
    _ready(path, arguments.records)
    tasks = [task for task in TASKS if any(part in task.name for part in arguments.only or [""])]
    if not tasks:
        sys.exit(f"No task is called so: {', '.join(task.name for task in TASKS)}")
    measured = _measured(tasks, path, arguments.records, arguments.rounds)
    print(report.table(tasks, measured, arguments.records, path))
    print(report.bars(measured, arguments.records, DATA / "measured-100000.json"))
    if path.parent == DATA and len(tasks) == len(TASKS):
        kept = DATA / f"measured-{arguments.records}.json"
        kept.write_text(json.dumps(measured), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="part of a task's name; may be repeated")
    parser.add_argument("--path", type=Path, help="an NDJSON file of so many records")
    return parser.parse_args()


def _ready(path: Path, count: int) -> None:
    """Make the file if it is not there, and have the system's cache hold it before round one."""
    if not path.exists():
        command = [sys.executable, HERE / "generate.py", str(count), path]
        subprocess.run(command, check=True, stdout=sys.stderr)
    with path.open("rb") as stream:
        while stream.read(1 << 20):
            pass


def _measured(tasks: list[Task], path: Path, count: int, rounds: int) -> report.Measured:
    """Run every task once a round, so that a slow minute of the machine hits all alike."""
    measured: report.Measured = {task.name: [] for task in tasks}
    for number in range(1, rounds + 1):
        for task in tasks:
            found = _run(task, path)
            _check(task, found, count)
            measured[task.name].append(found)
            print(f"round {number}: {task.name} {_progress(found)}", file=sys.stderr)
    return measured


def _run(task: Task, path: Path) -> report.Found | None:
    """Run a task in a fresh process; None if it did not come to its end."""
    command = [sys.executable, HERE / "tasks.py", task.name, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stderr:
        print(done.stderr[-2000:], file=sys.stderr)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _check(task: Task, found: report.Found | None, count: int) -> None:
    if found and task.rows == "records" and found["rows"] != count:
        sys.exit(f"{task.name} gave {found['rows']:,.0f} rows for {count:,} records.")


def _progress(found: report.Found | None) -> str:
    return f"{found['seconds']:.2f} s, {found['megabytes']:,.0f} MB" if found else "failed"


if __name__ == "__main__":
    main()
