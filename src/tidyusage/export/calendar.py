"""The date dimension: one row per day, whole years, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.export.table import USAGE, Column, Table
from tidyusage.schema import ARROW, duckdb_type

NAME: Final = "dim_date"
KEY: Final = "date_key"
# The key of records without a date.
UNDATED: Final = 0
# A date that far from the others is a slip: years between them would be nothing but ballast.
_LONGEST: Final = 200
_DAY: Final = "cast(timezone('UTC', start_date) as date)"

_INTEGER: Final = pa.int64()
_DATE: Final = pa.date32()
_TEXT: Final = ARROW["string"]
_FLAG: Final = ARROW["boolean"]
_UNKNOWN: Final = "Unknown"


@dataclass(frozen=True, slots=True)
class _Part:
    """What is said of a day, and of the unknown one."""

    name: str
    type: pa.DataType
    sql: str
    description: str
    unknown: str | int | None = None


_NUMBER: Final = "year(tu__day) * 10000 + month(tu__day) * 100 + day(tu__day)"
# fmt: off
_PARTS: Final = (
    _Part(KEY, _INTEGER, _NUMBER, "The day as a number, such as 20260131; 0 if unknown.", UNDATED),
    _Part("date", _DATE, "tu__day", "The day, in UTC."),
    _Part("year", _INTEGER, "year(tu__day)", "The calendar year."),
    _Part("quarter", _INTEGER, "quarter(tu__day)", "The quarter of the year, 1 to 4."),
    _Part("month", _DATE, "date_trunc('month', tu__day)", "The first day of the month."),
    _Part("month_number", _INTEGER, "month(tu__day)", "1 to 12; sorts month_name."),
    _Part("month_name", _TEXT, "monthname(tu__day)", "The month's English name.", _UNKNOWN),
    _Part("week", _DATE, "date_trunc('week', tu__day)", "The Monday of the week."),
    _Part("iso_year", _INTEGER, "isoyear(tu__day)", "The year that the ISO week belongs to."),
    _Part("iso_week", _INTEGER, "weekofyear(tu__day)", "The ISO week of iso_year, 1 to 53."),
    _Part("day", _INTEGER, "day(tu__day)", "The day of the month."),
    _Part("weekday_number", _INTEGER, "isodow(tu__day)", "1 on Monday to 7; sorts weekday_name."),
    _Part("weekday_name", _TEXT, "dayname(tu__day)", "The day's English name.", _UNKNOWN),
    _Part("is_weekend", _FLAG, "isodow(tu__day) >= 6", "Whether it is a Saturday or a Sunday."),
)
# fmt: on


def key() -> str:
    """Return the SQL of the key of the day, in UTC, on which a record starts."""
    return f"coalesce({_NUMBER.replace('tu__day', _DAY)}, {literal(UNDATED)})"


def table() -> Table:
    """Return the table of dates."""
    return Table(
        NAME,
        "One row a day of the years in which records start; and an unknown one where some do not.",
        tuple(
            Column(part.name, part.type, part.description, required=part.name == KEY)
            for part in _PARTS
        ),
        _days(),
        key=(KEY,),
        order=(KEY,),
        shared=True,
    )


def _days() -> str:
    """Return the query of the days: no day is left out between the first year and the last."""
    parts = clauses(
        f"cast({part.sql} as {duckdb_type(part.type)}) as {quote(part.name)}" for part in _PARTS
    )
    unknown = ", ".join(literal(part.unknown) for part in _PARTS)
    return f"""
with starts as (
  select distinct year({_DAY}) as tu__year
  from {USAGE}
),
years as (
  select unnest(case when max(tu__year) - min(tu__year) < {literal(_LONGEST)}
    then range(min(tu__year), max(tu__year) + 1) else list(tu__year) end) as tu__year
  from starts
  where tu__year is not null
),
firsts as (
  select make_date(tu__year, 1, 1) as tu__first, make_date(tu__year, 12, 31) as tu__last
  from years
),
series as (
  select unnest(generate_series(tu__first, tu__last, interval '1 day')) as tu__at
  from firsts
),
days as (
  select cast(tu__at as date) as tu__day
  from series
)
select {parts}
from days
union all
select {unknown}
where exists (from starts where tu__year is null)
"""
