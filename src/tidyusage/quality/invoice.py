"""A vendor's invoice as a wide frame: whatever its columns are called, and however it writes dates.

What could be read in two ways is not read: an amount with separators, a date that is not ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils import connections
from tidyusage._utils.sql import FRAME, literal, quote, trimmed
from tidyusage._utils.timestamps import TIMESTAMP, timestamp_sql
from tidyusage.engines import column_checks, frames
from tidyusage.engines import spark as sparks
from tidyusage.errors import FrameError, OptionError, RecordError, UnknownFieldError, nearest
from tidyusage.io import parse_sql

if TYPE_CHECKING:
    from tidyusage.metrics._periods import Periods

DATE: Final = "date"
END: Final = "end_date"
CURRENCY: Final = "currency"
_SHAPE: Final = "Give {'date': 'Invoice month', 'product.id': 'Service', 'cost': 'Amount'}."
_MONTH: Final = r"\d{4}-(0[1-9]|1[0-2])"
_DAY: Final = rf"{_MONTH}-\d{{2}}"
_ZONED: Final = r".{10}[Tt ].*([Zz]|[+-]\d\d(:?\d\d)?)"


@dataclass(frozen=True, slots=True)
class Lines:
    """What an invoice's lines hold: ``columns`` says which column is what.

    The measure is there under its name, and becomes the ``field`` of a wide frame.
    """

    columns: Mapping[str, str]
    measure: str
    field: str
    by: tuple[str, ...]
    currency: str | None

    def check(self, invoice: Any, *, is_dated: bool) -> None:
        """Raise if something is not named, or is not there."""
        if not isinstance(self.columns, Mapping):
            raise OptionError(f"columns= is {type(self.columns).__name__}.", _SHAPE)
        if frames.backend_of(invoice) is None:
            raise FrameError(
                f"{type(invoice).__name__} is no frame that tidyusage knows.",
                "Read the invoice into one first, as with pandas.read_csv().",
            )
        needed = (*([DATE] if is_dated else []), self.measure, *self.by)
        if missing := [name for name in needed if name not in self.columns]:
            raise OptionError(f"columns= does not say which column is the {missing[0]}.", _SHAPE)
        known, there = (DATE, END, CURRENCY, *needed), frames.columns(invoice)
        for name, column in self.columns.items():
            if name not in known:
                raise OptionError(f"columns= names {name!r}.", nearest(str(name), known))
            if column not in there:
                raise UnknownFieldError(
                    f"The invoice has no column {column!r}.", nearest(str(column), map(str, there))
                )

    def parts(self, types: pa.Schema) -> list[str]:
        """Return the SQL of the columns of the wide frame, without the dates."""
        parts = [f"{_text(quote(self.columns[name]))} as {quote(name)}" for name in self.by]
        parts += [f"{_amount(self.columns[self.measure], types)} as {quote(self.field)}"]
        given = _text(quote(self.columns[CURRENCY])) if CURRENCY in self.columns else "null"
        return [*parts, f'coalesce({given}, {literal(self.currency)}) as "charges.currency"']


def check(
    products: Mapping[str, str] | None,
    columns: Mapping[str, str] | None,
    currency: str | None,
) -> None:
    """Refuse names of products, and a currency, that are none, or that are about no invoice."""
    if products is not None and not (
        isinstance(products, Mapping)
        and all(isinstance(name, str) for pair in products.items() for name in pair)
    ):
        raise OptionError(f"products={products!r} is no mapping.", "Give {'Claude': 'claude'}.")
    if currency is not None and (not isinstance(currency, str) or not currency.strip()):
        raise OptionError(f"currency={currency!r} is no currency.", "Give one as 'USD'.")
    if currency is not None and columns is None:
        raise OptionError(
            "currency= is about an invoice, and columns= is not given.",
            "flatten_usage(currency=) says what an absent currency means.",
        )


def as_usage(invoice: Any, lines: Lines, periods: Periods | None) -> pa.Table:
    """Return an invoice as a wide frame, a line a record; windows have exclusive ends."""
    lines.check(invoice, is_dated=periods is not None)
    own = list(dict.fromkeys(lines.columns.values()))
    backend = frames.backend_of(invoice)
    asked: list[Any] = [", ".join(map(quote, own))] if backend == "duckdb" else [own]
    if backend == "pyspark":
        asked = list(map(sparks.quoted, own))
    table = frames.collected(invoice[own] if backend == "pandas" else invoice.select(*asked))
    parts = lines.parts(table.schema)
    if periods:
        parts += _window(lines.columns, table.schema, periods)
    sql = f"""select cast(tu__line as varchar) as id, {", ".join(parts)}
from {FRAME}
order by tu__line"""
    try:
        with connections.connect(few=frames.is_few(table)) as connection:
            return frames.ask(connection, _numbered(table), lambda _: sql)
    except frames.refusals() as error:
        fact, _, hint = frames.message(error).partition(" | ")
        raise RecordError(fact, hint) from error


def _numbered(table: pa.Table) -> pa.Table:
    return table.append_column("tu__line", pa.array(range(1, table.num_rows + 1), pa.int64()))


def _text(sql: str) -> str:
    """Return the SQL of a text; a cell of spaces is empty."""
    return f"nullif({trimmed(f'cast({sql} as varchar)')}, '')"


def _amount(column: str, types: pa.Schema) -> str:
    if column_checks.of_arrow(types)[column] not in {"number", "text", ""}:
        raise OptionError(f"The column {column!r} holds no amounts.", _SHAPE)
    text = _text(quote(column))
    number = f"try_cast({text} as double)"
    is_finite = f"coalesce(isfinite({number}), false)"
    is_none = f"{text} is not null and lower({text}) <> 'nan' and not {is_finite}"
    hint = "Bring it to a number first: tidyusage does not guess what separates thousands."
    fault = _fault(column, text, "is no number", hint)
    return f"case when {is_none} then {fault} else nullif({number}, {parse_sql.NAN}) end"


def _window(columns: Mapping[str, str], types: pa.Schema, periods: Periods) -> tuple[str, str]:
    """Return the SQL of a line's window: a month, or a day, of the zone's calendar."""
    first, last = columns[DATE], columns.get(END)
    start, is_month, is_day = _date(first, types, month=True)
    if last is None:
        length = f"case when {is_month} then interval 1 month when {is_day} then interval 1 day end"
        end = f"{start} + {length}"
    else:
        end, _, is_whole = _date(last, types, month=False)
        if periods.end == "inclusive":
            end = f"case when {is_whole} then {end} + interval 1 day else {end} end"
    pairs = ((start, first, "start_date"), (end, last or first, "end_date"))
    return cast(
        "tuple[str, str]",
        tuple(
            f"{_instant(local, column, types, periods.tz)} as {name}"
            for local, column, name in pairs
        ),
    )


def _date(column: str, types: pa.Schema, *, month: bool) -> tuple[str, str, str]:
    """Return the SQL of a column's date without a zone, and of whether it is a month, or a day."""
    type_, x = types.field(column).type, quote(column)
    kind = column_checks.of_arrow(types)[column]
    if kind == "time":
        naive = f"timezone('UTC', {x})" if getattr(type_, "tz", None) else f"cast({x} as timestamp)"
        return naive, "false", f"{naive} = date_trunc('day', {naive})"
    if kind not in {"text", ""}:
        raise OptionError(
            f"The column {column!r} holds no dates.", "Write them as 2026-01-31 or 2026-01."
        )
    text = _text(x)
    is_month = f"coalesce(regexp_full_match({text}, {literal(_MONTH)}), false)"
    is_month = is_month if month else "false"
    whole = f"case when {is_month} then {text} || '-01' else {text} end"
    is_iso = f"regexp_full_match({whole}, {literal(TIMESTAMP)})"
    parsed = f"timezone('UTC', {timestamp_sql(f'({whole})')})"
    hint = "Write dates as 2026-01-31, or months as 2026-01." if month else "Write 2026-01-31."
    fault = _fault(column, text, "is no date", hint)
    is_none = f"{text} is not null and (not {is_iso} or {parsed} is null)"
    is_day = f"coalesce(regexp_full_match({text}, {literal(_DAY)}), false)"
    return f"case when {is_none} then {fault} else {parsed} end", is_month, is_day


def _instant(local: str, column: str, types: pa.Schema, tz: str) -> str:
    """Return the SQL of the instant, in UTC without a zone, of a date that may have had a zone."""
    type_ = types.field(column).type
    there = f"timezone('UTC', timezone({literal(tz)}, {local}))"
    if tz == "UTC" or getattr(type_, "tz", None):
        return local
    if column_checks.of_arrow(types)[column] == "time":
        return there
    is_zoned = f"regexp_full_match({_text(quote(column))}, {literal(_ZONED)})"
    return f"case when {is_zoned} then {local} else {there} end"


def _fault(column: str, value: str, what: str, hint: str) -> str:
    """Return the SQL that raises for a value, with its line."""
    said = literal(f" of the invoice has {column} = ")
    more = literal(f", which {what}. | {hint}")
    return f"error('tidyusage: Line ' || tu__line || {said} || {value} || {more})"
