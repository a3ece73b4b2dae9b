"""Texts become one Arrow table of wide rows: the fast path, and the way around what it refuses."""

from __future__ import annotations

import os
import tempfile
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from tidyusage import rejects, sources, unknown
from tidyusage.flatten import FAULT, FAULT_AT, Exact
from tidyusage.plain import Loose, Plain
from tidyusage.sources import Place, Text
from tidyusage.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from tidyusage.options import Options
    from tidyusage.quarantine import Reject

_BATCH: Final = 50_000
_PIECE: Final = 4_096
_UNNAMED: Final = "a value that the schema does not allow"

Row = tuple[Place, bytes]


class Reading(NamedTuple):
    """What was read, and what was not; ``faulty`` are the positions of rejects that were parted."""

    table: pa.Table
    rejects: list[Reject]
    faulty: frozenset[int] = frozenset()


def read(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options) -> Reading:
    """Read texts in one go; if that is refused, read them batch by batch."""
    sources.attach(connection, texts)
    table = read_plain(connection, texts, options)
    if table is None:
        texts = [text.on_disk() for text in texts]
        table, _ = _attempt(connection, texts, options)
    # A text of which DuckDB understands nothing at all is no error to it, but an empty one.
    is_nothing = table is not None and not table.num_rows
    if (
        table is None
        or any(text.is_cut_off() for text in texts)
        or (is_nothing and any(text.head().strip() for text in texts))
    ):
        return _sift(connection, texts, options)
    reading = _parted(table, chain.from_iterable(text.records() for text in texts), options)
    return reading or _sift(connection, texts, options)


def _parted(table: pa.Table, rows: Iterable[Row], options: Options) -> Reading | None:
    """Part good rows from faulty ones, whose records are looked at to say why.

    None if records and rows are not the same in number, so that no row tells its record.
    """
    from pyarrow import compute as pc

    faulty = table[FAULT]
    table = table.drop_columns(FAULT)
    if not pc.any(faulty).as_py():
        return Reading(table, [])
    marked = frozenset(position for position, mark in enumerate(faulty.to_pylist()) if mark)
    refused, count = [], 0
    for position, row in enumerate(rows):
        count += 1
        if position in marked:
            reject = rejects.judge(*row, currency=options.default_currency)
            refused.append(reject or rejects.refused(*row, _UNNAMED))
    if count != table.num_rows:
        return None
    return Reading(table.filter(pc.invert(faulty)), refused, marked)


def query(
    texts: Sequence[Text],
    options: Options,
    *,
    explain: bool = False,
    manner: type[Exact] = Exact,
) -> str:
    """Return the query from texts to the columns of wide that the layout needs."""
    parts = []
    for from_frame, group in groupby(texts, lambda text: text.from_frame):
        raw = sources.scan(group, remote_data=options.keeps_remote_data, text=manner.text_type)
        parts.append(query_raw(raw, options, from_frame=from_frame, explain=explain, manner=manner))
    return parts[0] if len(parts) == 1 else " union all ".join(f"({part})" for part in parts)


def query_raw(
    raw: str,
    options: Options,
    *,
    from_frame: bool,
    explain: bool = False,
    manner: type[Exact] = Exact,
) -> str:
    """Return the query from raw records to the columns of wide that the layout needs."""
    made = manner(options.keeps_remote_data, options.default_currency, nan_is_missing=from_frame)
    rows = made.query(raw, explain=explain)
    chosen = [name for name in options.needed() if name != "extra"]
    chosen += [FAULT_AT] if explain else []
    return f"select {', '.join(map(quote, chosen))} from ({rows})"


def read_plain(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> pa.Table | None:
    """Return the wide rows if every record is plain, else None."""
    from pyarrow import compute as pc

    manner = Loose if any(text.lines is not None for text in texts) else Plain
    table, _ = _attempt(connection, texts, options, manner)
    return None if table is None or pc.any(table[FAULT]).as_py() else table


def _attempt(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[Text],
    options: Options,
    manner: type[Exact] = Exact,
) -> tuple[pa.Table | None, str]:
    """Return the wide rows with their faults marked, or None and why they cannot be read."""
    import duckdb

    if not texts:
        return _nothing(options).append_column(FAULT, pa.array([], pa.bool_())), ""
    try:
        table = connection.sql(query(texts, options, manner=manner)).to_arrow_table()
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
    readable: list[Text] = []
    for rows, reading in _readings(connection, texts, options):
        refused.extend(reading.rejects)
        good = [row for position, row in enumerate(rows) if position not in reading.faulty]
        readable.extend(_written(good, os.path.join(folder, f"readable-{len(readable)}")))
    return (readable, refused) if refused else (list(texts), [])


def _written(rows: Sequence[Row], path: str) -> Iterator[Text]:
    """Write records to files, one for each way to take a NaN, and yield those."""
    for number, (nan_is_missing, group) in enumerate(
        groupby(rows, lambda row: row[0].nan_is_missing)
    ):
        text = Text(f"{path}-{number}", "batch", indexed=True, from_frame=nan_is_missing)
        with open(text.path, "wb") as stream:
            stream.writelines(_one_line(line) for _, line in group)
        yield text


def _sift(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> Reading:
    tables, refused = [_nothing(options)], []
    for _, reading in _readings(connection, texts, options):
        tables.append(reading.table)
        refused.extend(reading.rejects)
    tables = [table.cast(tables[-1].schema) for table in tables]
    return Reading(pa.concat_tables(tables), refused)


def _readings(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> Iterator[tuple[Sequence[Row], Reading]]:
    """Yield batches of records with what was read of them."""
    rows = chain.from_iterable(text.records() for text in texts)
    with tempfile.TemporaryDirectory(prefix="tidyusage-") as folder:
        judge = _Judge(connection, options, os.path.join(folder, "batch"))
        while batch := list(islice(rows, _BATCH)):
            yield from judge.read(batch)


class _Judge(NamedTuple):
    """Reads batches of records; the smaller the batch, the closer the look."""

    connection: duckdb.DuckDBPyConnection
    options: Options
    path: str

    def read(self, batch: Sequence[Row]) -> Iterator[tuple[Sequence[Row], Reading]]:
        """Yield what a batch holds, in the batch's order."""
        reading, _ = self.attempt(batch)
        if reading:
            yield batch, reading
        elif len(batch) > _PIECE:
            for start in range(0, len(batch), _PIECE):
                yield from self.read(batch[start : start + _PIECE])
        else:
            yield from self._read_one_by_one(batch)

    def _read_one_by_one(self, batch: Sequence[Row]) -> Iterator[tuple[Sequence[Row], Reading]]:
        judged = [rejects.judge(*row, currency=self.options.default_currency) for row in batch]
        good = [row for row, reject in zip(batch, judged, strict=True) if reject is None]
        yield (), Reading(_nothing(self.options), [reject for reject in judged if reject])
        yield from self._read_good(good)

    def _read_good(self, good: Sequence[Row]) -> Iterator[tuple[Sequence[Row], Reading]]:
        """Read records without a fault; what DuckDB still refuses is found by halving."""
        reading, reason = self.attempt(good)
        if reading:
            yield good, reading
        elif len(good) == 1:
            yield (), Reading(_nothing(self.options), [rejects.refused(*good[0], reason)])
        else:
            half = len(good) // 2
            yield from self._read_good(good[:half])
            yield from self._read_good(good[half:])

    def attempt(self, rows: Sequence[Row]) -> tuple[Reading | None, str]:
        """Put records into a file and read it; None and a reason unless each became a row."""
        texts = list(_written(rows, self.path))
        table, reason = _attempt(self.connection, texts, self.options)
        if table is None or table.num_rows != len(rows):
            return None, reason or _UNNAMED
        return _parted(table, rows, self.options), ""


def _one_line(text: bytes) -> bytes:
    # A record of an array may stand on several lines; within its strings there are none.
    return text.replace(b"\n", b" ") + b"\n"
