"""Build the requested frame from text inputs, and warn about oddities."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from tidyusage import catalogue
from tidyusage._utils import bounded, connections, progress
from tidyusage._utils.sql import FRAME
from tidyusage.engines import frames
from tidyusage.engines import spark as sparks
from tidyusage.io import lazy, reader, rejects, scan_sql, stored, unknown_keys

if TYPE_CHECKING:
    import duckdb

    from tidyusage.io.inputs import Text
    from tidyusage.io.options import Options

Spool = Callable[[str], "list[Text]"]


def assemble(spooled: Spool, options: Options) -> Any:
    """Return the frame that was asked for, of the texts that ``spooled`` puts into a folder."""

    def checked(folder: str) -> list[Text]:
        texts = spooled(folder)
        if options.rejects is None:
            for text in texts:
                text.require_whole()
        return texts

    with progress.bar("Reading", options.progress), bounded.temporary_files():
        if options.is_bounded:
            return stored.relation(checked, options)
        if options.backend == "duckdb":
            return lazy.relation(checked, options)
        return _frame(checked, options)


def _frame(spooled: Spool, options: Options) -> Any:
    with _collector_at_rest(), bounded.temporary_folder() as folder:
        texts = spooled(folder)
        options = replace(options, has_source=any(text.has_source for text in texts))
        few = len(texts) <= 1 and all(text.is_short() for text in texts)
        with connections.connect(few=few, form=options.backend or "pandas") as connection:
            table = _layout_table(connection, texts, options)
        if options.backend == "pyspark":
            return sparks.active_session(options.session).createDataFrame(table)
        return frames.deliver(table, options.backend or "pandas")


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep Python's garbage collector from walking a million living dicts while they are read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _layout_table(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> pa.Table:
    """Read texts, say what is odd about them, and return the layout."""
    frames.prepare(connection, options.backend or "pandas")
    reading = reader.read(connection, texts, options)
    if options.unknown == "warn":
        unknown_keys.warn(connection, texts)
    elif options.unknown == "raise":
        unknown_keys.refuse(connection, texts)
    rejects.report(reading.rejects, options.rejects)
    scan_sql.warn_of_pages(connection, texts, is_sifted=reading.is_sifted)
    table = _without_duplicates(connection, reading.table, options)
    _warn_of_charge_types(table)
    if options.layout != "wide":
        table = frames.ask(connection, table, options.query)
    return frames.finish(table, options.types(), options.sep)


def _without_duplicates(
    connection: duckdb.DuckDBPyConnection, table: pa.Table, options: Options
) -> pa.Table:
    if options.duplicates == "keep":
        if not options.marks_records:
            return table
        return table.append_column("record", pa.array(range(table.num_rows), pa.int64()))
    import polars as pl

    keys = cast("pl.DataFrame", pl.from_arrow(table.select(options.identity)))
    surplus = table.num_rows - (keys["id"] if keys.width == 1 else keys).n_unique()
    if not surplus:
        return table
    if options.duplicates == "raise":
        connection.register(FRAME, table)
        lazy.refuse_duplicates(connection, FRAME, options.identity)
    lazy.warn_of_duplicates(surplus)
    return frames.ask(connection, table, partial(lazy.latest, identity=options.identity))


def _warn_of_charge_types(table: pa.Table) -> None:
    if "charges" not in table.column_names:
        return
    from pyarrow import compute as pc

    entries = pc.list_flatten(table["charges"])
    counts = pc.value_counts(pc.struct_field(entries, "type")).to_pylist()
    strange = [
        (count["values"] or "without a type", count["counts"])
        for count in counts
        if count["values"] not in catalogue.CHARGE_TYPES
    ]
    lazy.warn_of_charge_types(strange)
