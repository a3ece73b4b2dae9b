"""Whether a record's input tokens include its cache reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, get_args

from tidyusage._utils.sql import is_about, listed, literal, quote
from tidyusage.errors import OptionError, one_of
from tidyusage.metrics._periods import WEIGHT
from tidyusage.typing import Convention

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage
    from tidyusage.typing import Conventions

AUTO: Final = "auto"
_NAMES: Final = ("input", "output", "cache_read", "cache_write", "total")
_TTL: Final = ("cache_write_ephemeral_5m", "cache_write_ephemeral_1h")
CACHED: Final = ("usage.tokens.cache_read", "usage.tokens.cache_write", f"usage.tokens.{_TTL[0]}")
PROVIDER: Final = "model.provider"
FIELDS: Final = (*(f"usage.tokens.{name}" for name in (*_NAMES, *_TTL)), PROVIDER)


def counted(asked: Usage, *more: str, source: str = "usage") -> str:
    """Return the steps to ``counted``: each record's tokens, and what it tells of its input.

    ``tu__own`` is 1 if its input holds the cached tokens, 0 if not, null if it does not show.
    ``tu__apart`` is 1 if its input cannot hold them, because it is smaller: taken as inclusive,
    the fresh input would be negative and a rate above 1.  ``tu__separate`` and ``tu__within`` are
    its total if its input does not hold them, or does.
    """
    keys = asked.keys
    names = {name: quote(f"usage.tokens.{name}") for name in (*_NAMES, *_TTL)}
    five, hour = (names[name] for name in _TTL)
    either = f"coalesce({five}, {hour}) is not null"
    parts = f"case when {either} then coalesce({five}, 0) + coalesce({hour}, 0) end"
    columns = [f"{names[name]} as {name}" for name in ("input", "output", "cache_read", "total")]
    columns += [f"coalesce({names['cache_write']}, {parts}) as cache_write"]
    columns += [f"{quote(PROVIDER)} as provider", *more]
    kept = [sql.rpartition(" as ")[2] for sql in columns]
    within = "input + coalesce(output, 0)"
    apart = "coalesce(input, 0) + coalesce(output, 0) + tu__cached"
    inside = "coalesce(input, tu__cached) + coalesce(output, 0)"
    any_ = "coalesce(input, output, cache_read, cache_write) is not null"
    return f"""parts as (
  select {listed(*keys, *asked.marks)}{", ".join(columns)}
  from {source}
),
cached as (
  select *, coalesce(cache_read, 0) + coalesce(cache_write, 0) as tu__cached
  from parts
),
counted as (
  select {listed(*keys, *asked.marks, *kept)}tu__cached,
    case when input < tu__cached then 1 else 0 end as tu__apart,
    case
      when not tu__cached > 0 then null
      when {is_about(f"{within} + tu__cached", "total")} then 0
      when {is_about(within, "total")} then 1
    end as tu__own,
    coalesce(total, case when {any_} then {apart} end) as tu__separate,
    coalesce(total, case when {any_} then {inside} end) as tu__within
  from cached
)"""


def decided(asked: Usage, convention: Conventions, *more: str, source: str = "usage") -> str:
    """Return the steps to ``decided``: each record's tokens, by what its input holds.

    ``tokens`` is its total; ``tu__fresh`` its input that no cache served or kept.
    """
    count = WEIGHT if asked.is_split else "1"
    return f"""{counted(asked, *more, source=source)},
voters as (
  select *, {count} as tu__count
  from counted
),
{decision(convention, source="voters")},
decided as (
  select *, case when tu__inclusive = 1 then tu__within else tu__separate end as tokens,
    case when tu__inclusive = 1 then input - tu__cached else input end as tu__fresh
  from conventions
)"""


def decision(convention: Conventions, source: str = "sums") -> str:
    """Return the step that decides for each group of records whether input holds cached tokens.

    A record's own figures decide; else the majority of its provider's records that tell; else
    input is exclusive.  An input smaller than the cached tokens is exclusive whatever is chosen.
    """
    chosen = dict(convention) if isinstance(convention, Mapping) else {"*": convention}
    for name, value in chosen.items():
        if not isinstance(name, str):
            raise OptionError(f"token_convention= names {name!r}.", "Name providers as text.")
        one_of("token_convention", value, get_args(Convention))
    votes = "sum(tu__count * (2 * tu__own - 1)) over (partition by provider)"
    majority = f"case when provider is not null and {votes} > 0 then 1 else 0 end"
    auto = f"coalesce(tu__own, {majority})"
    sql = {"auto": auto, "exclusive": "0", "inclusive": "1"}
    default = sql[chosen.pop("*", AUTO)]
    cases = " ".join(f"when {literal(name)} then {sql[value]}" for name, value in chosen.items())
    decided = f"case provider {cases} else {default} end" if cases else default
    return f"""conventions as (
  select *, case when tu__apart = 1 then 0 else {decided} end as tu__inclusive
  from {source}
)"""
