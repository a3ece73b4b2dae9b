"""Read text inputs into an Arrow table of wide rows: fast path first, then the exact one."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import replace
from itertools import chain, compress, count, groupby
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.sql import quote
from tidyusage.engines import frames
from tidyusage.io import diagnose, json_text, scan_sql, unknown_keys
from tidyusage.io.inputs import Batch, Row, Text
from tidyusage.io.parse_sql import FAULT, FAULT_AT, Exact
from tidyusage.io.quick_sql import Loose, Plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from tidyusage.io.options import Options
    from tidyusage.io.rejects import Reject

_PIECE: Final = 4_096
_UNNAMED: Final = "a value that the schema does not allow"


class Reading(NamedTuple):
    """What was read, and what was not.

    ``faulty`` are the positions of the rejects among the rows of a single batch.  If ``is_sifted``,
    batches of the texts were read one by one, and pages in any of them were unpacked.
    """

    table: pa.Table
    rejects: list[Reject]
    faulty: frozenset[int] = frozenset()
    is_sifted: bool = False


class Nested(Exception):  # noqa: N818 - callers of the library never see it
    """A page may be among records, so that rows and records do not match."""


class Refusal(NamedTuple):
    """Why DuckDB reads nothing: ``of_text`` if the text is at fault, whatever is made of it."""

    reason: str
    of_text: bool


def read(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options) -> Reading:
    """Read texts in one go; if that is refused, read them batch by batch."""
    scan_sql.attach(connection, texts)
    table = read_plain(connection, texts, options)
    if not isinstance(table, pa.Table) and any(text.lines is not None for text in texts):
        texts, table = [text.on_disk() for text in texts], None
    if table is None:
        table = _attempt(connection, texts, options)
    if isinstance(table, Refusal) or is_doubtful(texts, table.num_rows):
        return _sift(connection, texts, options)
    if may_hold_long_records(connection, texts):
        return _sift(connection, texts, options)
    reading = _parted(table, chain.from_iterable(text.batches() for text in texts), options)
    return reading or _sift(connection, texts, options)


def is_doubtful(texts: Sequence[Text], rows: int) -> bool:
    """Tell whether what was read without an error may not be all of the texts."""
    # DuckDB takes a text that it cannot parse at all for an empty one, and raises nothing.
    return any(text.is_cut_off() for text in texts) or (
        not rows and any(text.head().strip() for text in texts)
    )


def may_hold_long_records(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text]) -> bool:
    """Tell whether records on pages may be longer than records may be.

    A page may be of any length, so DuckDB reads what is on it whatever its length.
    """
    paged = [
        text for text in texts if text.shape in scan_sql.PAGED and text.size() > json_text.LONGEST
    ]
    if not paged:
        return False
    longest = f"select max(strlen(cast(j as varchar))) from ({scan_sql.whole(paged)})"
    ((most,),) = connection.sql(longest).fetchall()
    return most is not None and most > json_text.LONGEST


def _parted(table: pa.Table, batches: Iterable[Batch], options: Options) -> Reading | None:
    """Part good rows from faulty ones, whose records are looked at to say why.

    None if records and rows differ in number, so that a row does not tell its record.
    """
    from pyarrow import compute as pc

    faulty = table[FAULT]
    table = table.drop_columns(FAULT)
    if not pc.any(faulty).as_py():
        return Reading(table, [])
    marked = cast("list[int]", pc.indices_nonzero(faulty.combine_chunks()).to_pylist())
    refused, end = [], 0
    try:
        for place, found in looked_at(batches, marked, options):
            refused.extend(found)
            end = place
    except Nested:
        return None
    if end != table.num_rows:
        return None
    return Reading(table.filter(pc.invert(faulty)), refused, frozenset(marked))


def looked_at(
    batches: Iterable[Batch], marked: Sequence[int], options: Options
) -> Iterator[tuple[int, list[Reject]]]:
    """Yield the end of each batch of records, and why those of it at marked places are rejects.

    Places count from 0 over all batches, and are in order.

    Raises
    ------
    Nested
        If a page may be among them, so that rows and records do not match.
    """
    first = 0
    for batch in batches:
        end = first + batch.count()
        low, high = bisect_left(marked, first), bisect_left(marked, end)
        within = {int(place) - first for place in marked[low:high]}
        found = []
        for row in compress(batch.rows(), map(within.__contains__, count())) if within else ():
            reject = diagnose.judge(*row, currency=options.default_currency)
            # Without a fault, the row is not this record's: others came of a page.
            if reject is None or diagnose.holds_records(row[1]):
                raise Nested
            found.append(reject)
        yield end, found
        first = end


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
        raw = scan_sql.raw(
            group,
            remote_data=options.keeps_remote_data,
            text=manner.text_type,
            source=options.has_source,
        )
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
    made = manner(
        options.keeps_remote_data,
        options.default_currency,
        nan_is_missing=from_frame,
        source=options.has_source,
    )
    rows = made.query(raw, explain=explain)
    if options.needs_all:
        return rows
    chosen = [name for name in options.needed() if name != "extra"]
    chosen += [FAULT_AT] if explain else []
    return f"select {', '.join(map(quote, chosen))} from ({rows})"


def read_plain(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> pa.Table | Refusal | None:
    """Return the wide rows if every record is plain; None asks for a closer look."""
    from pyarrow import compute as pc

    manner = Loose if any(text.lines is not None for text in texts) else Plain
    table = _attempt(connection, texts, options, manner)
    if isinstance(table, Refusal):
        return table if table.of_text else None
    return None if pc.any(table[FAULT]).as_py() else table


def _attempt(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[Text],
    options: Options,
    manner: type[Exact] = Exact,
) -> pa.Table | Refusal:
    """Return the wide rows with their faults marked, or why they cannot be read."""
    if not texts:
        return nothing(options).append_column(FAULT, pa.array([], pa.bool_()))
    try:
        few = len(texts) == 1 and texts[0].is_short()
        table = frames.rows(connection, query(texts, options, manner=manner), few=few)
        if options.keeps_unknown:
            extra = connection.sql(unknown_keys.query(texts)).to_arrow_table()
            table = table.append_column("extra", extra["extra"])
    except refusals() as error:
        if bounded.is_full(error):
            raise
        return refusal(error)
    return table


def refusals() -> tuple[type[Exception], ...]:
    """Return the errors by which DuckDB refuses to read a text."""
    import duckdb

    return duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException


def refusal(error: Exception) -> Refusal:
    """Return what DuckDB says of a text that it refuses."""
    import duckdb

    if "KeyboardInterrupt" in str(error):  # it came while DuckDB had Python write a line
        raise KeyboardInterrupt from error
    of_value = isinstance(error, duckdb.ConversionException)
    return Refusal(str(error).partition("\n")[0], not of_value)


def nothing(options: Options) -> pa.Table:
    """Return the columns of wide that the layout needs, without a row."""
    types = options.wide_types()
    return pa.schema(
        [(name, types[name]) for name in options.needed() if name in types]
    ).empty_table()


def _sift(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> Reading:
    tables, refused = [nothing(options)], []
    for _, reading in readings(connection, texts, options):
        tables.append(reading.table)
        refused.extend(reading.rejects)
    tables = [table.cast(tables[-1].schema) for table in tables]
    return Reading(pa.concat_tables(tables), refused, is_sifted=True)


def readings(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[Text],
    options: Options,
    within: str | None = None,
) -> Iterator[tuple[Batch, Reading]]:
    """Yield batches of records with what was read of them; ``within`` a folder they are copied."""
    with bounded.temporary_folder(within) as folder:
        judge = _Judge(connection, options, os.path.join(folder, "batch"))
        for batch in chain.from_iterable(text.batches() for text in texts):
            yield from judge.read(batch)


class _Judge(NamedTuple):
    """Reads batches of records; the smaller the batch, the closer the look."""

    connection: duckdb.DuckDBPyConnection
    options: Options
    path: str

    def read(self, batch: Batch) -> Iterator[tuple[Batch, Reading]]:
        """Yield what a batch holds, in the batch's order."""
        reading, _ = self.attempt(batch)
        if reading:
            yield batch, reading
            return
        rows = list(batch.rows())
        if batch.lines:
            is_text = not batch.text.indexed  # and not a list of Python objects
            has_arrays = is_text and batch.text.head().lstrip().startswith(b"[")
            rows = [found for row in rows for found in _unpacked(row, has_arrays=has_arrays)]
        if len(rows) <= _PIECE:
            yield from self._read_one_by_one(batch, rows)
            return
        for start in range(0, len(rows), _PIECE):
            piece = rows[start : start + _PIECE]
            yield from self.read(replace(batch, lines=b"", found=piece))

    def _read_one_by_one(
        self, batch: Batch, rows: Sequence[Row]
    ) -> Iterator[tuple[Batch, Reading]]:
        judged = [diagnose.judge(*row, currency=self.options.default_currency) for row in rows]
        refused = [reject for reject in judged if reject]
        yield Batch(batch.text), Reading(nothing(self.options), refused)
        good = [row for row, reject in zip(rows, judged, strict=True) if reject is None]
        yield from self._read_good(batch, good)

    def _read_good(self, batch: Batch, good: Sequence[Row]) -> Iterator[tuple[Batch, Reading]]:
        """Read records without a fault; what DuckDB still refuses is found by halving."""
        whole = replace(batch, lines=b"", found=good)
        reading, reason = self.attempt(whole)
        if reading:
            yield whole, reading
        elif len(good) == 1:
            refused = [diagnose.refused(*good[0], reason)]
            yield Batch(batch.text), Reading(nothing(self.options), refused)
        else:
            half = len(good) // 2
            yield from self._read_good(batch, good[:half])
            yield from self._read_good(batch, good[half:])

    def attempt(self, batch: Batch) -> tuple[Reading | None, str]:
        """Put records into a file and read it; None and a reason unless each became a row."""
        texts = [batch.write(self.path)]
        if texts[0].longest > json_text.LONGEST:
            return None, "a record that is too long"
        table = read_plain(self.connection, texts, self.options)
        if table is None:
            table = _attempt(self.connection, texts, self.options)
        if isinstance(table, Refusal):
            return None, table.reason
        if table.num_rows != batch.count():
            return None, _UNNAMED
        return _parted(table, [batch], self.options), ""


def _unpacked(row: Row, *, has_arrays: bool) -> Iterator[Row]:
    """Yield the records of a line: one, or those of the page that it is.

    Lines are unpacked as arrays too, if the text begins with one.
    """
    place, text = row
    if not (has_arrays and text.startswith(b"[")) and not diagnose.holds_records(text):
        yield row
        return
    for found in json_text.records(text.decode("utf-8", "surrogateescape")):
        yield place, found.text.encode("utf-8", "surrogateescape")
