"""Texts become one Arrow table of wide rows: the fast path, and the way around what it refuses."""

from __future__ import annotations

import os
import tempfile
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from tidyusage import flatten, rejects, schema, sources, unknown
from tidyusage.flatten import FAULT
from tidyusage.sources import Place, Text
from tidyusage.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from tidyusage.options import Options
    from tidyusage.quarantine import Reject

_BATCH: Final = 50_000
_PIECE: Final = 4_096

Row = tuple[Place, bytes]


class Reading(NamedTuple):
    """What was read, and what was not; ``rows`` are the records behind a batch's table."""

    table: pa.Table
    rejects: list[Reject]
    rows: Sequence[Row] = ()


def read(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options) -> Reading:
    """Read texts in one go; if anything in them is refused, read them batch by batch."""
    table, _ = _attempt(connection, texts, options)
    return Reading(table, []) if table is not None else _sift(connection, texts, options)


def query(texts: Sequence[Text], options: Options, *, explain: bool = False) -> str:
    """Return the query from texts to the columns of wide that the layout needs."""
    raw = sources.scan(
        texts,
        schema.raw_columns(remote_data=options.keeps_remote_data),
        schema.raw_struct(remote_data=options.keeps_remote_data),
    )
    from_frame = any(text.from_frame for text in texts)
    return query_raw(raw, options, from_frame=from_frame, explain=explain)


def query_raw(raw: str, options: Options, *, from_frame: bool, explain: bool = False) -> str:
    """Return the query from raw records to the columns of wide that the layout needs."""
    rows = flatten.wide(
        raw,
        remote_data=options.keeps_remote_data,
        currency=options.default_currency,
        nan_is_missing=from_frame,
        explain=explain,
    )
    chosen = [name for name in options.needed() if name != "extra"]
    chosen += [flatten.FAULT_AT] if explain else []
    return f"select {', '.join(map(quote, chosen))} from ({rows})"


def _attempt(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> tuple[pa.Table | None, str]:
    """Return the wide rows, or None and a reason if anything in the texts cannot be read."""
    import duckdb
    from pyarrow import compute as pc

    if not texts:
        return _nothing(options), ""
    try:
        table = connection.sql(query(texts, options)).to_arrow_table()
        if pc.any(table[FAULT]).as_py():
            return None, "a value that the schema does not allow"
        table = table.drop_columns(FAULT)
        if options.keeps_unknown:
            extra = connection.sql(unknown.query(texts)).to_arrow_table()
            table = table.append_column("extra", extra["extra"])
    except (
        duckdb.InvalidInputException,
        duckdb.ConversionException,
        duckdb.IOException,
    ) as refusal:
        return None, str(refusal).partition("\n")[0]
    return table, ""


def _nothing(options: Options) -> pa.Table:
    types = options.wide_types()
    return pa.schema(
        [(name, types[name]) for name in options.needed() if name in types]
    ).empty_table()


def sift_texts(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options, folder: str
) -> tuple[list[Text], list[Reject]]:
    """Return texts without the records that cannot be read, and those; in bounded memory."""
    refused: list[Reject] = []
    path = os.path.join(folder, "readable.ndjson")
    with open(path, "wb") as stream:
        for reading in _readings(connection, texts, options):
            stream.writelines(_one_line(text) for _, text in reading.rows)
            refused.extend(reading.rejects)
    from_frame = any(text.from_frame for text in texts)
    if refused:
        return [Text(path, "readable", indexed=True, from_frame=from_frame)], refused
    os.remove(path)
    return list(texts), []


def _sift(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> Reading:
    tables, refused = [_nothing(options)], []
    for reading in _readings(connection, texts, options):
        tables.append(reading.table)
        refused.extend(reading.rejects)
    tables = [table.cast(tables[-1].schema) for table in tables]
    return Reading(pa.concat_tables(tables), refused)


def _readings(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> Iterator[Reading]:
    from_frame = any(text.from_frame for text in texts)
    rows = chain.from_iterable(text.records() for text in texts)
    with tempfile.TemporaryDirectory(prefix="tidyusage-") as folder:
        judge = _Judge(connection, options, os.path.join(folder, "batch"), from_frame)
        while batch := list(islice(rows, _BATCH)):
            yield from judge.read(batch)


class _Judge(NamedTuple):
    """Reads batches of records; the smaller the batch, the closer the look."""

    connection: duckdb.DuckDBPyConnection
    options: Options
    path: str
    nan_is_missing: bool

    def read(self, batch: Sequence[Row]) -> Iterator[Reading]:
        """Yield what a batch holds, in the batch's order."""
        table, _ = self._attempt(batch)
        if table is not None:
            yield Reading(table, [], batch)
        elif len(batch) > _PIECE:
            for start in range(0, len(batch), _PIECE):
                yield from self.read(batch[start : start + _PIECE])
        else:
            yield from self._read_one_by_one(batch)

    def _read_one_by_one(self, batch: Sequence[Row]) -> Iterator[Reading]:
        judged = [rejects.judge(*row, nan_is_missing=self.nan_is_missing) for row in batch]
        good = [row for row, reject in zip(batch, judged, strict=True) if reject is None]
        yield Reading(_nothing(self.options), [reject for reject in judged if reject])
        yield from self._read_good(good)

    def _read_good(self, good: Sequence[Row]) -> Iterator[Reading]:
        """Read records without a fault; what DuckDB still refuses is found by halving."""
        table, reason = self._attempt(good)
        if table is not None:
            yield Reading(table, [], good)
        elif len(good) == 1:
            yield Reading(_nothing(self.options), [rejects.refused(*good[0], reason)])
        else:
            half = len(good) // 2
            yield from self._read_good(good[:half])
            yield from self._read_good(good[half:])

    def _attempt(self, rows: Sequence[Row]) -> tuple[pa.Table | None, str]:
        with open(self.path, "wb") as stream:
            stream.writelines(_one_line(text) for _, text in rows)
        text = Text(self.path, "batch", from_frame=self.nan_is_missing)
        return _attempt(self.connection, [text] if rows else [], self.options)


def _one_line(text: bytes) -> bytes:
    # A record of an array may stand on several lines; within its strings there are none.
    return text.replace(b"\n", b" ") + b"\n"
