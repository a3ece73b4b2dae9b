"""Exports beside the libraries' own writers: ``python benchmarks/export.py``.

The peers write the same rows under the same names: PyArrow the same Arrow table to Parquet (zstd),
Polars the same frame to CSV, its lists made JSON by DuckDB (Polars writes no lists), and COPY of a
CSV that is there already into a PostgreSQL on loopback, into a table of the same columns with the
same key.  Ours checks, sorts (Parquet), neutralises (CSV), adds up the manifest, and flushes to the
disk.  Rounds alternate; a ratio is the median of ours over the median of theirs.

``--memory`` tells the peak of a process that exports a file by a relation, for files of two sizes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import psycopg
import pyarrow.parquet as pq

import tidyusage as tu
from generate import default_path, generate
from metrics import wide
from tidyusage._utils.sql import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    Pair = tuple[Callable[[], Any], Callable[[], Any], str]

sys.path.append(str(Path(__file__).parents[1] / "tests"))
MODE: Any = {"mode": "overwrite"}
NESTED = ["charges", "resources", "usage.code.tool_actions"]
CHILD = """
import resource, sys
import duckdb
import tidyusage as tu
connection = duckdb.connect(config={"memory_limit": "1GB"})
rows = tu.read_usage(sys.argv[1], backend="duckdb", connection=connection)
tu.export_usage(rows, sys.argv[2], mode="overwrite")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    arguments = _arguments()
    if arguments.memory:
        memory(arguments.rows)
        return
    frame = wide(arguments.rows).rename(lambda name: name.replace(".", "_"))
    print(f"{arguments.rows:,} wide rows, medians of {arguments.rounds} rounds.\n")
    print("| target | ours, s | theirs, s | ratio | theirs |")
    print("| --- | ---: | ---: | ---: | --- |")
    from servers import postgres

    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        os.chdir(folder)
        for name, (ours, theirs, peer) in {**pairs(frame), **database(frame, url)}.items():
            left, right = alternated(ours, theirs, arguments.rounds)
            print(f"| {name} | {left:.2f} | {right:.2f} | {left / right:.2f}× | {peer} |")
        os.chdir(os.path.dirname(folder))


def pairs(frame: pl.DataFrame) -> dict[str, Pair]:
    table = frame.to_arrow()
    plain = frame.select(name for name, type_ in frame.schema.items() if not type_.is_nested())
    return {
        "Parquet": (
            lambda: tu.export_usage(table, "ours.parquet", **MODE),
            lambda: pq.write_table(table, "theirs.parquet", compression="zstd"),
            "`pyarrow.parquet.write_table`",
        ),
        "CSV": (
            lambda: tu.export_usage(frame, "ours.csv", **MODE),
            lambda: flattened(frame).write_csv("theirs.csv"),
            "`polars.DataFrame.write_csv`, lists as JSON",
        ),
        "CSV, without lists": (
            lambda: tu.export_usage(frame, "ours.csv", drop=NESTED, **MODE),
            lambda: plain.write_csv("theirs.csv"),
            "`polars.DataFrame.write_csv`",
        ),
    }


def flattened(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with its lists as JSON."""
    nested = [name for name, type_ in frame.schema.items() if type_.is_nested()]
    chosen = (f"cast(to_json({quote(name)}) as varchar) as {quote(name)}" for name in nested)
    with duckdb.connect() as connection:
        connection.register("frame", frame.select(nested).to_arrow())
        texts = connection.sql(f"select {', '.join(chosen)} from frame").to_arrow_table()
    return frame.with_columns(pl.from_arrow(texts))


def database(frame: pl.DataFrame, url: str) -> dict[str, Pair]:
    """Return COPY beside ours, which makes the table that COPY fills again."""
    tu.export_usage(frame, f"{url}?schema=theirs", **MODE)
    flattened(frame).write_csv("copied.csv", include_header=False)

    def copied() -> None:
        with psycopg.connect(url) as server, open("copied.csv", "rb") as file:
            server.execute("truncate theirs.usage_wide")
            with server.cursor().copy("copy theirs.usage_wide from stdin (format csv)") as copy:
                while block := file.read(1 << 20):
                    copy.write(block)

    return {
        "PostgreSQL": (
            lambda: tu.export_usage(frame, f"{url}?schema=ours", **MODE),
            copied,
            "`COPY` of a CSV that is there",
        )
    }


def alternated(
    ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int
) -> tuple[float, float]:
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):  # the first one warms up
        for call, measured in zip((ours, theirs), seconds, strict=True):
            begun = time.perf_counter()
            call()
            measured.append(time.perf_counter() - begun)
    return statistics.median(seconds[0][1:]), statistics.median(seconds[1][1:])


def memory(rows: int) -> None:
    print("| target | records | peak MB |")
    print("| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for target in ("usage.parquet", "usage.csv"):
            for count in (rows // 10, rows):
                path = default_path(count)
                if not path.exists():
                    generate(count, path)
                command = [sys.executable, "-c", CHILD, str(path), os.path.join(folder, target)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                print(f"| {target} | {count:,} | {done.stdout.split()[-1]} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
