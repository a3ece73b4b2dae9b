"""Every kind of frame, made of the same Arrow table: what a function of frames is tried on."""

import atexit
import functools

import duckdb
import pandas as pd
import polars as pl

import tidyusage as tu
from tidyusage import engines


@functools.cache
def abroad():
    """Return a connection whose session is in another zone; relations live as long as it does."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    atexit.register(abroad.cache_clear)
    return connection


def nullable(table):
    frame = engines.to_pandas(table)
    masked = {"float64": "Float64", "str": "string"}
    return frame.astype({n: masked.get(str(t), t) for n, t in frame.dtypes.items()})


FLAVOURS = {
    "pandas": engines.to_pandas,
    "pandas nullable": nullable,
    "pandas arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
    "polars lazy": lambda table: pl.from_arrow(table).lazy(),
    "pyarrow": lambda table: table,
    "duckdb": lambda table: abroad().from_arrow(table),
}

# One that shares memory, one that waits, one in another session: where one query answers for all
# kinds of frames, cases by hand are asked of these, and laws of every one.
FEW = ("pandas", "polars lazy", "duckdb")


def frame_of(records, flavour="polars", **options):
    return FLAVOURS[flavour](tu.flatten_usage(records, backend="pyarrow", **options))
