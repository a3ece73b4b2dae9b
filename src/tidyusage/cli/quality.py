"""The commands `validate` and `findings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tidyusage.cli.console import BAD_DATA, answered, height, plainly, records, show_answer
from tidyusage.cli.metrics import (
    Currency,
    Format,
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

if TYPE_CHECKING:
    import pyarrow as pa

Currencies: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="CREDITS", help="A currency beside those of three letters."),
]
Only: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--only", help="A check by its name; may be given several times."),
]

_EXAMPLES = {
    "validate": (
        "validate usage.ndjson && load usage.ndjson",
        "validate exports/ --also CREDITS --format csv",
    ),
    "findings": (
        "findings usage.ndjson",
        "findings usage.ndjson --only missing_days --format json",
    ),
}


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for function in (validate, findings):
        lines = (f"`tidyusage {line}`" for line in _EXAMPLES[function.__name__])
        app.command(epilog="\n\n".join(["**Examples**", *lines]))(function)


def validate(
    sources: Sources,
    *,
    also: Currencies = None,
    format_: Format = "table",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "keep",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Check records against the schema's rules; print what breaks one, and end with exit code 1."""
    from tidyusage.errors import UsageError
    from tidyusage.quality import validate_usage

    with plainly():
        how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
        frame = records(sources, how)
        try:
            validate_usage(frame, currencies=also or ())
        except UsageError as error:
            failures = getattr(error, "failure_cases", None)
            if failures is None:
                raise
            show_answer(failures, format_)
            failing = len(set(failures["index"].to_pylist()))
            typer.echo(
                f"{failing:,} of {counted(height(frame))} "
                f"{'breaks' if failing == 1 else 'break'} a rule.",
                err=True,
            )
            raise typer.Exit(BAD_DATA) from None
        typer.echo(f"The schema's rules hold for {counted(height(frame))}.", err=True)


def findings(
    sources: Sources,
    *,
    only: Only = None,
    since: Since = None,
    until: Until = None,
    format_: Format = "table",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show what is legal in the records, but suspect."""
    from tidyusage import quality

    with plainly():
        how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
        frame = within(records(sources, how), since, until)
        found: pa.Table = answered(quality.findings(frame, only=only))
        if not found.num_rows and format_ == "table":
            typer.echo(f"Nothing is suspect in {counted(height(frame))}.", err=True)
        elif format_ == "table":
            show_answer(found.select(_SHOWN), format_)
        else:
            show_answer(found, format_)


# A terminal has no room for all; the message has the values in words.
_SHOWN = ["severity", "check", "id", "records", "message"]
