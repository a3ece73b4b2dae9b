"""The metrics as commands."""

from __future__ import annotations

import functools
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_type_hints

import typer

from tidyusage.cli.console import answered, plainly, records, show_answer
from tidyusage.errors import OptionError
from tidyusage.typing import (
    AcceptanceKind,
    Duplicates,
    Freq,
    Overlap,
    Policy,
    Unknown,
    WeekStart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

Form: TypeAlias = Literal["table", "csv", "json", "md"]
Sources: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE...", help="Files, folders or patterns; - reads standard input."),
]
By: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--by", help="A dimension such as model.id; several with commas, or repeated."),
]
Periods: TypeAlias = Annotated[Freq | None, typer.Option("--freq", help="The length of a period.")]
Zone: TypeAlias = Annotated[str, typer.Option("--tz", help="The time zone of the calendar.")]
FiscalYearStart: TypeAlias = Annotated[
    int,
    typer.Option(
        "--fiscal-year-start", metavar="MONTH", help="First month of the fiscal year, 1 to 12."
    ),
]
WeekStarts: TypeAlias = Annotated[
    WeekStart, typer.Option("--week-start", help="The first day of a week.")
]
Format: TypeAlias = Annotated[Form, typer.Option("--format", help="The format of the answer.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="DATE", help="The first day, or a period such as 2026-01."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="The last day, which is included.")
]
Rates: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--rate", metavar="EUR=1.08", help="The value of a currency in that of --to."),
]
To: TypeAlias = Annotated[str | None, typer.Option("--to", help="The currency to convert to.")]
Which: TypeAlias = Annotated[
    Policy, typer.Option("--charge", help="Which charge counts as the cost.")
]
Overlaps: TypeAlias = Annotated[
    Overlap, typer.Option("--overlap", help="What to do if rows look counted twice.")
]
Rejects: TypeAlias = Annotated[
    str | None, typer.Option("--rejects", help="File for records that cannot be read.")
]
Currency: TypeAlias = Annotated[
    str | None, typer.Option("--currency", help="The currency of charges without one, e.g. USD.")
]
Repeated: TypeAlias = Annotated[
    Duplicates, typer.Option("--duplicates", help="What to do with repeated ids.")
]
Keys: TypeAlias = Annotated[
    Unknown, typer.Option("--unknown", help="What to do with keys that the schema lacks.")
]
MemoryLimit: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--memory-limit", metavar="2GB", help="Memory limit; anything above it spills to disk."
    ),
]
TempDirectory: TypeAlias = Annotated[
    str | None, typer.Option("--temp-directory", metavar="DIR", help="The folder to spill to.")
]
Measure: TypeAlias = Annotated[
    str, typer.Option("--measure", help="cost, tokens, requests, commits, or a counted field.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for function in (summary, cost, tokens, users, acceptance, top, trend):
        examples = _EXAMPLES[function.__name__]
        epilog = "\n\n".join(["**Examples**", *(f"`tidyusage {line}`" for line in examples)])
        app.command(epilog=epilog)(_with_reading(function))


_EXAMPLES = {
    "summary": ("summary usage.ndjson", "summary exports/ --by organization.id --format csv"),
    "cost": (
        "cost usage.ndjson --by product.id,model.id --freq 1mo",
        "cost usage.ndjson --by user.email --charge net --rate EUR=1.08 --to USD",
        "cost usage.ndjson --since 2026-01-01 --until 2026-01-31 --json",
        "cost usage.ndjson --freq 1q --fiscal-year-start 4",
    ),
    "tokens": ("tokens usage.ndjson --by model.id", "tokens usage.ndjson --freq 1d --json"),
    "users": ("users usage.ndjson --freq 1w", "users usage.ndjson --freq 1d --rolling 7"),
    "acceptance": ("acceptance usage.ndjson --by user.email --kind edit",),
    "top": (
        "top usage.ndjson --by user.email",
        "top usage.ndjson -n 5 --by model.id --measure tokens",
    ),
    "trend": (
        "trend usage.ndjson --freq 1w",
        "trend usage.ndjson --by product.id --since 2026-Q1",
    ),
}


class Question:
    """What a metric is computed on, and how its answer is printed."""

    def __init__(
        self,
        frame: Any,
        by: list[str] | None,
        form: Form,
        overlap: Overlap,
        currency: str | None = None,
        *,
        calendar: Mapping[str, Any],
    ) -> None:
        self._frame, self._form, self._overlap, self._currency = frame, form, overlap, currency
        self._by, self._calendar = _names(by, frame), calendar

    def answer(self, metric: str, *first: Any, totals: bool = True, **options: Any) -> None:
        """Compute a metric and print it; ``totals`` adds the metric of all rows to a table."""
        from tidyusage import metrics

        if "to" in options:  # the metric reads money
            options["assume_currency"] = self._currency
        ask = functools.partial(getattr(metrics, metric), self._frame, *first, **self._calendar)
        found = answered(ask(*self._by, overlap=self._overlap, **options))
        has_totals = totals and self._form in {"table", "md"} and found.num_rows > 1
        places = len(self._by) + ("period" in found.column_names)
        if not found.num_rows and self._form == "table":
            return  # a bare header tells nothing that the note on an empty source has not told
        if self._form in {"table", "md"}:  # CSV and JSON have dates, for programs
            found = self._with_fiscal_labels(found, options.get("freq"))
        show_answer(
            found,
            self._form,
            dimensions=found.column_names[:places],
            total=self._total(ask, options) if has_totals else None,
        )

    def _with_fiscal_labels(self, table: pa.Table, freq: Freq | None) -> pa.Table:
        """Return an answer whose fiscal quarters and years are named, such as "FY2026 Q1"."""
        from tidyusage.metrics._periods import fiscal_label

        month = self._calendar.get("fiscal_year_start", 1)
        if freq not in {"1q", "1y"} or month == 1:
            return table
        starts = table["period"].to_pylist()
        names = [None if start is None else fiscal_label(start, freq, month) for start in starts]
        return table.set_column(table.column_names.index("period"), "period", [names])

    def _total(self, ask: Callable[..., Any], options: dict[str, Any]) -> pa.Table | None:
        """Return the metric without dimensions and periods; a sum of ratios means nothing."""
        from tidyusage.metrics._missing_charges import ALREADY_CHECKED

        is_split = bool(self._by) or options.get("freq") is not None
        whole = {name: value for name, value in options.items() if name not in {"freq", "rolling"}}
        return answered(ask(overlap=ALREADY_CHECKED, **whole)) if is_split else None


def _names(by: list[str] | None, frame: Any) -> list[str]:
    """Return the dimensions of `--by a,b --by c`; a column's own name may hold a comma."""
    from tidyusage.engines import frames

    columns = frames.columns(frame)
    listed = ([text] if text in columns else text.split(",") for text in by or ())
    return [name.strip() for names in listed for name in names]


def summary(
    ask: Question,
    *,
    charge: Which = "billed",
    rate: Rates = None,
    to: To = None,
) -> None:
    """Show what the records hold: users, models, tokens, cost, and the coverage of each."""
    ask.answer("summary", charge=charge, rates=rated(rate), to=to)


def cost(
    ask: Question,
    *,
    charge: Which = "billed",
    freq: Periods = None,
    rate: Rates = None,
    to: To = None,
) -> None:
    """Show the cost of each group, by currency."""
    options: dict[str, Any] = {"charge": charge, "rates": rated(rate), "to": to}
    ask.answer("cost_by", freq=freq, **options)


def tokens(ask: Question, *, freq: Periods = None) -> None:
    """Show the tokens of each group, by kind."""
    ask.answer("tokens_by", freq=freq)


def users(
    ask: Question,
    *,
    freq: Periods = None,
    rolling: Annotated[
        int | None, typer.Option(help="Count the users of the last N periods.")
    ] = None,
) -> None:
    """Show how many users were active in each group."""
    ask.answer("active_users", freq=freq, rolling=rolling)


def acceptance(
    ask: Question,
    *,
    kind: Annotated[
        AcceptanceKind | None, typer.Option(help="One kind of suggestion; all by default.")
    ] = None,
    freq: Periods = None,
) -> None:
    """Show how much of what was suggested was accepted."""
    ask.answer("acceptance_rate", kind=kind, freq=freq)


def top(
    ask: Question,
    *,
    n: Annotated[int, typer.Option("-n", help="How many groups; the others are one row.")] = 10,
    measure: Measure = "cost",
    charge: Which = "billed",
    rate: Rates = None,
    to: To = None,
) -> None:
    """Show the largest groups, and all others as one row."""
    options: dict[str, Any] = {"charge": charge, "rates": rated(rate), "to": to}
    ask.answer("top", n, totals=False, measure=measure, **options)


def trend(
    ask: Question,
    *,
    measure: Measure = "cost",
    freq: Annotated[Freq, typer.Option("--freq", help="The length of a period.")] = "1mo",
    charge: Which = "billed",
    rate: Rates = None,
    to: To = None,
) -> None:
    """Show a measure by period, and its change from the period before."""
    options: dict[str, Any] = {"charge": charge, "rates": rated(rate), "to": to}
    ask.answer("trend", totals=False, measure=measure, freq=freq, **options)


def _reading(
    sources: Sources,
    *,
    by: By = None,
    since: Since = None,
    until: Until = None,
    format_: Format = "table",
    json: AsJson = False,
    overlap: Overlaps = "warn",
    rejects: Rejects = None,
    currency: Currency = None,
    duplicates: Repeated = "latest",
    unknown: Keys = "warn",
    memory_limit: MemoryLimit = None,
    temp_directory: TempDirectory = None,
) -> None:
    """Declare the options that every metric's command has."""


def _calendar(
    *,
    tz: Zone = "UTC",
    fiscal_year_start: FiscalYearStart = 1,
    week_start: WeekStarts = "monday",
) -> None:
    """Declare the options that the commands with periods have."""


def _with_reading(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command of a metric, which has the options of `_reading` too."""
    sources_ = (_reading, _calendar, function)
    shared, calendar, own = (inspect.signature(each).parameters for each in sources_)
    if "freq" not in own:
        calendar = MappingProxyType({})
    hints: dict[str, Any] = {}
    for each in sources_:
        hints |= get_type_hints(each, include_extras=True)

    @functools.wraps(function)
    def command(sources: list[str], **given: Any) -> None:
        options = {name: given[name] for name in own if name in given}
        with plainly():
            frame = within(
                records(sources, reading(**{name: given[name] for name in _HOW})),
                given["since"],
                given["until"],
                given.get("tz", "UTC"),
            )
            form: Form = "json" if given["json"] else given["format_"]
            question = Question(
                frame,
                given["by"],
                form,
                given["overlap"],
                given["currency"],
                calendar={name: given[name] for name in calendar},
            )
            function(question, **options)

    ordered = {name: shared[name] for name in ("sources", "by")} | {**own, **calendar, **shared}
    parameters = {name: of for name, of in ordered.items() if name != "ask"}
    annotated = [of.replace(annotation=hints[name]) for name, of in parameters.items()]
    command.__annotations__ = {of.name: of.annotation for of in annotated} | {"return": None}
    setattr(command, "__signature__", inspect.Signature(annotated))  # noqa: B010 - typer reads it
    return command


_HOW = ("rejects", "currency", "duplicates", "unknown", "memory_limit", "temp_directory")


def within(frame: Any, since: str | None, until: str | None, tz: str = "UTC") -> Any:
    """Return the part of a frame between two dates, or in the period that `--since` names."""
    from tidyusage import prepare

    if since is None and until is None:
        return frame
    return prepare.between(frame, since, until, tz=tz)


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


def rated(rates: list[str] | None) -> dict[str, float] | None:
    """Return the rates that a command is given by currency, None for none."""
    return dict(map(_rate, rates)) if rates else None


def _rate(text: str) -> tuple[str, float]:
    currency, _, rate = text.partition("=")
    try:
        return currency, float(rate)
    except ValueError as error:
        raise OptionError(f"Invalid rate: --rate {text}.", "Write --rate EUR=1.08.") from error
