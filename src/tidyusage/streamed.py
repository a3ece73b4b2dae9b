"""Records of large files as a relation: rows in a file, told apart by their keys alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue, connections, lazy, read
from tidyusage.sqltext import listed, literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_PLACE: Final = "file_row_number"
_VERSIONS: Final = ("updated_at", "created_at")


@contextmanager
def records(paths: list[str], how: dict[str, Any]) -> Iterator[duckdb.DuckDBPyRelation]:
    """Read files into a relation without holding their rows in memory.

    Of records of one id the newest is kept, as elsewhere, and a warning counts the others.
    """
    resolves = how.get("duplicates", "latest") == "latest"
    how = {**how, "duplicates": "keep"} if resolves else how
    with (
        tempfile.TemporaryDirectory(prefix="tidyusage-") as folder,
        connections.connect() as connection,
    ):
        connections.bound(connection, folder)
        rows = read.read_usage(paths, backend="duckdb", connection=connection, **how)
        path = os.path.join(folder, "records.parquet")
        rows.write_parquet(path)
        yield _latest(connection, path) if resolves else connection.read_parquet(path)


def _latest(connection: duckdb.DuckDBPyConnection, path: str) -> duckdb.DuckDBPyRelation:
    rows = connection.read_parquet(path)
    identity = [name for name in catalogue.IDENTITY if name in rows.columns]
    place = f"read_parquet({literal(path)}, {_PLACE} = true)"
    keys = f"(select {listed(*map(quote, (*identity, *_VERSIONS)))}{_PLACE} from {place})"
    ((surplus,),) = connection.sql(
        f"select count(*) - count(distinct row({', '.join(map(quote, identity))})) from {keys}"
    ).fetchall()
    if not surplus:
        return rows
    lazy.warn_of_duplicates(surplus)
    kept = f"select {_PLACE} from ({lazy.latest(keys, identity)})"
    return connection.sql(f"select * exclude ({_PLACE}) from {place} where {_PLACE} in ({kept})")
