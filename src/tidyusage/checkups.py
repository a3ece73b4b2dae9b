"""Whether records can be trusted, as commands: `validate` and `findings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tidyusage.console import BAD_DATA, plainly, records, show_answer
from tidyusage.questions import Currency, Format, Keys, Rejects, Repeated, Sources, reading

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
) -> None:
    """Check records against the schema's rules; print what breaks one, and end with exit code 1."""
    from tidyusage.checks import validate_usage
    from tidyusage.errors import UsageError

    with plainly():
        table = records(sources, reading(rejects, currency, duplicates, unknown))
        try:
            validate_usage(table, currencies=also or ())
        except UsageError as error:
            failures = getattr(error, "failure_cases", None)
            if failures is None:
                raise
            show_answer(failures, format_)
            failing = len(set(failures["index"].to_pylist()))
            typer.echo(f"{failing:,} of {table.num_rows:,} records break a rule.", err=True)
            raise typer.Exit(BAD_DATA) from None
        typer.echo(f"All {table.num_rows:,} records keep the schema's rules.", err=True)


def findings(
    sources: Sources,
    *,
    only: Only = None,
    format_: Format = "table",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
) -> None:
    """Show what is legal in the records, but suspect."""
    from tidyusage import checks

    with plainly():
        table = records(sources, reading(rejects, currency, duplicates, unknown))
        found: pa.Table = checks.findings(table, only=only)
        if not found.num_rows and format_ == "table":
            typer.echo(f"Nothing is suspect in {table.num_rows:,} records.", err=True)
        elif format_ == "table":
            show_answer(found.select(_SHOWN), format_)
        else:
            show_answer(found, format_)


# A terminal has no room for all; the message has the values in words.
_SHOWN = ["severity", "check", "id", "records", "message"]
