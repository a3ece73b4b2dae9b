"""Write an Excel workbook: a sheet per table, typed cells, and a sheet that describes columns."""

from __future__ import annotations

import datetime as dt
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.sql import literal, quote
from tidyusage._utils.whole import failed
from tidyusage.errors import ExportError
from tidyusage.export import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from decimal import Decimal

    import duckdb
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from tidyusage.export.job import Job
    from tidyusage.export.table import Column, Table

_ROWS: Final = 1_048_575  # beside the header
_COLUMNS: Final = 16_384
_CHARACTERS: Final = 32_767
_DIGITS: Final = 10**15
# Excel counts in UTF-16, in which what is beyond these is two.
_BEYOND: Final = r"[^\x{10000}-\x{10FFFF}]"
# Excel has a 29 February 1900, and nothing before that year: earlier days would be others.
_FIRST: Final = dt.date(1900, 3, 1)
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
        bounded.temporary_folder() as folder,
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
    texts = [sql for sql, type_ in map(cells.plain, table.columns) if type_ == pa.string()]
    longest = ", ".join(f"max({_length(sql)})" for sql in texts) or "0"
    counted = f"select count(*), greatest({longest}, 0) from ({table.sql})"
    ((rows, length),) = connection.execute(counted).fetchall()
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


def _length(text: str) -> str:
    """Return the SQL of a text's length as Excel counts it; few are so long that it differs."""
    beyond = f"length(regexp_replace({text}, {literal(_BEYOND)}, '', 'g'))"
    is_long = f"length({text}) > {literal(_CHARACTERS // 2)}"
    return f"length({text}) + case when {is_long} then {beyond} else 0 end"


def _write(connection: duckdb.DuckDBPyConnection, table: Table, book: Workbook, rows: int) -> None:
    sheet = _sheet(book, table.name)
    query, schema = cells.selected(table)
    writers = [_writer(sheet, book, type_) for type_ in schema.types]
    _head(sheet, book, table.names, rows)
    for place, width in enumerate(_widths(connection, table, query)):
        sheet.set_column(place, place, width)
    for row, values in enumerate(_rows(connection, query), 1):
        for place, value in enumerate(values):
            if value is not None:
                writers[place](row, place, value)


def _sheet(book: Workbook, name: str) -> Worksheet:
    from tidyusage.export.sheet import PlainSheet

    return book.add_worksheet(name, PlainSheet)


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _writer(sheet: Worksheet, book: Workbook, type_: pa.DataType) -> Callable[..., Any]:
    """Return what writes a cell of a column, as what it is and nothing else."""
    if type_ == pa.bool_():
        write: Callable[..., Any] = sheet.write_boolean
        return write
    if type_ == pa.float64():
        return lambda row, place, value: _write_float(sheet, row, place, value)
    if type_ == pa.int64():
        return lambda row, place, value: _write_whole(sheet, row, place, value)
    if pa.types.is_decimal(type_):
        return lambda row, place, value: _write_decimal(sheet, row, place, value)
    if type_ == pa.date32() or pa.types.is_timestamp(type_):
        shown = book.add_format({"num_format": _DAY if type_ == pa.date32() else _INSTANT})
        return lambda row, place, value: _write_time(sheet, row, place, value, shown)
    write_text: Callable[..., Any] = sheet.write_string
    return write_text


def _write_float(sheet: Worksheet, row: int, place: int, value: float) -> None:
    """Write a number; Excel has none that is infinite."""
    if math.isinf(value):
        sheet.write_string(row, place, str(value))
    else:
        sheet.write_number(row, place, _number(value))


def _number(value: float) -> float:
    return value if float(f"{value:.16G}") == value else _Exact(value)


def _write_whole(sheet: Worksheet, row: int, place: int, value: int) -> None:
    """Write a whole number; one of more digits than Excel keeps is text."""
    if abs(value) < _DIGITS:
        sheet.write_number(row, place, value)
    else:
        sheet.write_string(row, place, str(value))


def _write_decimal(sheet: Worksheet, row: int, place: int, value: Decimal) -> None:
    """Write a decimal as a number; one of more digits than Excel keeps is text."""
    text = f"{value:f}"
    if len(text.replace(".", "").strip("-0")) < len(str(_DIGITS)):
        sheet.write_number(row, place, _number(float(value)))
    else:
        sheet.write_string(row, place, text)


def _write_time(
    sheet: Worksheet, row: int, place: int, value: dt.date | dt.datetime, shown: Format
) -> None:
    """Write a date or a time; one that Excel has no number for is text."""
    bare: Any = value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
    if (value.date() if isinstance(value, dt.datetime) else value) < _FIRST:
        sheet.write_string(row, place, value.isoformat().replace("+00:00", "Z"))
    else:
        sheet.write_datetime(row, place, bare, shown)


def _head(sheet: Worksheet, book: Workbook, names: Sequence[str], rows: int) -> None:
    bold = book.add_format({"bold": True, "bottom": 1})
    for place, name in enumerate(names):
        sheet.write_string(0, place, name, bold)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(rows, 1), max(len(names) - 1, 0))


def _widths(connection: duckdb.DuckDBPyConnection, table: Table, query: str) -> Iterable[int]:
    """Return how wide the columns are: as their longest text, within reason."""
    lengths = ", ".join(f"max(length(cast({quote(name)} as varchar)))" for name in table.names)
    (longest,) = connection.execute(f"select {lengths} from ({query})").fetchall()
    for name, length in zip(table.names, longest, strict=True):
        yield min(max(length or 0, len(name) + 2, _NARROWEST), _WIDEST)


def _describe(tables: Sequence[Table], book: Workbook) -> None:
    """Add the sheet that says what each column is."""
    sheet = _sheet(book, _DICTIONARY)
    told = [(table.name, *_told(column)) for table in tables for column in table.columns]
    _head(sheet, book, _HEADINGS, len(told))
    for place, width in enumerate((18, 44, 24, 18, 90)):
        sheet.set_column(place, place, width)
    for row, texts in enumerate(told, 1):
        for place, text in enumerate(texts):
            sheet.write_string(row, place, text)


def _told(column: Column) -> tuple[str, str, str, str]:
    type_ = cells.plain(column)[1]
    is_json = pa.types.is_nested(column.type)
    return column.name, "JSON" if is_json else _name(type_), column.unit, column.description


def _name(type_: pa.DataType) -> str:
    if pa.types.is_timestamp(type_):
        return "date and time" if cells.is_clock(type_) else "date and time, UTC"
    return _NAMES[pa.float64() if pa.types.is_decimal(type_) else type_]


_NAMES: Final[dict[Any, str]] = {
    pa.string(): "text",
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}
