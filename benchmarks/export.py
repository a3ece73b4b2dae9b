"""Exports beside the libraries' own writers: ``python benchmarks/export.py``.

The peers write the same rows with the same columns under the same names: PyArrow the same Arrow
table to Parquet (zstd), Polars to CSV the same table with its lists as JSON, which is made outside
of its time; psycopg has a PostgreSQL on loopback COPY the same CSV, made beforehand, into a table of
the same columns without a key.  Rounds alternate; a ratio is the median of ours over the median of
theirs.  ``--memory`` tells by how much a process grows that exports a file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

import tidyusage as tu
from metrics import wide
from tidyusage.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.append(str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(_grown(*arguments.child))
        return
    if arguments.memory:
        _memory()
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        frame = wide(arguments.rows).rename(lambda name: name.replace(".", "_"))
        print(f"{arguments.rows:,} wide rows, medians of {arguments.rounds} rounds.\n")
        print("| target | ours, s | theirs, s | ratio | theirs |")
        print("| --- | ---: | ---: | ---: | --- |")
        for name, (ours, theirs, peer) in pairs(frame).items():
            left, right = alternated(ours, theirs, arguments.rounds)
            print(f"| {name} | {left:.2f} | {right:.2f} | {left / right:.2f}× | {peer} |")


def pairs(frame: pl.DataFrame) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], str]]:
    table, flat = frame.to_arrow(), flattened(frame)
    plain = frame.select(name for name, type_ in frame.schema.items() if not type_.is_nested())
    options = {"mode": "overwrite"}
    found = {
        "Parquet": (
            lambda: tu.export_usage(table, "ours.parquet", **options),
            lambda: pq.write_table(table, "theirs.parquet", compression="zstd"),
            "`pyarrow.parquet.write_table`",
        ),
        "CSV": (
            lambda: tu.export_usage(frame, "ours.csv", **options),
            lambda: flat.write_csv("theirs.csv"),
            "`polars.DataFrame.write_csv`, lists as JSON beforehand",
        ),
        "CSV, without lists": (
            lambda: tu.export_usage(plain, "ours.csv", drop=NESTED, **options),
            lambda: plain.write_csv("theirs.csv"),
            "`polars.DataFrame.write_csv`",
        ),
    }
    return found


NESTED = ["charges", "resources", "usage.code.tool_actions"]


def flattened(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with its lists as JSON."""
    with duckdb.connect() as connection:
        connection.register("frame", frame.to_arrow())
        chosen = (
            f"cast(to_json({quote(name)}) as varchar) as {quote(name)}"
            if type_.is_nested()
            else quote(name)
            for name, type_ in frame.schema.items()
        )
        return pl.from_arrow(
            connection.sql(f"select {', '.join(chosen)} from frame").to_arrow_table()
        )


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
