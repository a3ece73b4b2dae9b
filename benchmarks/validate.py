"""Validation beside reading the same rows: ``python benchmarks/validate.py``.

``wide().validate`` is pandera's own way through the same rules, lazily, as it is used without
`validate_usage`.  CPU seconds are of all threads; memory is what is more after a call than before.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import psutil

import tidyusage as tu
from metrics import wide
from run import DATA, _ready
from tidyusage.engines import frames

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    arguments = _arguments()
    frame = wide(arguments.rows)
    reading = timed(partial(_read, arguments.rows), 1)
    lines = [f"{arguments.rows:,} wide rows, {arguments.rounds} rounds, medians.", ""]
    lines += ["| call | library | seconds | CPU seconds | over reading | MB more after |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    lines.append(line("read_usage", "Polars", reading, reading))
    for library, of in {"Polars": frame, "pandas": frames.to_pandas(frame.to_arrow())}.items():
        for name, call in calls(of, library.lower()).items():
            lines.append(line(name, library, timed(call, arguments.rounds), reading))
    print("\n".join(lines))


def calls(frame: Any, library: Any) -> dict[str, Callable[[], Any]]:
    schema = tu.schemas.wide(library)
    bad = _with_bad_rows(frame)
    return {
        "validate_usage": lambda: tu.validate_usage(frame),
        "filter_usage": lambda: tu.filter_usage(frame),
        "filter_usage, 1 % bad": lambda: tu.filter_usage(bad),
        "wide().validate": lambda: schema.validate(frame, lazy=True),
    }


def _with_bad_rows(frame: Any) -> Any:
    """Return a frame in which every hundredth row breaks a rule."""
    name = "usage.requests.total"
    if isinstance(frame, pl.DataFrame):
        is_bad = pl.int_range(pl.len()) % 100 == 0
        return frame.with_columns(pl.when(is_bad).then(-1.0).otherwise(name).alias(name))
    return frame.assign(**{name: frame[name].mask(frame.reset_index().index % 100 == 0, -1.0)})


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Return the median seconds and CPU seconds of a call, and the most that memory was more after it."""
    process = psutil.Process()
    seconds, cpu, grown = [], [], []
    for _ in range(rounds):
        gc.collect()
        before = process.memory_info().rss
        start, start_cpu = time.perf_counter(), time.process_time()
        kept = call()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
        grown.append(process.memory_info().rss - before)
        del kept
    return statistics.median(seconds), statistics.median(cpu), max(grown)


def line(
    name: str, library: str, took: tuple[float, float, float], reading: tuple[float, float, float]
) -> str:
    seconds, cpu, grown = took
    ratio = cpu / reading[1]
    return (
        f"| `{name}` | {library} | {seconds:.2f} | {cpu:.2f} | {ratio:.2f}× | {grown / 1e6:.0f} |"
    )


def _read(rows: int) -> Any:
    """Read as many records as there are in the file of 100,000, as often as it takes."""
    path = Path(DATA) / "usage-100000.ndjson"
    _ready(path, 100_000)
    for _ in range(max(rows // 100_000, 1)):
        frame = tu.read_usage(path, backend="polars")
    return frame


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
