"""A workbook: a sheet a table, typed cells, and a sheet that says what each column is."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage.errors import ExportError
from tidyusage.export import cells
from tidyusage.export.whole import failed
from tidyusage.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import duckdb
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

    from tidyusage.export.job import Job
    from tidyusage.export.table import Column, Table

_ROWS: Final = 1_048_575  # beside the header
_COLUMNS: Final = 16_384
_CHARACTERS: Final = 32_767
_DIGITS: Final = 10**15
_NARROWEST, _WIDEST = 8, 48
_BATCH: Final = 10_000
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "in_memory": False,
}
_DAY, _INSTANT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
_DICTIONARY: Final = "data_dictionary"
_HEADINGS: Final = ("table", "column", "type", "unit", "description")


class _Exact(float):
    """A number that XlsxWriter writes with all of its digits; of others it keeps sixteen."""

    def __format__(self, _: str) -> str:
        return repr(float(self))


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to a workbook."""
    from xlsxwriter import Workbook

    rows = {table.name: _fitting(connection, table) for table in job.tables}
    with (
        tempfile.TemporaryDirectory(prefix="tidyusage-") as folder,
        job.files.written(job.target.place) as partial,
        _closed(Workbook(partial, {**_OPTIONS, "tmpdir": folder}), job.target.place) as book,
    ):
        for table in job.tables:
            _write(connection, table, book, rows[table.name])
            job.told.stands(table.name, rows[table.name])
        _describe(job.tables, book)


@contextmanager
def _closed(book: Workbook, place: str) -> Iterator[Workbook]:
    """Yield a workbook, and write it if nothing is raised; else it is not to be finished."""
    from xlsxwriter.exceptions import XlsxFileError

    try:
        yield book
        book.close()
    except XlsxFileError as error:
        raise failed(place, error) from error
    finally:
        for sheet in book.worksheets():
            if sheet.row_data_fh:
                sheet.row_data_fh.close()


def _fitting(connection: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Return how many rows a table has; raise if a sheet does not hold it."""
    texts = [quote(c.name) for c in table.columns if cells.plain(c)[1] == pa.string()]
    longest = ", ".join(f"max(length(cast({cells_} as varchar)))" for cells_ in texts) or "0"
    counted = f"select count(*), greatest({longest}, 0) from ({table.sql})"
    ((rows, length),) = connection.sql(counted).fetchall()
    found = {
        f"{rows:,} rows": rows > _ROWS,
        f"{len(table.columns):,} columns": len(table.columns) > _COLUMNS,
        f"a text of {length:,} characters": (length or 0) > _CHARACTERS,
    }
    if beyond := [told for told, is_beyond in found.items() if is_beyond]:
        raise ExportError(
            f"The table {table.name} has {beyond[0]}; a sheet holds {_ROWS:,} rows, {_COLUMNS:,} "
            f"columns, and {_CHARACTERS:,} characters a cell.",
            "Filter or aggregate the frame first, or export to .parquet, .csv or a database.",
        )
    return int(rows)


def _write(connection: duckdb.DuckDBPyConnection, table: Table, book: Workbook, rows: int) -> None:
    sheet = book.add_worksheet(table.name)
    query, schema = cells.selected(table)
    writers = [_writer(sheet, book, type_) for type_ in schema.types]
    _head(sheet, book, table.names, rows)
    for place, width in enumerate(_widths(connection, table, query)):
        sheet.set_column(place, place, width)
    for row, values in enumerate(_rows(connection, query), 1):
        for place, value in enumerate(values):
            if value is not None:
                writers[place](row, place, value)


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _writer(sheet: Worksheet, book: Workbook, type_: pa.DataType) -> Callable[..., Any]:
    """Return what writes a cell of a column, as what it is and nothing else."""
    if type_ == pa.bool_():
        write: Callable[..., Any] = sheet.write_boolean
        return write
    if type_ == pa.float64():
        return lambda row, place, value: sheet.write_number(row, place, _number(value))
    if type_ == pa.int64():
        return lambda row, place, value: _write_whole(sheet, row, place, value)
    if type_ == pa.date32():
        day = book.add_format({"num_format": _DAY})
        return lambda row, place, value: sheet.write_datetime(row, place, value, day)
    if pa.types.is_timestamp(type_):
        instant = book.add_format({"num_format": _INSTANT})
        return lambda row, place, value: sheet.write_datetime(
            row, place, value.replace(tzinfo=None), instant
        )
    write_text: Callable[..., Any] = sheet.write_string
    return write_text


def _number(value: float) -> float:
    return value if float(f"{value:.16G}") == value else _Exact(value)


def _write_whole(sheet: Worksheet, row: int, place: int, value: int) -> None:
    """Write a whole number; one of more digits than Excel keeps is text."""
    if abs(value) < _DIGITS:
        sheet.write_number(row, place, value)
    else:
        sheet.write_string(row, place, str(value))


def _head(sheet: Worksheet, book: Workbook, names: Sequence[str], rows: int) -> None:
    bold = book.add_format({"bold": True, "bottom": 1})
    for place, name in enumerate(names):
        sheet.write_string(0, place, name, bold)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(rows, 1), max(len(names) - 1, 0))


def _widths(connection: duckdb.DuckDBPyConnection, table: Table, query: str) -> Iterable[int]:
    """Return how wide the columns are: as their longest text, within reason."""
    lengths = ", ".join(f"max(length(cast({quote(name)} as varchar)))" for name in table.names)
    (longest,) = connection.sql(f"select {lengths} from ({query})").fetchall()
    for name, length in zip(table.names, longest, strict=True):
        yield min(max(length or 0, len(name) + 2, _NARROWEST), _WIDEST)


def _describe(tables: Sequence[Table], book: Workbook) -> None:
    """Add the sheet that says what each column is."""
    sheet = book.add_worksheet(_DICTIONARY)
    told = [(table.name, *_told(column)) for table in tables for column in table.columns]
    _head(sheet, book, _HEADINGS, len(told))
    for place, width in enumerate((18, 44, 24, 18, 90)):
        sheet.set_column(place, place, width)
    for row, texts in enumerate(told, 1):
        for place, text in enumerate(texts):
            sheet.write_string(row, place, text)


def _told(column: Column) -> tuple[str, str, str, str]:
    type_ = cells.plain(column)[1]
    name = "date and time, UTC" if pa.types.is_timestamp(type_) else _NAMES[type_]
    is_json = pa.types.is_nested(column.type)
    return column.name, "JSON" if is_json else name, column.unit, column.description


_NAMES: Final[dict[Any, str]] = {
    pa.string(): "text",
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}
