"""Read the input of commands and print their results, warnings and errors."""

from __future__ import annotations

import json
import re
import sys
import warnings
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, cast

import typer

from tidyusage._utils import numbers as figures
from tidyusage._utils.interrupts import leaving
from tidyusage.errors import RecordError, UsageError, UsageWarning, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from tidyusage.typing import Backend

BAD_DATA: Final = 1
BAD_USAGE: Final = 2
_ROWS: Final = 10
_WIDEST: Final = 56
_NARROWEST: Final = 10  # a column of text, where a terminal has little room
_GAP: Final = 2
_UNLIMITED: Final = 10_000
# Dimensions without a value, all groups beyond the largest, and records without a date.
_NONE: Final = "(none)"
_REST: Final = "(all others)"
_UNDATED: Final = "(no date)"
# What a reader looks for first, as far as the terminal is wide.
_FIRST: Final = (
    "id",
    "position",
    "metric",
    "value",
    "unit",
    "product.id",
    "start_date",
    "user.email",
    "model.id",
    "charges.currency",
    "charges.total",
    "charges.net",
    "usage.tokens.total",
    "usage.requests.total",
)
# Keywords that have other names as options.
_OPTIONS: Final = {
    "integrated_account_id": "--account",
    "base_url": "--base-url",
    "start_date": "--since",
    "end_date": "--until",
    "params": "--param",
    "memory_limit": "--memory-limit",
    "temp_directory": "--temp-directory",
    "partial(?==)": "--partial",
    "every(?==)": "--every",
    "into(?==)": "--into",
    "lookback(?==)": "--lookback",
}
# An example of a call with a dimension: top(10, 'user.id').
_CALL: Final = re.compile(r"(?<![.\w])\w+\((?:df, |\d+, )?'([\w.]+)'(?:, '[\w.]+')*\)")
# A keyword that commands have under the same name, and its value.
_KEYWORD: Final = re.compile(
    r"\b(to|freq|tz|rolling|charge|currency|kind|measure|overlap|unknown|duplicates|layout|sep"
    r"|since|until|mode|tables|crossing|fiscal_year_start|week_start|credit_sign)="
    r"('([^'\n]*)')?"
)


@contextmanager
def plainly() -> Iterator[None]:
    """Say warnings and errors as a command does, and end with the right exit code."""

    def say(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        kind = "warning" if issubclass(category, UsageWarning) else category.__name__
        typer.echo(f"{kind}: {printable(_spoken(message))}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UsageWarning)
        warnings.showwarning = say
        try:
            with leaving():
                yield
        except RecordError as error:
            typer.echo(f"error: {printable(_spoken(error))}", err=True)
            raise typer.Exit(BAD_DATA) from None
        except (UsageError, OSError) as error:
            typer.echo(f"error: {printable(_spoken(error))}", err=True)
            raise typer.Exit(BAD_USAGE) from None


def _spoken(error: Warning | Exception | str) -> str:
    """Return a message in the words of a command: options for keywords."""
    text = str(error).replace("rejects=PATH", "--rejects FILE")
    text = text.replace("rates={'EUR': 1.08}, to='USD'", "--rate EUR=1.08 --to USD")
    text = re.sub(r"Give token=, set", "Set", text)
    text = _CALL.sub(r"--by \1", text)
    for keyword, option in _OPTIONS.items():
        text = re.sub(rf"\b{keyword}=(?=\S)", f"{option} ", text)
        text = re.sub(rf"\b{keyword}(=|\b)", option, text)
    text = re.sub(r"\b(rate)s?=", r"--\1 ", text)
    text = text.replace("assume_currency=", "currency=")
    text = _KEYWORD.sub(lambda found: f"--{found[1].replace('_', '-')} {found[3] or ''}", text)
    # What only Python can do is said to be so.
    return re.sub(r"(^|\n\n|(?<=[.;] ))(?=(tu|df)\.\w)", r"\1In Python, ", text)


def source(sources: list[str]) -> list[str] | IO[bytes]:
    """Return what is to be read: the files named, or standard input."""
    if "-" not in sources:
        return sources
    if len(sources) > 1:
        raise typer.BadParameter("- stands alone: standard input cannot be read among files.")
    return sys.stdin.buffer


def records(sources: list[str], options: dict[str, Any]) -> Any:
    """Read what a command is given: a table, or where memory is to be bounded a relation."""
    from tidyusage.io import read

    bounds = options.get("memory_limit"), options.get("temp_directory")
    backend = "pyarrow" if bounds == (None, None) else "duckdb"
    frame = read.read_usage(source(sources), backend=cast("Backend", backend), **options)
    if backend == "pyarrow" and not frame.num_rows:
        typer.echo("The source holds no usage records.", err=True)
    return frame


def answered(frame: Any) -> pa.Table:
    """Return what was asked for as a table: a relation is run now, with a bar on a terminal."""
    from tidyusage._utils import bounded, progress
    from tidyusage.engines import frames

    if frames.backend_of(frame) != "duckdb":
        return cast("pa.Table", frame)
    with progress.bar("Asking"), bounded.asked(frame):
        return frames.collected(frame)


def height(frame: Any) -> int:
    """Return how many rows a table or relation has."""
    from tidyusage.engines import frames

    if frames.backend_of(frame) != "duckdb":
        return int(frame.num_rows)
    return int(answered(frame.aggregate("count(*) as rows"))["rows"][0].as_py())


def show(frame: Any) -> None:
    """Print the first rows, in as many columns as the terminal holds."""
    from rich.console import Console
    from rich.table import Table

    from tidyusage.schema import rename

    console = Console(markup=False, emoji=False, highlight=False)
    table, rows, filled = _glance(frame)
    columns = {
        name: [_cell(value) for value in table[name].to_pylist()]
        for name in table.column_names
        if filled[name] or not rows
    }
    first = {rename(name, sep): None for name in _FIRST for sep in "._"}
    order = [*(name for name in first if name in columns), *(n for n in columns if n not in first)]
    shown = _fitting({name: columns[name] for name in order}, console.width)
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for name in shown:
        drawn.add_column(name, justify=_justify(table.schema.field(name).type), no_wrap=True)
    for row in zip(*(columns[name] for name in shown), strict=True):
        drawn.add_row(*row)
    console.print(drawn)
    empty = table.num_columns - len(columns)
    console.print(
        f"{table.num_rows:,} of {rows:,} rows, "
        f"{len(shown)} of {table.num_columns} columns"
        + (f"; {empty} columns hold nothing" if empty else ""),
        style="dim",
    )


def _glance(frame: Any) -> tuple[pa.Table, int, dict[str, int]]:
    """Return the first rows of a table or relation, how many there are, and values by column."""
    from tidyusage._utils.sql import quote
    from tidyusage.engines import frames

    if frames.backend_of(frame) != "duckdb":
        filled = {name: len(frame) - frame[name].null_count for name in frame.column_names}
        return frame[:_ROWS], frame.num_rows, filled
    names = frame.columns
    counts = ", ".join(f"count({quote(name)})" for name in names)
    found = answered(frame.aggregate(f"count(*), {counts}")).to_pydict().values()
    rows, *values = (value for (value,) in found)
    return answered(frame.limit(_ROWS)), rows, dict(zip(names, values, strict=True))


def _fitting(columns: dict[str, list[str]], width: int) -> list[str]:
    shown: list[str] = []
    used = 0
    for name, cells in columns.items():
        used += max(map(len, [name, *cells])) + 2
        if used > width and shown:
            break
        shown.append(name)
    return shown


def _justify(type_: pa.DataType) -> Any:
    import pyarrow as pa

    return "right" if pa.types.is_floating(type_) or pa.types.is_integer(type_) else "left"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.10g}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00+00:00")
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = printable(str(value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def show_answer(
    table: pa.Table, form: str, *, dimensions: Sequence[str] = (), total: pa.Table | None = None
) -> None:
    """Print a metric's answer: all of it, as a table, CSV, JSON or Markdown.

    In a table, the groups of ``dimensions`` that have no name get one.
    ``total`` is the same metric without dimensions, one row per currency.  Tables and Markdown end
    with it; CSV and JSON are for programs, which would take it for one more group.
    """
    if form == "csv":
        _print_csv(table)
    elif form == "json":
        typer.echo(json.dumps(table.to_pylist(), default=_iso, indent=2, allow_nan=False))
    elif form == "md":
        typer.echo(_markdown(table, dimensions, total))
    else:
        _print(table, dimensions, total)


def _print_csv(table: pa.Table) -> None:
    """Write CSV; a terminal gets control characters escaped, a file gets the data as it is."""
    from pyarrow import BufferOutputStream, csv

    if not sys.stdout.isatty():
        csv.write_csv(table, sys.stdout.buffer)
        return
    written = BufferOutputStream()
    csv.write_csv(table, written)
    typer.echo(printable(written.getvalue().to_pybytes().decode()), nl=False)


def _print(table: pa.Table, dimensions: Sequence[str], total: pa.Table | None) -> None:
    from rich.cells import cell_len
    from rich.table import Table

    console, cells = _console(), _columns(table, dimensions, total)
    totals = 0 if total is None else total.num_rows
    rights = [name for name in cells if not _is_left(table, name)]
    widths = {name: max(map(cell_len, [name, *cells[name]])) for name in cells}
    for block in _blocks(list(cells), rights, widths, console.width):
        drawn = Table(box=None, header_style="bold", pad_edge=False)
        for name in block:
            is_number = name in rights
            drawn.add_column(
                printable(name),
                justify="right" if is_number else "left",
                overflow="fold",
                no_wrap=is_number,
                min_width=widths[name] if is_number else min(widths[name], _NARROWEST),
            )
        lines = list(zip(*(cells[name] for name in block), strict=True))
        for line in lines[: len(lines) - totals]:
            drawn.add_row(*line)
        for line in lines[len(lines) - totals :]:
            drawn.add_row(*line, style="bold")
        console.print(drawn)


def _console() -> Any:
    """Return a console that takes text as it is, as wide as the terminal; a file has no width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(width=width, markup=False, emoji=False, highlight=False)


def _blocks(
    names: list[str], numbers: list[str], widths: dict[str, int], width: int
) -> Iterator[list[str]]:
    """Yield the columns of the tables that hold an answer, one below the other.

    Text folds where a terminal is too narrow, and numbers never break.  Columns of numbers for
    which there is no room go into a further table, beside the same columns of text.
    """
    texts = [name for name in names if name not in numbers]
    room = width - sum(min(widths[name], _NARROWEST) + _GAP for name in texts)
    taken: list[str] = []
    for name in numbers:
        if taken and sum(widths[one] + _GAP for one in [*taken, name]) > room + _GAP:
            yield [one for one in names if one in texts or one in taken]
            taken = []
        taken.append(name)
    yield [one for one in names if one in texts or one in taken]


def _markdown(table: pa.Table, dimensions: Sequence[str], total: pa.Table | None) -> str:
    cells = _columns(table, dimensions, total)
    totals = 0 if total is None else total.num_rows
    lines = [list(cells), ["---" if _is_left(table, n) else "---:" for n in cells]]
    lines += [list(row) for row in zip(*cells.values(), strict=True)]
    texts = [[text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines]
    first = len(texts) - totals
    bold = [[f"**{text}**" if text else "" for text in line] for line in texts[first:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*texts[:first], *bold])


def _is_left(table: pa.Table, name: str) -> bool:
    return bool(_justify(table.schema.field(name).type) == "left")


def _columns(
    table: pa.Table, dimensions: Sequence[str], total: pa.Table | None
) -> dict[str, list[str]]:
    """Return an answer's cells as text, its total last; a column's numbers have one precision."""
    import pyarrow as pa

    whole = table if total is None else pa.concat_tables([table, total], promote_options="default")
    cells = {
        field.name: list(map(_writer(field, whole[field.name]), whole[field.name].to_pylist()))
        for field in whole.schema
    }
    is_rest = [rank is None for rank in table["rank"].to_pylist()] if "rank" in cells else []
    for name in dimensions:
        column, values = cells[name], table[name].to_pylist()
        for row in (row for row, value in enumerate(values) if value is None):
            rest = _REST if is_rest and is_rest[row] else _NONE
            column[row] = _UNDATED if name == "period" else rest
    if total is not None:
        for row in range(table.num_rows, whole.num_rows):
            next(iter(cells.values()))[row] = "total"
    return cells


def _writer(field: pa.Field[Any], column: Any) -> Callable[[Any], str]:
    """Return how the cells of a column are written: its numbers with the same decimals."""
    import pyarrow as pa

    def filled(write: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda value: "" if value is None else write(value)

    numbers = [value for value in column.to_pylist() if value is not None]
    if field.name in (*figures.SHARES, *figures.CHANGES):
        return filled(figures.percent)
    if pa.types.is_integer(field.type):
        return filled("{:,}".format)
    if field.name == "message":  # never shortened
        return filled(lambda value: printable(str(value)))
    if not pa.types.is_floating(field.type):
        return _cell
    if field.name == "value":  # of several units
        return filled(figures.of_one_unit)
    return filled(partial(figures.number, decimals=figures.places(numbers)))


def _iso(value: Any) -> str:
    return str(value.isoformat())
