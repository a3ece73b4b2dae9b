"""Every kind of frame, made of the same Arrow table: what a function of frames is tried on."""

import atexit
import functools
import pickle
import warnings

import duckdb
import pandas as pd
import polars as pl

import tidyusage as tu
from tidyusage.engines import frames


@functools.cache
def abroad():
    """Return a connection whose session is in another zone; relations live as long as it does."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    atexit.register(abroad.cache_clear)
    return connection


def nullable(table):
    frame = frames.to_pandas(table)
    masked = {"float64": "Float64", "str": "string"}
    return frame.astype({n: masked.get(str(t), t) for n, t in frame.dtypes.items()})


FLAVOURS = {
    "pandas": frames.to_pandas,
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
    return FLAVOURS[flavour](flattened(records, "pyarrow", **options))


def flattened(records, backend="pandas", **options):
    """`flatten_usage`, which reads the same records once per process, for tests of something else."""
    read = functools.partial(tu.flatten_usage, records, **options)
    return _delivered(read, pickle.dumps((records, sorted(options.items()))), backend)


def example(backend="pandas", **options):
    """`load_example`, read once per process."""
    read = functools.partial(tu.load_example, **options)
    return _delivered(read, pickle.dumps(("example", sorted(options.items()))), backend)


_TABLES = {}


def _delivered(read, key, backend):
    """Return a new frame of a table that is read once; what warns is read, and warns, each time."""
    if backend == "duckdb":  # a relation reads when it is queried
        return read(backend=backend)
    if key not in _TABLES:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            table = read(backend="pyarrow")
        if warned:
            return read(backend=backend)
        _TABLES[key] = table
    return frames.deliver(_TABLES[key], backend)
