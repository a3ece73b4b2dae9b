"""The tables: what each task took, and how far ours is from its bars."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tasks import Task

Found = dict[str, float]
# What each round found, by a task's name; None where the task did not come to its end.
Measured = dict[str, list[Found | None]]

LIBRARIES: Final = (
    "tidyusage",
    "duckdb",
    "pandas",
    "polars",
    "pyarrow",
    "orjson",
    "pysimdjson",
    "flatten_json",
)
NOTES: Final = """\
Seconds of the call itself (median of the rounds), the first of a fresh process; imports, and for
"dicts" their loading, come before the clock. CPU seconds are of all cores together; they suffer
less from a busy machine. Peak memory is the whole process's (ru_maxrss): with "dicts" it holds the
records themselves. A ratio is a peer's seconds over ours of the task named.
¹ without tool_actions, which it cannot take. ² dates stay text, tool_actions becomes text that is
no JSON. ³ remote_data is removed first (before the clock): it raises over it."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"
BIG: Final = 1_000_000
SMALL: Final = 100_000
MOST_MEGABYTES: Final = 500
MOST_SHARE: Final = 1 / 4


class Bar(NamedTuple):
    """How many times as long as ours a peer should take."""

    ours: str
    peer: str
    bar: float
    goal: float


BARS: Final = (
    Bar("read-polars", "pandas-file", 10, 15),
    Bar("read-polars", "polars-file", 2.5, 3.5),
    Bar("read-polars", "polars-text", 2.5, 3.5),
    Bar("read-pandas", "pandas-file", 9, 12),
    Bar("dicts-pandas", "pandas-dicts", 3.5, 5),
    Bar("dicts-polars", "polars-dicts", 2, 3),
)


def table(tasks: list[Task], measured: Measured, records: int, path: Path) -> str:
    """Return the table of times and memory, with what it was measured on below."""
    rows = [_row(task, measured) for task in tasks]
    size = f"{records:,} records, {path.stat().st_size / 1e6:,.0f} MB of NDJSON"
    head = ("task", "seconds", "CPU seconds", "peer ÷ ours", "peak MB")
    return "\n".join([f"\n## {size}\n", *_markdown(head, rows), "", NOTES, "", _machine()])


def _row(task: Task, measured: Measured) -> tuple[str, ...]:
    seconds, peak = _median(measured, task.name, "seconds"), _median(measured, task.name)
    busy = _median(measured, task.name, "cpu")
    if seconds is None or busy is None or peak is None:
        return (task.title, "failed", "", "", "")
    ratio = _ratio(measured, task.name, task.against)
    compared = f"{ratio:.1f}{TIMES} {task.against}" if ratio else ""
    return (task.title, f"{seconds:.2f}", f"{busy:.2f}", compared, f"{peak:,.0f}")


def bars(measured: Measured, records: int, small: Path) -> str:
    """Return the table of bars; those of memory and growth are for a million records."""
    rows = [_bar(measured, bar) for bar in BARS if _both(measured, bar)]
    if records >= BIG:
        rows += _memory(measured) + _growth(measured, records, small)
    head = ("bar", "measured", "bar", "goal", "verdict")
    return "\n".join(["", *_markdown(head, rows), ""]) if rows else ""


def _both(measured: Measured, bar: Bar) -> bool:
    return _ratio(measured, bar.peer, bar.ours) is not None


def _bar(measured: Measured, bar: Bar) -> tuple[str, ...]:
    ratio = _ratio(measured, bar.peer, bar.ours) or 0.0
    verdict = "goal" if ratio >= bar.goal else "bar" if ratio >= bar.bar else "**missed**"
    return (
        f"time {bar.peer} ÷ {bar.ours}",
        f"{ratio:.1f}{TIMES}",
        f"≥ {bar.bar:g}{TIMES}",
        f"{bar.goal:g}{TIMES}",
        verdict,
    )


def _memory(measured: Measured) -> list[tuple[str, ...]]:
    rows = []
    for ours in ("read-polars", "read-pandas"):
        share = _ratio(measured, ours, "pandas-file", "megabytes")
        if share is not None:
            met = _met(met=share <= MOST_SHARE)
            name = f"peak memory {ours} ÷ pandas-file"
            rows.append((name, f"{share:.2f}", f"≤ {MOST_SHARE}", "", met))
    peak = _median(measured, "read-duckdb")
    if peak is not None:
        met = _met(met=peak < MOST_MEGABYTES)
        rows.append(("peak MB read-duckdb", f"{peak:,.0f}", f"< {MOST_MEGABYTES}", "", met))
    return rows


def _growth(measured: Measured, records: int, small: Path) -> list[tuple[str, ...]]:
    """Compare with what the run over 100,000 records left behind, if there was one."""
    if not small.exists():
        return [("growth: run 100,000 records first", "", "", "", "")]
    before: Measured = json.loads(small.read_text(encoding="utf-8"))
    rows = []
    for ours in ("read-polars", "read-pandas", "read-duckdb"):
        now, then = _median(measured, ours, "seconds"), _median(before, ours, "seconds")
        if now and then:
            most, grown = records / SMALL, now / then
            name = f"time {ours}, {records:,} ÷ {SMALL:,} records"
            rows.append(
                (name, f"{grown:.1f}{TIMES}", f"≤ {most:g}{TIMES}", "", _met(met=grown <= most))
            )
    return rows


def _met(*, met: bool) -> str:
    return "bar" if met else "**missed**"


def _median(measured: Measured, name: str, what: str = "megabytes") -> float | None:
    found = [each[what] for each in measured.get(name, []) if each]
    return median(found) if found else None


def _ratio(measured: Measured, over: str, under: str, what: str = "seconds") -> float | None:
    """Return the median of the rounds' own ratios: each compares what ran close together."""
    pairs = zip(measured.get(over, []), measured.get(under, []), strict=False)
    ratios = [first[what] / second[what] for first, second in pairs if first and second]
    return median(ratios) if ratios else None


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"Python {platform.python_version()}, {versions}.\n"
        f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} CPUs, "
        f"{memory:.0f} GB."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "processor unknown"
