"""Exchange rates from the currencies of records to one currency."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tidyusage._utils.sql import literal
from tidyusage.engines import frames
from tidyusage.errors import OptionError, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.typing import Rates as RatesLike

Span: TypeAlias = "tuple[str, dt.datetime | None, dt.datetime | None, float]"
UNRATED: Final = "tu__unrated"
_COLUMNS: Final = ("currency", "date", "rate")
_SHAPE: Final = "Give {'EUR': 1.08}, or a frame with the columns currency, date and rate."


@dataclass(frozen=True, slots=True)
class Rates:
    """What one of each currency is worth in another: of each, from when until when.

    The times are instants of UTC without a zone, None for always.
    """

    to: str
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, rates: RatesLike | None, to: str | None) -> Rates | None:
        """Look at the options ``rates`` and ``to``; None if neither is given."""
        if rates is None and to is None:
            return None
        if rates is None or to is None:
            given, other = ("to", "rates") if rates is None else ("rates", "to")
            raise OptionError(
                f"{given}= is given, and {other}= is not.",
                "Amounts are converted with both, as rates={'EUR': 1.08}, to='USD'.",
            )
        own = currency_code("to", to)
        if isinstance(rates, Mapping):
            rows: Iterable[tuple[Any, Any, Any]] = ((c, None, rate) for c, rate in rates.items())
        else:
            rows = _dated(rates)
        found: dict[str, dict[dt.datetime | None, float]] = defaultdict(dict)
        for currency, date, rate in rows:
            _check(currency, date, rate)
            if date in found[_code(currency)]:
                raise OptionError(
                    f"rates= has two rates of {currency!r} at {_shown(date)}.", "Keep one."
                )
            found[_code(currency)][date] = float(rate)
        if any(rate != 1 for rate in found.pop(own, {}).values()):
            raise OptionError(f"rates= changes {own} into itself at another rate than 1.", _SHAPE)
        spans: list[Span] = [(own, None, None, 1.0)]
        for code, dates in found.items():
            since = sorted(dates, key=lambda date: (date is not None, date))
            for first, after in zip(since, [*since[1:], None], strict=True):
                spans.append((code, first, after, dates[first]))
        return cls(own, tuple(spans))

    @property
    def guard(self) -> str:
        """What to say of amounts that no rate is there for."""
        return (
            f"There is no rate of {{}} to {self.to}.\n\n"
            "Add it to rates=, or name the currency of records without one: with assume_currency= "
            "here, or with currency= when they are flattened."
        )

    def steps(self, cost: str, currency: str) -> str:
        """Return the steps from ``usage`` to ``amounts``, with what each record's cost is worth."""
        rows = ",\n    ".join(
            f"({literal(code)}, {instant_sql(since)}, {instant_sql(until)}, "
            f"cast({rate!r} as double))"
            for code, since, until, rate in self.spans
        )
        is_then = "tu__since is null or start_date >= tu__since"
        is_still = "tu__until is null or start_date < tu__until"
        of_then = f" and ({is_then}) and ({is_still})" if self.is_dated else ""
        when = "coalesce(' on ' || cast(start_date as varchar), ' without a date')"
        unknown = "coalesce(tu__code, 'an unknown currency')"
        missing = f"{unknown} || {when}" if self.is_dated else unknown
        is_unrated = "tu__amount is not null and tu__rate is null"
        return f"""rates as (
  select *
  from (values
    {rows}
  ) as tu__rates(tu__currency_code, tu__since, tu__until, tu__rate)
),
charged as (
  select *, {cost} as tu__amount, {currency} as tu__code
  from usage
),
amounts as (
  select charged.*, tu__amount * tu__rate as tu__cost,
    case when tu__amount is not null then {literal(self.to)} end as tu__currency,
    case when {is_unrated} then {missing} end as {UNRATED}
  from charged
  left join rates on tu__code = tu__currency_code{of_then}
)"""

    @property
    def is_dated(self) -> bool:
        """Whether rates hold from a date on."""
        return any(since for _, since, _, _ in self.spans)


def currency_code(option: str, value: object) -> str:
    """Return the code of a currency that an option names; raise if it is not text, or blank."""
    if not isinstance(value, str) or not _code(value):
        raise OptionError(f"Invalid currency: {option}={value!r}.", "Give a code such as 'USD'.")
    return _code(value)


def _code(currency: str) -> str:
    return currency.strip().upper()


def _dated(rates: Any) -> Iterable[tuple[Any, Any, Any]]:
    """Yield the rows of a frame of rates."""
    if frames.backend_of(rates) is None:
        raise OptionError(f"rates= is {type(rates).__name__}.", _SHAPE)
    table = frames.collected(rates)
    if missing := [name for name in _COLUMNS if name not in table.column_names]:
        raise OptionError(f"rates= has no column {missing[0]!r}.", _SHAPE)
    for row in table.select(list(_COLUMNS)).to_pylist():
        yield row["currency"], instant("rates", row["date"]), row["rate"]


def instant(option: str, date: Any) -> dt.datetime:
    """Return an instant of UTC without a zone; a date is its midnight."""
    if isinstance(date, str):
        try:
            date = dt.datetime.fromisoformat(date)
        except ValueError as error:
            raise OptionError(f"{option}= has the date {date!r}.", "Write 2026-01-31.") from error
    if isinstance(date, dt.datetime):
        return date.astimezone(dt.UTC).replace(tzinfo=None) if date.tzinfo else date
    if isinstance(date, dt.date):
        return dt.datetime.combine(date, dt.time())
    raise OptionError(
        f"{option}= has the date {date!r}.", "Give dates, or text such as 2026-01-31."
    )


def _check(currency: Any, date: dt.datetime | None, rate: Any) -> None:
    if not isinstance(currency, str) or not _code(currency):
        raise OptionError(f"rates= has the currency {currency!r}.", _SHAPE)
    if not is_number(rate) or rate <= 0:
        at = f" at {_shown(date)}" if date else ""
        raise OptionError(f"rates= has the rate {rate!r} of {currency!r}{at}.", _SHAPE)


def _shown(date: dt.datetime | None) -> str:
    return "all times" if date is None else date.isoformat(" ")


def instant_sql(date: dt.datetime | None) -> str:
    """Return the SQL of an instant; null for None."""
    return f"cast({literal(date.isoformat(' ') if date else None)} as timestamp)"
