"""Time and memory from 10⁵ to 10⁷ records: ``python benchmarks/scale.py``.

Three tasks on each engine, each a fresh process: NDJSON to Parquet in partitions by day, `cost_by`
over that Parquet, and `validate_usage` over it.  Peak memory is that of the process and all that it
started.  Growth is that of time over that of records since the size before: 1 is in proportion.

``--sizes 10000 100000`` is quick.  10⁷ records are 9 GB of text, and take as much again to sort.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import local_spark
from generate import DATA, default_path, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

TASKS: Final = {
    "write": "NDJSON → Parquet",
    "cost": "`cost_by`",
    "validate": "`validate_usage`",
}
PART: Final = 100_000
SIZES: Final = (10**5, 10**6, 10**7)
HERE: Final = Path(__file__)
_TICK: Final = 0.1


class Place(NamedTuple):
    """Where a task reads and writes, and what it may hold."""

    texts: str
    out: str
    spill: str
    memory: str

    @property
    def parquet(self) -> str:
        """The files that the first task has written."""
        return f"{self.out}/usage_wide/**/*.parquet"


class Found(NamedTuple):
    """What a task took; None where it did not come to its end."""

    seconds: float
    megabytes: float


def duckdb_write(place: Place) -> None:
    import tidyusage as tu

    limits = {"memory_limit": place.memory, "temp_directory": place.spill}
    relation = tu.read_usage(place.texts, backend="duckdb", progress=False, **limits)
    tu.export_usage(relation, f"{place.out}/", partition_by="day")


def duckdb_cost(place: Place) -> None:
    import tidyusage as tu

    tu.cost_by(_relation(place), "model.id").to_arrow_table()


def duckdb_validate(place: Place) -> None:
    import tidyusage as tu

    tu.validate_usage(_relation(place))


def _relation(place: Place) -> Any:
    import duckdb

    limits = {"memory_limit": place.memory, "temp_directory": place.spill}
    return duckdb.connect(config=limits).read_parquet(place.parquet)


def polars_write(place: Place) -> None:
    """Read file by file, for a frame is in memory; there is no id on two of them."""
    import polars as pl

    import tidyusage as tu

    for number, path in enumerate(sorted(Path(place.texts).iterdir())):
        frame = tu.read_usage(path, backend="polars", sep="_", progress=False)
        day = pl.col("start_date").dt.strftime("%Y-%m-%d").alias("day")
        for (name,), rows in frame.sort("start_date", "product_id", "id").group_by(day):
            folder = Path(place.out, "usage_wide", f"day={name}")
            folder.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(folder / f"{number}.parquet", compression="zstd")


def polars_cost(place: Place) -> None:
    import polars as pl

    import tidyusage as tu

    tu.cost_by(pl.scan_parquet(place.parquet), "model.id").collect(engine="streaming")


def polars_validate(place: Place) -> None:
    import polars as pl

    import tidyusage as tu

    checked = tu.validate_usage(pl.scan_parquet(place.parquet))
    checked.select(pl.len()).collect(engine="streaming")


def spark_write(place: Place) -> None:
    import tidyusage as tu

    with _spark(place) as session:
        frame = tu.read_usage(place.texts, backend="pyspark", session=session)
        tu.export_usage(frame, f"{place.out}/", partition_by="day")


def spark_cost(place: Place) -> None:
    import tidyusage as tu

    with _spark(place) as session:
        tu.cost_by(session.read.parquet(f"{place.out}/usage_wide"), "model_id").toArrow()


def spark_validate(place: Place) -> None:
    import tidyusage as tu

    with _spark(place) as session:
        tu.validate_usage(session.read.parquet(f"{place.out}/usage_wide"))


def _spark(place: Place) -> AbstractContextManager[Any]:
    memory = place.memory.lower().removesuffix("b")  # as Java writes it
    return local_spark.started(place.spill, memory)


ENGINES: Final[dict[str, dict[str, Callable[[Place], None]]]] = {
    "duckdb": {"write": duckdb_write, "cost": duckdb_cost, "validate": duckdb_validate},
    "polars": {"write": polars_write, "cost": polars_cost, "validate": polars_validate},
    "spark": {"write": spark_write, "cost": spark_cost, "validate": spark_validate},
}


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _child(*arguments.child)
        return
    print(f"{os.cpu_count()} cores; DuckDB and Java within {arguments.memory}.\n")
    print("| records | engine | task | s | MB | rows/s/core | growth |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
    before: dict[tuple[str, str], tuple[int, Found]] = {}
    for size in arguments.sizes:
        texts = _texts(size, arguments.folder)
        try:
            for engine in arguments.engines:
                for task, found in _measured(engine, str(texts), arguments):
                    name = f"| {size:,} | {engine} | {TASKS[task]} |"
                    print(_row(name, size, found, before.get((engine, task))), flush=True)
                    if found:
                        before[engine, task] = size, found
        finally:
            shutil.rmtree(texts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of records")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--memory", default="2GB", help="the limit that DuckDB and Java are given")
    parser.add_argument("--most", type=float, default=16, help="GB that any process may ask for")
    parser.add_argument("--folder", type=Path, default=DATA, help="where text and Parquet go")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _texts(size: int, folder: Path) -> Path:
    """Write records into files of a folder: the same ones again and again, under other ids."""
    base = default_path(min(size, PART))
    if not base.exists():
        generate(min(size, PART), base)
    texts = folder / f"scale-{size}"
    texts.mkdir(parents=True, exist_ok=True)
    lines = base.read_bytes().splitlines(keepends=True)
    for number in range(-(-size // PART)):
        own = f'{{"id":"{number:05}-'.encode()
        with (texts / f"part-{number:05}.ndjson").open("wb") as file:
            file.writelines(own + line.removeprefix(b'{"id":"') for line in lines)
    return texts


def _measured(
    engine: str, texts: str, arguments: argparse.Namespace
) -> Iterator[tuple[str, Found | None]]:
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        spill = os.path.join(folder, "spill")
        os.mkdir(spill)
        place = Place(texts, os.path.join(folder, "out"), spill, arguments.memory)
        for task in TASKS:
            yield task, _run(engine, task, place, arguments.most)


def _run(engine: str, task: str, place: Place, most: float) -> Found | None:
    """Run a task in a fresh process, and watch how much it and its children hold."""
    command = [sys.executable, str(HERE), "--child", engine, task, json.dumps([*place, most])]
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, _held(process.pid))
            time.sleep(_TICK)
    seconds = time.perf_counter() - begun
    return Found(seconds, peak / 1e6) if process.returncode == 0 else None


def _child(engine: str, task: str, told: str) -> None:
    *place, most = json.loads(told)
    if engine != "spark":  # Java asks for room that it does not use, and is bound by its heap
        limit = int(most * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    ENGINES[engine][task](Place(*place))


def _held(process: int) -> int:
    """Return how many bytes a process and all that it started hold."""
    held = 0
    with suppress(OSError, ValueError, IndexError):  # it may end meanwhile
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        held = pages * resource.getpagesize()
        for task in os.listdir(f"/proc/{process}/task"):
            children = Path(f"/proc/{process}/task/{task}/children").read_text().split()
            held += sum(_held(int(child)) for child in children)
    return held


def _row(name: str, size: int, found: Found | None, before: tuple[int, Found] | None) -> str:
    if found is None:
        return f"{name} failed | | | |"
    growth = ""
    if before:
        growth = f"{found.seconds / before[1].seconds / (size / before[0]):.2f}"
    speed = size / found.seconds / (os.cpu_count() or 1)
    return f"{name} {found.seconds:,.1f} | {found.megabytes:,.0f} | {speed:,.0f} | {growth} |"


if __name__ == "__main__":
    main()
