"""The command `export`."""

from __future__ import annotations

import os
import warnings
from typing import Annotated, Final

import typer

from tidyusage.cli.console import plainly, records, source
from tidyusage.cli.metrics import (
    Currency,
    Keys,
    MemoryLimit,
    Rejects,
    Repeated,
    Since,
    Sources,
    TempDirectory,
    Until,
    reading,
    within,
)
from tidyusage.errors import counted
from tidyusage.typing import CreditSign, Mode, Overlap, Tables  # noqa: TC001 - typer reads them

# From here on records are read into a file.
_LARGE: Final = 256 * 2**20
_LIMIT: Final = "1GB"
_PACKED: Final = (".gz", ".zst")
_RATIO: Final = 10
_EXAMPLES: Final = (
    "export usage.ndjson usage.parquet",
    "export exports/ 'postgresql://me@host/bi?schema=usage' --mode upsert",
    "export usage.ndjson star/ --tables star --partition-by month",
    "export usage.ndjson focus.csv --tables focus --billing-account 4711",
    "TIDYUSAGE_KEY=… tidyusage export usage.ndjson usage.xlsx --anonymise user",
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    named = (line if line.startswith("TIDY") else f"tidyusage {line}" for line in _EXAMPLES)
    app.command(epilog="\n\n".join(["**Examples**", *(f"`{line}`" for line in named)]))(export)


def export(
    sources: Sources,
    target: Annotated[
        str,
        typer.Argument(
            help="A file (.parquet, .csv, .csv.gz, .xlsx, .duckdb, .hyper), a folder/, "
            "delta:FOLDER, or postgresql://user@host/database?schema=usage."
        ),
    ],
    *,
    tables: Annotated[Tables, typer.Option("--tables", help="Which tables.")] = "wide",
    mode: Annotated[
        Mode, typer.Option("--mode", help="What becomes of what is there already.")
    ] = "error",
    since: Since = None,
    until: Until = None,
    partition_by: Annotated[
        list[str] | None,
        typer.Option("--partition-by", help="year, month, day, or a column; several times."),
    ] = None,
    anonymise: Annotated[
        list[str] | None,
        typer.Option("--anonymise", help="A field or object for which hashes are to stand: user."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", help="A field or object to leave out.")
    ] = None,
    billing_account: Annotated[
        str | None,
        typer.Option("--billing-account", help="FOCUS: that of records without organization."),
    ] = None,
    credit_sign: Annotated[
        CreditSign | None,
        typer.Option(
            "--credit-sign",
            help="FOCUS: keep the signs of credits, or make every credit negative.",
        ),
    ] = None,
    overlap: Annotated[
        Overlap,
        typer.Option("--overlap", help="What to do about ids repeated over overlapping windows."),
    ] = "warn",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Write records where BI tools read them: whole, typed, and described.

    The key of pseudonyms is that of the environment variable TIDYUSAGE_KEY.
    """
    from tidyusage.export import export_usage

    with plainly():
        limit = memory_limit or _limit_of(sources)
        how = reading(rejects, currency, duplicates, unknown, limit, temp_directory)
        told = export_usage(
            within(records(sources, how), since, until),
            target,
            tables=tables,
            mode=mode,
            partition_by=partition_by or (),
            anonymise=anonymise or (),
            drop=drop or (),
            billing_account=billing_account,
            credit_sign=credit_sign,
            overlap=overlap,
        )
        where = told["target"] if "://" in target else target  # which shows no password
        for name, table in told["tables"].items():
            if name.endswith("_set_aside"):
                continue  # the warning tells of it
            typer.echo(f"{counted(table['rows'], 'row')} of {name} in {where}", err=True)


def _limit_of(sources: list[str]) -> str | None:
    """Return what is to be held of sources that nobody said it of: large ones go through a file."""
    found = source(sources)
    return _LIMIT if isinstance(found, list) and _size(found) >= _LARGE else None


def _size(sources: list[str]) -> int:
    """Return how many bytes of text there are, about."""
    from tidyusage.io import paths, remote

    local = [one for one in sources if not remote.is_address(one)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # reading warns of files that are skipped
        found = list(paths.files(local)) if local else []
    return sum(os.path.getsize(path) * (_RATIO if path.endswith(_PACKED) else 1) for path in found)
