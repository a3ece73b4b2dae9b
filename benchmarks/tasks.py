"""What is measured: ours, and what else does the job, each as its own documentation shows.

A task is a function that imports what it needs, readies its input, and returns the call to
measure.  ``python benchmarks/tasks.py NAME PATH`` makes that call once and prints a line of JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Call = Callable[[], Any]
Prepare = Callable[[str], Call]


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the table; ``against`` names the task of ours that it is compared with."""

    name: str
    title: str
    prepare: Prepare
    against: str = ""
    rows: Literal["records", "any"] = "records"


def read_polars(path: str) -> Call:
    import duckdb  # noqa: F401 - loaded by the first call otherwise

    import tidyusage as tu

    return lambda: tu.read_usage(path, backend="polars")


def read_pandas(path: str) -> Call:
    import duckdb  # noqa: F401

    import tidyusage as tu

    return lambda: tu.read_usage(path)


def read_long(path: str) -> Call:
    import duckdb  # noqa: F401

    import tidyusage as tu

    return lambda: tu.read_usage(path, layout="long", backend="polars")


def read_relation(path: str) -> Call:
    import duckdb  # noqa: F401

    import tidyusage as tu

    def call() -> Any:
        relation = tu.read_usage(path, backend="duckdb")
        return relation.aggregate('"model.id", sum("charges.net") as net').fetchall()

    return call


def flatten_pandas(path: str) -> Call:
    import duckdb  # noqa: F401

    import tidyusage as tu

    records = load(path)
    return lambda: tu.flatten_usage(records)


def flatten_polars(path: str) -> Call:
    import duckdb  # noqa: F401

    import tidyusage as tu

    records = load(path)
    return lambda: tu.flatten_usage(records, backend="polars")


def pandas_file(path: str) -> Call:
    import pandas as pd

    def call() -> Any:
        with Path(path).open(encoding="utf-8") as stream:
            return pd.json_normalize([json.loads(line) for line in stream])

    return call


def pandas_dicts(path: str) -> Call:
    import pandas as pd

    records = load(path)
    return lambda: pd.json_normalize(records)


def polars_file(path: str) -> Call:
    import polars as pl

    import peers

    dates = pl.Datetime("us", "UTC")
    schema, leaves = peers.polars_schema(dates), peers.polars_leaves(parse_dates=False)
    return lambda: pl.scan_ndjson(path, schema=schema).select(leaves).collect()


def polars_text(path: str) -> Call:
    import polars as pl

    import peers

    # Dates read as text and parsed after: faster than a schema with Datetime (Polars 2.1).
    schema, leaves = peers.polars_schema(pl.String()), peers.polars_leaves(parse_dates=True)
    return lambda: pl.scan_ndjson(path, schema=schema).select(leaves).collect()


def polars_dicts(path: str) -> Call:
    import polars as pl

    import peers

    schema, leaves = peers.polars_schema(pl.String()), peers.polars_leaves(parse_dates=False)
    records = load(path)
    return lambda: pl.DataFrame(records, schema=schema).select(leaves)


def polars_normalize(path: str) -> Call:
    import polars as pl

    records = load(path)
    for record in records:  # it raises over the mixed list within
        record.pop("remote_data", None)
    return lambda: pl.json_normalize(records)


def pyarrow_file(path: str) -> Call:
    from pyarrow import json as arrow_json

    import peers

    options = arrow_json.ParseOptions(
        explicit_schema=peers.arrow_schema(), unexpected_field_behavior="ignore"
    )
    return lambda: peers.flat(arrow_json.read_json(path, parse_options=options))


def flatten_json_dicts(path: str) -> Call:
    import pandas as pd
    from flatten_json import flatten

    records = load(path)
    return lambda: pd.DataFrame([flatten(record, ".") for record in records])


def parse_orjson(path: str) -> Call:
    import orjson

    return lambda: parse_lines(path, orjson.loads)


def parse_simdjson(path: str) -> Call:
    import simdjson

    return lambda: parse_lines(path, simdjson.Parser().parse)


TASKS: Final = (
    Task("read-polars", "**tidyusage** file → wide Polars", read_polars),
    Task("read-pandas", "**tidyusage** file → wide pandas", read_pandas),
    Task("read-long", "**tidyusage** file → long Polars", read_long, rows="any"),
    Task("read-duckdb", "**tidyusage** file → DuckDB, net by model", read_relation, rows="any"),
    Task("dicts-pandas", "**tidyusage** dicts → wide pandas", flatten_pandas),
    Task("dicts-polars", "**tidyusage** dicts → wide Polars", flatten_polars),
    Task("pandas-file", "file → `json.loads`, `pandas.json_normalize`", pandas_file, "read-pandas"),
    Task("polars-file", "file → `polars.scan_ndjson(schema=)`", polars_file, "read-polars"),
    Task("polars-text", "the same, dates parsed after", polars_text, "read-polars"),
    Task("pyarrow-file", "file → `pyarrow.json.read_json(schema)` ¹", pyarrow_file, "read-polars"),
    Task("orjson-parse", "file → `orjson.loads`, parsing only", parse_orjson, "read-polars"),
    Task("simdjson-parse", "file → `simdjson`, parsing only", parse_simdjson, "read-polars"),
    Task("pandas-dicts", "dicts → `pandas.json_normalize`", pandas_dicts, "dicts-pandas"),
    Task("polars-dicts", "dicts → `polars.DataFrame(schema=)` ²", polars_dicts, "dicts-polars"),
    Task("polars-norm", "dicts → `polars.json_normalize` ³", polars_normalize, "dicts-polars"),
    Task("flatten-json", "dicts → `flatten_json`, pandas", flatten_json_dicts, "dicts-pandas"),
)


def load(path: str) -> list[dict[str, Any]]:
    """Read dicts, outside the clock; the collector rests, as it would only look at living ones."""
    import orjson

    gc.disable()
    with Path(path).open("rb") as stream:
        records = [orjson.loads(line) for line in stream]
    gc.enable()
    gc.collect()
    return records


def parse_lines(path: str, parse: Callable[[bytes], object]) -> range:
    """Parse every line and keep nothing: what no reader can do without."""
    count = 0
    with Path(path).open("rb") as stream:
        for count, line in enumerate(stream, start=1):  # noqa: B007 - counts
            parse(line)
    return range(count)


def peak_megabytes() -> float:
    """Return the most memory that this process has held; macOS counts bytes, others kilobytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def measure(name: str, path: str) -> dict[str, float]:
    """Make one task's call, the first of its process, and say what it took."""
    with contextlib.suppress(OSError):  # should memory run out, Linux is to end this process first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    task = next(task for task in TASKS if task.name == name)
    call = task.prepare(path)
    start, busy = time.perf_counter(), time.process_time()
    answer = call()
    found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - busy}
    return found | {"megabytes": peak_megabytes(), "rows": len(answer)}


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
