"""The command line: what the functions do, from the shell."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from tidyusage.errors import RecordError, UsageError, UsageWarning
from tidyusage.typing import (  # noqa: TC001 - typer reads them
    Duplicates,
    Layout,
    RemoteData,
    Separator,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


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

app = typer.Typer(
    name="tidyusage",
    help="Turn nested Usage records into tidy tables.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Turn nested Usage records into tidy tables."""


@app.command(
    epilog="""
**Examples**

`tidyusage flatten usage.ndjson` shows the wide table's first rows.

`tidyusage flatten usage.ndjson --layout long -o long.parquet` writes one row a measure.

`tidyusage flatten 'exports/*.gz' -o usage.csv --rejects bad.ndjson` sets bad records aside.

`curl … | tidyusage flatten - -o usage.parquet` reads standard input.
"""
)
def flatten(  # noqa: PLR0917 - typer makes options of them
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Files, folders or patterns; - is standard input."
        ),
    ],
    layout: Annotated[Layout, typer.Option(help="Which tidy table.")] = "wide",
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="A file to write: .parquet, .csv or .ndjson."),
    ] = None,
    rejects: Annotated[
        str | None, typer.Option(help="Where records that cannot be read are set aside, as NDJSON.")
    ] = None,
    sep: Annotated[Separator, typer.Option(help="What joins a path into a column's name.")] = ".",
    unknown: Annotated[Unknown, typer.Option(help="Keys that the schema does not know.")] = "warn",
    duplicates: Annotated[Duplicates, typer.Option(help="One id on several records.")] = "latest",
    remote_data: Annotated[RemoteData, typer.Option(help="The vendor's raw object.")] = "drop",
    currency: Annotated[
        str | None, typer.Option(help="What an absent currency means, such as USD.")
    ] = None,
) -> None:
    """Read Usage records; show them as a table, or write them to a file."""
    from tidyusage import progress, read

    with _plainly():
        _check_output(output)
        with progress.bar("Reading"):
            table = read.read_usage(
                _source(sources),
                layout=layout,
                backend="pyarrow",
                sep=sep,
                rejects=rejects,
                unknown=unknown,
                duplicates=duplicates,
                remote_data=remote_data,
                currency=currency,
            )
        if output is None:
            _show(table)
        else:
            with progress.bar("Writing"):
                _write(table, output)
            typer.echo(
                f"{table.num_rows:,} rows × {table.num_columns} columns in {output}", err=True
            )


@contextmanager
def _plainly() -> Iterator[None]:
    """Say warnings and errors as a command does, and end with the right exit code."""

    def say(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        kind = "warning" if issubclass(category, UsageWarning) else category.__name__
        typer.echo(f"{kind}: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UsageWarning)
        warnings.showwarning = say
        try:
            yield
        except RecordError as error:
            spoken = str(error).replace("rejects=PATH", "--rejects FILE")
            typer.echo(f"error: {spoken}", err=True)
            raise typer.Exit(BAD_DATA) from None
        except (UsageError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(BAD_USAGE) from None


def _source(sources: list[str]) -> list[str] | IO[bytes]:
    if "-" not in sources:
        return sources
    if len(sources) > 1:
        raise typer.BadParameter("- stands alone: standard input cannot be read among files.")
    return sys.stdin.buffer


def _check_output(output: str | None) -> None:
    if output is not None and not output.endswith((".parquet", ".csv", ".ndjson")):
        raise typer.BadParameter(
            f"{output!r} does not say its format; end it with .parquet, .csv or .ndjson.",
            param_hint="-o",
        )
    if output is not None:
        _check_folder(output)


def _check_folder(output: str) -> None:
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise typer.BadParameter(f"There is no folder {folder!r}.", param_hint="-o")


def _write(table: pa.Table, output: str) -> None:
    """Write a table whole or not at all; nested columns are JSON text in CSV."""
    import pyarrow as pa

    from tidyusage import engines
    from tidyusage.sqltext import literal, quote

    format_ = {"ndjson": "json"}.get(output.rpartition(".")[2], output.rpartition(".")[2])
    options = f"format {format_}" + (", compression zstd" if format_ == "parquet" else "")
    columns = ", ".join(
        f"to_json({quote(field.name)}) as {quote(field.name)}"
        if format_ == "csv" and pa.types.is_nested(field.type)
        else quote(field.name)
        for field in table.schema
    )
    partial = f"{output}.{os.getpid()}.partial"
    try:
        with engines.connect() as connection:
            connection.register(engines.FRAME, table)
            query = f"select {columns} from {engines.FRAME}"
            connection.execute(f"copy ({query}) to {literal(partial)} ({options})")
        os.replace(partial, output)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def _show(table: pa.Table) -> None:
    """Print the first rows, in as many columns as the terminal holds."""
    from rich.console import Console
    from rich.table import Table

    from tidyusage.schema import rename

    console = Console()
    columns = {
        field.name: [_cell(value) for value in table[field.name][:_ROWS].to_pylist()]
        for field in table.schema
        if table[field.name].null_count < table.num_rows or not table.num_rows
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
        f"{min(table.num_rows, _ROWS):,} of {table.num_rows:,} rows, "
        f"{len(shown)} of {table.num_columns} columns"
        + (f"; {empty} columns hold nothing" if empty else ""),
        style="dim",
    )


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


if __name__ == "__main__":
    app()
