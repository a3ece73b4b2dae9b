"""Materialize a lazy frame once when a function queries it several times."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from tidyusage._utils import bounded, connections
from tidyusage._utils.sql import literal
from tidyusage.engines import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    import polars as pl


P = ParamSpec("P")
R = TypeVar("R")


def reads_once(
    function: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Have a function that asks a frame several questions read it once."""

    @functools.wraps(function)
    def reading(frame: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with read_once(frame) as held:
            return function(held, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", reading)


@contextmanager
def read_once(frame: Any) -> Iterator[Any]:
    """Yield a frame to be asked; what would be read anew for each question goes into a file.

    A relation within a limit of memory is in one already.
    """
    is_relation = frames.backend_of(frame) == "duckdb" and bounded.home(frame) is None
    if frames.backend_of(frame) == "pyarrow":
        yield frames.to_arrow(frame)  # a reader can be read but once
        return
    if not is_relation and not frames.is_lazy(frame):
        yield frame
        return
    with bounded.temporary_folder() as folder:
        path = os.path.join(folder, "usage.parquet")
        if is_relation:
            with connections.connect() as connection:
                _copy(connection, cast("duckdb.DuckDBPyRelation", frame), folder, path)
                yield connection.read_parquet(path)
        else:
            yield _lazily(cast("pl.LazyFrame", frame), path)


def _copy(
    connection: duckdb.DuckDBPyConnection,
    relation: duckdb.DuckDBPyRelation,
    folder: str,
    path: str,
) -> None:
    connections.bound(connection, folder)
    connection.register("tu__rows", relation.to_arrow_reader())
    try:
        connection.execute(f"copy (from tu__rows) to {literal(path)} (format parquet)")
    finally:
        connection.unregister("tu__rows")


def _lazily(frame: pl.LazyFrame, path: str) -> pl.LazyFrame:
    import polars as pl

    frame.sink_parquet(path)
    return pl.scan_parquet(path)
