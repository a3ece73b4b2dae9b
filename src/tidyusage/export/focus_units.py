"""Units as FOCUS writes them: "GB", "GB-Hours", "Requests", "1000 Tokens"."""

from __future__ import annotations

from typing import Final

from tidyusage._utils.sql import given, literal, quote, trimmed

TOKENS: Final = "Tokens"
REQUESTS: Final = "Requests"
DAYS: Final = "Days"
# What is counted where nobody says what.
UNITS: Final = "Units"
TEXT: Final = quote("tu__text")
UNIT: Final = quote("tu__unit")
_SIZES: Final = {"kilo": "K", "mega": "M", "giga": "G", "tera": "T", "peta": "P", "exa": "E"}
_BINARY: Final = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi")
_TIMES: Final = {
    "second": "Second",
    "sec": "Second",
    "minute": "Minute",
    "min": "Minute",
    "hour": "Hour",
    "hr": "Hour",
    "day": "Day",
    "month": "Month",
    "year": "Year",
}
# Bits and bytes of FOCUS's own spelling: in Gb and GB, case is all the difference.
_AS_IT_IS: Final = "^[KMGTPE]?i?[bB]$"


def _words() -> list[tuple[str, str, str, str | None]]:
    """Return the words that FOCUS spells in a way of its own: singular, plural, and as time."""
    sizes = {"byte": "B"}
    for (name, letter), binary in zip(_SIZES.items(), _BINARY, strict=True):
        decimal, power = f"{letter}B", f"{letter}iB"
        sizes |= {f"{name}byte": decimal, decimal.lower(): decimal}
        sizes |= {f"{binary}byte": power, power.lower(): power}
    spelled: list[tuple[str, str, str, str | None]] = [(w, u, u, None) for w, u in sizes.items()]
    return spelled + [(word, unit, f"{unit}s", unit) for word, unit in _TIMES.items()]


def steps(source: str, column: str) -> str:
    """Return the steps to ``formats``: each unit of a column, and how FOCUS writes it."""
    text = f"nullif({trimmed(column)}, '')"
    columns = {quote(n): "varchar" for n in ("tu__word", "tu__one", "tu__many", "tu__time")}
    pattern = literal("^(.+?) *([-/]) *([A-Za-z]+)$")
    return f"""words as (
  {given(columns, _words())}
),
units as (
  select distinct {text} as {TEXT}
  from {source}
  where {text} is not null
),
parsed as (
  select {TEXT}, regexp_extract({TEXT}, {pattern}, ['head', 'joint', 'tail']) as tu__parts
  from units
),
timed as (
  select {TEXT}, tu__time, tu__parts.joint as tu__joint,
    case when tu__time is null then {TEXT} else tu__parts.head end as tu__head
  from parsed
  left join words on tu__word = {_key("tu__parts.tail")} and tu__time is not null
),
formats as (
  select {TEXT}, {_formatted()} as {UNIT}
  from timed
  left join words on tu__word = {_key("tu__head")}
)"""


def _key(text: str) -> str:
    return f"regexp_replace(lower({text}), 's$', '')"


def _formatted() -> str:
    """Return the SQL of a unit: `GB-Hours` and `Requests/Day` if of time, else one word."""
    as_it_is = f"regexp_matches(tu__head, {literal(_AS_IT_IS)})"
    one = f"case when {as_it_is} then tu__head else coalesce(words.tu__one, {_capital()}) end"
    many = f"case when {as_it_is} then tu__head else coalesce(words.tu__many, {_plural()}) end"
    return f"""case
    when timed.tu__time is null then {many}
    when tu__joint = '-' then concat({one}, '-', timed.tu__time, 's')
    else concat({many}, '/', timed.tu__time)
  end"""


def _capital() -> str:
    """Return the SQL of a word with a capital, after the number that may stand before it."""
    number = "regexp_extract(tu__head, '^[0-9]* *')"
    word = f"substr(tu__head, length({number}) + 1)"
    return f"concat({number}, upper(left({word}, 1)), substr({word}, 2))"


def _plural() -> str:
    word = _capital()
    return f"""case
      when regexp_matches({word}, '[^aeiouAEIOU]y$') then regexp_replace({word}, 'y$', 'ies')
      when regexp_matches({word}, '(x|ch|sh)$') then concat({word}, 'es')
      when regexp_matches({word}, '([sS]|[^A-Za-z])$') then {word}
      else concat({word}, 's') end"""
