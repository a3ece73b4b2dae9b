"""Rows that repeat an id over overlapping windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage.metrics import _duplicates
from tidyusage.quality.findings.check import Check, figure, found, sentence, spelled

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_IDENTITY: Final = "tu__key_0, tu__key_1, tu__id"


def _superseded(asked: Usage) -> str:
    """Return the steps to ``superseded``: the rows that a newer one of their id overlaps.

    They read the frame itself, in which long has a row for each measure.
    """
    return _duplicates.steps(asked.columns)


def _repeated_id(asked: Usage) -> str:
    money = f"{figure('cost')} || ' ' || coalesce(currency, 'of unknown currency')"
    tokens = f"{figure('sum(tokens)')} || ' tokens'"
    said = found(
        id_="tu__id",
        column=spelled(asked, "id"),
        value="cast(repeated + 1 as varchar)",
        expected="'1'",
        message=sentence(
            "The id {} is on {} rows with overlapping windows, usually one record that was pulled"
            " twice{}; tu.latest(df) keeps the newest row of each id.",
            "tu__id",
            "cast(repeated + 1 as varchar)",
            "coalesce('. All but the newest add ' || coalesce(money, tokens), '')",
        ),
        records="repeated + 1",
    )
    return f"""repeated_sums as (
  select {_IDENTITY}, tu__currency as currency, count(*) as repeated, sum(tu__cost) as cost,
    sum(tu__tokens) as tokens
  from superseded
  group by {_IDENTITY}, tu__currency
),
repeated_ids as (
  select {_IDENTITY}, sum(repeated) as repeated, {tokens} as tokens,
    string_agg(case when cost is not null then {money} end, ', ' order by currency nulls last)
      as money
  from repeated_sums
  group by {_IDENTITY}
),
repeated_id as (
  select {said}
  from repeated_ids
)"""


CHECKS: Final = (Check("repeated_id", "error", ("id",), (("id",),), (_superseded, _repeated_id)),)
