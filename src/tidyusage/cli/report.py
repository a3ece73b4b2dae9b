"""The command `report`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import typer

from tidyusage.cli.console import plainly, records
from tidyusage.cli.metrics import (
    Currency,
    FiscalYearStart,
    Keys,
    MemoryLimit,
    Rates,
    Rejects,
    Repeated,
    Since,
    Sources,
    TempDirectory,
    To,
    Until,
    WeekStarts,
    Which,
    Zone,
    rated,
    reading,
    within,
)
from tidyusage.typing import End, Overlap  # noqa: TC001 - typer reads them

Lengths: TypeAlias = Literal["1d", "1w", "1mo", "1q", "1y"]
_EXAMPLES: Final = (
    "report usage.ndjson -o report.html",
    "report exports/ -o report.html --title 'AI usage' --freq 1mo --tz Europe/Berlin",
    "report usage.ndjson -o report.html --rate EUR=1.08 --to USD --no-users",
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    lines = (f"`tidyusage {line}`" for line in _EXAMPLES)
    app.command(epilog="\n\n".join(["**Examples**", *lines]))(report)


def report(
    sources: Sources,
    *,
    output: Annotated[
        str, typer.Option("-o", "--output", help="The page to write: a file that ends with .html.")
    ],
    title: Annotated[str | None, typer.Option("--title", help="The page's heading.")] = None,
    since: Since = None,
    until: Until = None,
    freq: Annotated[
        Lengths | None, typer.Option("--freq", help="The length of a period; chosen if not given.")
    ] = None,
    charge: Which = "billed",
    rate: Rates = None,
    to: To = None,
    tz: Zone = "UTC",
    end: Annotated[
        End, typer.Option("--end", help="Whether windows hold the day of their end.")
    ] = "exclusive",
    fiscal_year_start: FiscalYearStart = 1,
    week_start: WeekStarts = "monday",
    overlap: Annotated[
        Overlap, typer.Option("--overlap", help="What to do about rows that the sums count twice.")
    ] = "warn",
    users: Annotated[
        bool, typer.Option("--users/--no-users", help="Whether the page names users.")
    ] = True,
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Write a page that shows what usage cost, who used what, and how sure that is."""
    from tidyusage._utils import progress
    from tidyusage.reporting import report as written

    with plainly():
        how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
        rates = rated(rate)
        frame = within(records(sources, how), since, until, tz)
        with progress.bar("Reporting"):
            path = written(
                frame,
                output,
                title=title,
                freq=freq,
                charge=charge,
                rates=rates,
                to=to,
                assume_currency=currency,
                tz=tz,
                end=end,
                fiscal_year_start=fiscal_year_start,
                week_start=week_start,
                overlap=overlap,
                users=users,
            )
        typer.echo(f"The report is in {path}", err=True)
