"""What commands read, and what they print: tables, and errors in plain words."""

from __future__ import annotations

import json
import re
import sys
import warnings
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, cast

import typer

from tidyusage import figures
from tidyusage.errors import RecordError, UsageError, UsageWarning
from tidyusage.interrupts import leaving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from tidyusage.typing import Backend

BAD_DATA: Final = 1
BAD_USAGE: Final = 2
_ROWS: Final = 10
_WIDEST: Final = 56
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


@contextmanager
def plainly() -> Iterator[None]:
    """Say warnings and errors as a command does, and end with the right exit code."""

    def say(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        kind = "warning" if issubclass(category, UsageWarning) else category.__name__
        typer.echo(f"{kind}: {_spoken(message)}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UsageWarning)
        warnings.showwarning = say
        try:
            with leaving():
                yield
        except RecordError as error:
            typer.echo(f"error: {_spoken(error)}", err=True)
            raise typer.Exit(BAD_DATA) from None
        except (UsageError, OSError) as error:
            typer.echo(f"error: {_spoken(error)}", err=True)
            raise typer.Exit(BAD_USAGE) from None


def _spoken(error: Warning | Exception | str) -> str:
    """Return what an error says in the words of a command."""
    text = str(error).replace("rejects=PATH", "--rejects FILE")
    text = text.replace("rates={'EUR': 1.08}, to='USD'", "--rate EUR=1.08 --to USD")
    text = re.sub(r"Give token=, set", "Set", text)
    for keyword, option in _OPTIONS.items():
        text = re.sub(rf"\b{keyword}=(?=\S)", f"{option} ", text)
        text = re.sub(rf"\b{keyword}(=|\b)", option, text)
    return re.sub(r"\b(rate)s?=|\b(to|freq|tz|rolling|charge|currency|kind)=", r"--\1\2 ", text)


def source(sources: list[str]) -> list[str] | IO[bytes]:
    """Return what is to be read: the files named, or standard input."""
    if "-" not in sources:
        return sources
    if len(sources) > 1:
        raise typer.BadParameter("- stands alone: standard input cannot be read among files.")
    return sys.stdin.buffer


def records(sources: list[str], options: dict[str, Any]) -> Any:
    """Read what a command is given: a table, or where memory is to be bounded a relation."""
    from tidyusage import read

    bounds = options.get("memory_limit"), options.get("temp_directory")
    backend = "pyarrow" if bounds == (None, None) else "duckdb"
    return read.read_usage(source(sources), backend=cast("Backend", backend), **options)


def answered(frame: Any) -> pa.Table:
    """Return what was asked for as a table: a relation is run now, with a bar on a terminal."""
    from tidyusage import bounded, engines, progress

    if engines.backend_of(frame) != "duckdb":
        return cast("pa.Table", frame)
    with progress.bar("Asking"), bounded.asked(frame):
        return engines.collected(frame)


def height(frame: Any) -> int:
    """Return how many rows a table or relation has."""
    from tidyusage import engines

    if engines.backend_of(frame) != "duckdb":
        return int(frame.num_rows)
    return int(answered(frame.aggregate("count(*) as rows"))["rows"][0].as_py())


def show(frame: Any) -> None:
    """Print the first rows, in as many columns as the terminal holds."""
    from rich.console import Console
    from rich.table import Table

    from tidyusage.schema import rename

    console = Console()
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
    from tidyusage import engines
    from tidyusage.sqltext import quote

    if engines.backend_of(frame) != "duckdb":
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
    text = str(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def show_answer(table: pa.Table, form: str) -> None:
    """Print a metric's answer: all of it, as a table, CSV, JSON or Markdown."""
    if form == "csv":
        from pyarrow import csv

        csv.write_csv(table, sys.stdout.buffer)
    elif form == "json":
        typer.echo(json.dumps(table.to_pylist(), default=_iso, indent=2, allow_nan=False))
    elif form == "md":
        typer.echo(_markdown(table))
    else:
        _print(table)


def _print(table: pa.Table) -> None:
    from rich.console import Console
    from rich.table import Table

    console, cells = Console(), _columns(table)
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for name in cells:
        right = _justify(table.schema.field(name).type)
        drawn.add_column(name, justify=right, overflow="fold")
    for row in zip(*cells.values(), strict=True):
        drawn.add_row(*row)
    console.print(drawn)


def _markdown(table: pa.Table) -> str:
    cells = _columns(table)
    lines = [list(cells), ["---" if _is_left(table, n) else "---:" for n in cells]]
    lines += [list(row) for row in zip(*cells.values(), strict=True)]
    escaped = ((text.replace("|", "\\|").replace("\n", " ") for text in line) for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _is_left(table: pa.Table, name: str) -> bool:
    return bool(_justify(table.schema.field(name).type) == "left")


def _columns(table: pa.Table) -> dict[str, list[str]]:
    """Return an answer's cells as text; the columns of a number have one precision."""
    return {
        field.name: list(map(_writer(field, table[field.name]), table[field.name].to_pylist()))
        for field in table.schema
    }


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
    if field.name == "message":  # what is said is said to its end
        return filled(str)
    if not pa.types.is_floating(field.type):
        return _cell
    if field.name == "value":  # of several units
        return filled(figures.of_one_unit)
    return filled(partial(figures.number, decimals=figures.places(numbers)))


def _iso(value: Any) -> str:
    return str(value.isoformat())
