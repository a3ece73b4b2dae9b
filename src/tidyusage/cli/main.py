"""The command-line application, and its command `flatten`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidyusage import __version__
from tidyusage._utils import bounded, connections
from tidyusage._utils.atomic import replacing
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.cli import export, fetch, metrics, quality, report
from tidyusage.cli.console import height, plainly, records, show
from tidyusage.cli.metrics import MemoryLimit, TempDirectory, reading
from tidyusage.engines import frames
from tidyusage.errors import counted
from tidyusage.io.paths import expand
from tidyusage.typing import (  # noqa: TC001 - typer reads them
    Duplicates,
    Layout,
    RemoteData,
    Separator,
    Unknown,
)

if TYPE_CHECKING:
    import duckdb


app = typer.Typer(
    name="tidyusage",
    help="Turn nested Usage records into tidy tables, and ask what they cost.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"tidyusage {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Turn nested Usage records into tidy tables, and ask what they cost."""


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
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Read Usage records; show them as a table, or write them to a file."""
    from tidyusage._utils import progress

    with plainly():
        output = None if output is None else expand(output)
        _check_output(output)
        how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
        frame = records(sources, {**how, "layout": layout, "sep": sep, "remote_data": remote_data})
        if output is None:
            show(frame)
            return
        with progress.bar("Writing"):
            _write(frame, output)
        columns = len(frames.columns(frame))
        typer.echo(f"{counted(height(frame), 'row')} × {columns} columns in {output}", err=True)


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


def _write(frame: Any, output: str) -> None:
    """Write a table or relation to a file that is complete or absent."""
    with replacing(output) as partial:
        if frames.backend_of(frame) == "duckdb":
            with bounded.asked(frame):
                _copy(frame, output, partial)
        else:
            with connections.connect() as connection:
                _copy(connection.from_arrow(frame), output, partial)


def _copy(rows: duckdb.DuckDBPyRelation, output: str, partial: str) -> None:
    """Write rows in the format that a name says; nested columns are JSON text in CSV."""
    format_ = {"ndjson": "json"}.get(output.rpartition(".")[2], output.rpartition(".")[2])
    options = f"format {format_}" + (", compression zstd" if format_ == "parquet" else "")
    nested = {
        name
        for name, type_ in zip(rows.columns, map(str, rows.types), strict=True)
        if format_ == "csv" and type_.endswith("[]")
    }
    columns = ", ".join(
        f"to_json({quote(name)}) as {quote(name)}" if name in nested else quote(name)
        for name in rows.columns
    )
    query = f"select {columns} from {FRAME}"
    rows.query(FRAME, f"copy ({query}) to {literal(partial)} ({options})")


metrics.add_to(app)
quality.add_to(app)
fetch.add_to(app)
export.add_to(app)
report.add_to(app)
