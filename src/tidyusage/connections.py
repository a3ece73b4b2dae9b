"""A DuckDB of our own: how it is set, what it may hold, and how it is stopped."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tidyusage.progress import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of our own: in memory, in UTC, and without a look at the network."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        # In Jupyter without ipywidgets there is no bar, and DuckDB 2.0 refuses to turn it off.
        with suppress(duckdb.InvalidInputException):
            connection.execute("set enable_progress_bar = false")
        connection.execute("set python_enable_replacements = false")
        connection.execute("set autoinstall_known_extensions = false")
        connection.execute("set temp_directory = ?", [tempfile.gettempdir()])
        # What a query frees, the next part of it takes again; all goes when the connection closes.
        connection.execute("set allocator_flush_threshold = '1TB'")
        connection.execute("set allocator_bulk_deallocation_flush_threshold = '1TB'")
        try:
            with watched(connection):
                yield connection
        except RuntimeError as error:
            if str(error) == "Query interrupted":
                raise KeyboardInterrupt from error
            raise


def bound(connection: duckdb.DuckDBPyConnection, folder: str) -> None:
    """Have a connection of our own put into a folder what is more than the rows in flight."""
    connection.execute("set memory_limit = '512MB'")
    connection.execute("set temp_directory = ?", [folder])
