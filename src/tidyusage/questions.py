"""The metrics as commands: each reads records, and prints its answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import typer

from tidyusage.console import answered, plainly, records, show_answer
from tidyusage.errors import OptionError
from tidyusage.typing import (
    AcceptanceKind,
    Duplicates,
    Freq,
    Policy,
    Unknown,
)

Form: TypeAlias = Literal["table", "csv", "json", "md"]
Sources: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE...", help="Files, folders or patterns; - is standard input."),
]
By: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--by", help="A dimension such as model.id; may be given several times."),
]
Periods: TypeAlias = Annotated[Freq | None, typer.Option("--freq", help="The length of a period.")]
Zone: TypeAlias = Annotated[str, typer.Option("--tz", help="The zone whose calendar counts.")]
Format: TypeAlias = Annotated[Form, typer.Option("--format", help="How the answer is written.")]
Rates: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--rate", metavar="EUR=1.08", help="What a currency is worth in that of --to."),
]
To: TypeAlias = Annotated[str | None, typer.Option("--to", help="The currency to convert to.")]
Which: TypeAlias = Annotated[Policy, typer.Option("--charge", help="What of the charges counts.")]
Rejects: TypeAlias = Annotated[
    str | None, typer.Option("--rejects", help="Where records that cannot be read are set aside.")
]
Currency: TypeAlias = Annotated[
    str | None, typer.Option("--currency", help="What an absent currency means, such as USD.")
]
Repeated: TypeAlias = Annotated[
    Duplicates, typer.Option("--duplicates", help="One id on several records.")
]
Keys: TypeAlias = Annotated[
    Unknown, typer.Option("--unknown", help="Keys that the schema does not know.")
]

MemoryLimit: TypeAlias = Annotated[
    str | None,
    typer.Option("--memory-limit", metavar="2GB", help="Hold no more; the rest goes to disk."),
]
TempDirectory: TypeAlias = Annotated[
    str | None,
    typer.Option("--temp-directory", metavar="DIR", help="The folder for what is not held."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for function in (summary, cost, tokens, users, acceptance):
        examples = _EXAMPLES[function.__name__]
        epilog = "\n\n".join(["**Examples**", *(f"`tidyusage {line}`" for line in examples)])
        app.command(epilog=epilog)(function)


_EXAMPLES = {
    "summary": ("summary usage.ndjson", "summary exports/ --by organization.id --format csv"),
    "cost": (
        "cost usage.ndjson --by model.id --freq 1mo",
        "cost usage.ndjson --by user.email --charge net --rate EUR=1.08 --to USD",
    ),
    "tokens": ("tokens usage.ndjson --by model.id", "tokens usage.ndjson --freq 1d --format json"),
    "users": ("users usage.ndjson --freq 1w", "users usage.ndjson --freq 1d --rolling 7"),
    "acceptance": ("acceptance usage.ndjson --by user.email --kind edit",),
}


def summary(
    sources: Sources,
    *,
    by: By = None,
    charge: Which = "billed",
    rate: Rates = None,
    to: To = None,
    format_: Format = "table",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show what the records hold: users, models, tokens, cost, and how many tell of each."""
    how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
    _ask("summary", sources, by, format_, how, charge=charge, rates=rate, to=to)


def cost(
    sources: Sources,
    *,
    by: By = None,
    charge: Which = "billed",
    freq: Periods = None,
    tz: Zone = "UTC",
    rate: Rates = None,
    to: To = None,
    format_: Format = "table",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show what each group cost, by currency."""
    how = reading(rejects, currency, duplicates, unknown, memory_limit, temp_directory)
    options = {"charge": charge, "freq": freq, "tz": tz, "rates": rate, "to": to}
    _ask("cost_by", sources, by, format_, how, **options)


def tokens(
    sources: Sources,
    *,
    by: By = None,
    freq: Periods = None,
    tz: Zone = "UTC",
    format_: Format = "table",
    rejects: Rejects = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show how many tokens each group used, by sort."""
    how = reading(rejects, None, duplicates, unknown, memory_limit, temp_directory)
    _ask("tokens_by", sources, by, format_, how, freq=freq, tz=tz)


def users(
    sources: Sources,
    *,
    by: By = None,
    freq: Periods = None,
    rolling: Annotated[
        int | None, typer.Option(help="Count users of so many periods up to each.")
    ] = None,
    tz: Zone = "UTC",
    format_: Format = "table",
    rejects: Rejects = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show how many users were active in each group."""
    how = reading(rejects, None, duplicates, unknown, memory_limit, temp_directory)
    _ask("active_users", sources, by, format_, how, freq=freq, rolling=rolling, tz=tz)


def acceptance(
    sources: Sources,
    *,
    by: By = None,
    kind: Annotated[AcceptanceKind | None, typer.Option(help="Of what; all if not given.")] = None,
    freq: Periods = None,
    tz: Zone = "UTC",
    format_: Format = "table",
    rejects: Rejects = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Show how much of what was offered was accepted."""
    how = reading(rejects, None, duplicates, unknown, memory_limit, temp_directory)
    _ask("acceptance_rate", sources, by, format_, how, kind=kind, freq=freq, tz=tz)


def reading(  # noqa: PLR0917 - one of each that commands have
    rejects: str | None,
    currency: str | None,
    duplicates: Duplicates,
    unknown: Unknown,
    memory_limit: str | None,
    temp_directory: str | None,
) -> dict[str, Any]:
    """Return the options of reading that commands share."""
    options = {"rejects": rejects, "currency": currency}
    bounds = {"memory_limit": memory_limit, "temp_directory": temp_directory}
    return {**options, "duplicates": duplicates, "unknown": unknown, **bounds}


def _ask(
    metric: str,
    sources: list[str],
    by: list[str] | None,
    format_: Form,
    how: dict[str, Any],
    **options: Any,
) -> None:
    """Read records, ask a metric of them, and print the answer."""
    from tidyusage import metrics

    with plainly():
        if "rates" in options:
            options["rates"] = rated(options["rates"])
        frame = records(sources, how)
        show_answer(answered(getattr(metrics, metric)(frame, *(by or ()), **options)), format_)


def rated(rates: list[str] | None) -> dict[str, float] | None:
    """Return the rates that a command is given by currency, None for none."""
    return dict(map(_rate, rates)) if rates else None


def _rate(text: str) -> tuple[str, float]:
    currency, _, rate = text.partition("=")
    try:
        return currency, float(rate)
    except ValueError as error:
        raise OptionError(f"--rate {text} is no rate.", "Write --rate EUR=1.08.") from error
