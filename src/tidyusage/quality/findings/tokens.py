"""Token counts that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import is_about, quote
from tidyusage.metrics._charges import BILLED, fields_of
from tidyusage.metrics._token_convention import AUTO, decided
from tidyusage.metrics._token_convention import FIELDS as TOKENS
from tidyusage.metrics.cost import CURRENCY
from tidyusage.quality.findings.check import (
    Check,
    cost_in_currency,
    figure,
    found,
    holds,
    sentence,
    spelled,
)

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_NAMES: Final = {
    "input": "input",
    "output": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_ephemeral_5m": "five_minutes",
    "cache_write_ephemeral_1h": "one_hour",
    "total": "total",
}
_FIELDS: Final = ("id", *TOKENS)
_WRITES: Final = (
    "usage.tokens.cache_write",
    "usage.tokens.cache_write_ephemeral_5m",
    "usage.tokens.cache_write_ephemeral_1h",
)
_PARTS: Final = ("usage.tokens.input", "usage.tokens.output", "usage.tokens.cache_read", *_WRITES)


# What a record's cost is set against, and what it is a cost of.
COSTED: Final = ("product.id", "model.id", "metric_name", "usage.unit", "usage.quantity")
COSTS: Final = (*_FIELDS, *COSTED, "start_date", *fields_of(BILLED))


def _token_counts(_: Usage) -> str:
    """Return the steps to ``token_counts``: the parts, what they make, and the least total."""
    columns = [f"{quote(f'usage.tokens.{path}')} as {name}" for path, name in _NAMES.items()]
    ttl = "coalesce(five_minutes, 0) + coalesce(one_hour, 0)"
    return f"""token_parts as (
  select "id" as id, {", ".join(columns)}
  from usage
),
token_counts as (
  select *, coalesce(cache_read, 0) + coalesce(cache_write, {ttl}) as cached, {ttl} as lifetimes
  from token_parts
)"""


def _tokens_not_total(asked: Usage) -> str:
    sums = sentence(
        "input and output make {}, with cached ones {}", figure("within"), figure("apart")
    )
    least = sentence("its parts are at least {}", figure("makes"))
    parts = f"case when is_whole then {sums} else {least} end"
    said = found(
        id_="id",
        column=spelled(asked, "usage.tokens.total"),
        value=figure("total"),
        expected=figure("makes"),
        message=sentence(
            "The total is {} tokens, and {}; find out what the vendor counts before you rely"
            " on either.",
            figure("total"),
            parts,
        ),
    )
    return f"""token_sums as (
  select *, input is not null and output is not null as is_whole,
    input + output as within, input + output + cached as apart,
    greatest(coalesce(input, 0), cached) + coalesce(output, 0) as least_total
  from token_counts
  where total is not null
),
token_totals as (
  select *, case when not is_whole then least_total
      when abs(within - total) < abs(apart - total) then within else apart end as makes
  from token_sums
),
tokens_not_total as (
  select {said}
  from token_totals
  where case when is_whole
      then not {is_about("within", "total")} and not {is_about("apart", "total")}
      and ({_tells_cached(asked)} or total < apart)
    else least_total - total > 1e-6 * abs(total) end
)"""


def _tells_cached(asked: Usage) -> str:
    """Return the SQL of whether the frame would hold cached tokens if there were any.

    Where their columns were left out, more than the parts is no contradiction.
    """
    if asked.columns.layout == "long":
        return "(select count(*) from token_counts where cached > 0) > 0"
    is_told = holds(asked, "usage.tokens.cache_read") and any(
        holds(asked, path) for path in _WRITES
    )
    return "true" if is_told else "false"


def _cache_write_not_parts(asked: Usage) -> str:
    said = found(
        id_="id",
        column=spelled(asked, "usage.tokens.cache_write"),
        value=figure("cache_write"),
        expected=figure("lifetimes"),
        message=sentence(
            "There are {} tokens of cache_write, and the parts that live five minutes and an"
            " hour make {}; metrics take cache_write, so find out whether it is right.",
            figure("cache_write"),
            figure("lifetimes"),
        ),
    )
    return f"""cache_write_not_parts as (
  select {said}
  from token_counts
  where case when five_minutes is not null and one_hour is not null
      then not {is_about("lifetimes", "cache_write")}
    when coalesce(five_minutes, one_hour) is not null
      then lifetimes - cache_write > 1e-6 * abs(cache_write) end
)"""


def costed(asked: Usage) -> str:
    """Return the steps to ``decided``: each record's cost, and its tokens as metrics take them."""
    columns = ("id", *map(quote, COSTED), "start_date", "tu__currency", "cost")
    return f"""costed as (
  select *, {cost_in_currency(asked)} as cost, {CURRENCY} as tu__currency
  from usage
),
{decided(asked, AUTO, *columns, source="costed")}"""


def _cached_exceeds_input(asked: Usage) -> str:
    said = found(
        id_="id",
        column=spelled(asked, "usage.tokens.input"),
        value=figure("input"),
        expected=figure("tu__cached"),
        message=sentence(
            "Most records of provider {} count cached tokens inside their input, but this input"
            " of {} is less than the {} cached ones. Metrics count them beside it. Find out why"
            " the provider's records differ.",
            "provider",
            figure("input"),
            figure("tu__cached"),
        ),
    )
    shows_it = is_about("input + coalesce(output, 0) + tu__cached", "total")
    return f"""voted as (
  select *, sum(2 * tu__own - 1) over (partition by provider) as tu__votes
  from decided
),
cached_exceeds_input as (
  select {said}
  from voted
  where tu__votes > 0 and provider is not null
    and tu__cached - input > 1e-6 * abs(input) and not coalesce({shows_it}, false)
)"""


CHECKS: Final = (
    Check(
        "tokens_not_total",
        "error",
        _FIELDS,
        (("usage.tokens.total",), _PARTS),
        (_token_counts, _tokens_not_total),
    ),
    Check(
        "cache_write_not_parts",
        "error",
        _FIELDS,
        (_WRITES[:1], _WRITES[1:]),
        (_token_counts, _cache_write_not_parts),
    ),
    Check(
        "cached_exceeds_input",
        "warning",
        COSTS,
        (("usage.tokens.input",), ("usage.tokens.cache_read", *_WRITES)),
        (costed, _cached_exceeds_input),
    ),
)
