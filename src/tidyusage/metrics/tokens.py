"""`tokens_by` and `cache_hit_rate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage._utils.sql import grouped, listed, ordered, quote
from tidyusage.engines.query import run_query
from tidyusage.errors import known_options
from tidyusage.metrics import _token_convention
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._usage import NUMBER, Usage, usage

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.typing import Conventions, Ends, FrameT, Freq, Overlap, People, WeekStart


@known_options
def tokens_by(
    frame: FrameT,
    *by: str,
    token_convention: Conventions = "auto",
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return how many tokens each group used, by sort.

    A record's tokens are its `total`, else the sum of its parts.  Vendors differ in whether
    `input` holds the tokens that were read from or written to the cache; here it never does, so
    that the sorts add up to the tokens where vendors' totals do.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    token_convention
        Whether the frame's input holds cached tokens ("inclusive") or not ("exclusive"); or a
        mapping from `model.provider` to either.  "auto" goes by each record (`total` is `input +
        output`, or that and the cached ones), then by the majority of its provider's records, and
        is exclusive if neither tells.  An input smaller than its cached tokens never holds them.
    freq
        Adds a column `period`, first: "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  What a
        window that crosses a bound holds is split by the seconds on each side.  A window without
        an end after its start is one day if it starts at 00:00 UTC, else an instant, which counts
        whole.  Records without dates have period null.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    fiscal_year_start, week_start
        As in `cost_by`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions, all float64 in tokens:
        `input` (fresh: neither read from nor written to the cache), `output`, `cache_read`,
        `cache_write` (itself, else what lives 5 minutes and 1 hour), `tokens`.  A sum of nothing
        is null.  By period, then the most tokens first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without any column of tokens.
    OptionError
        For an option's value that it cannot have.

    Notes
    -----
    Anthropic's usage report and Cursor's Admin API count cached tokens beside the input;
    OpenAI's organization usage API, and OpenTelemetry's conventions for generative AI, count
    them in it.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tokens = {"input": 70, "output": 5, "cache_read": 60, "total": 75}  # input holds the 60
    >>> tu.tokens_by(tu.flatten_usage({"id": "a", "usage": {"tokens": tokens}}))
       input  output  cache_read  cache_write  tokens
    0   10.0     5.0        60.0          NaN    75.0
    """
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    return run_query(frame, tokens_query(asked, token_convention))


@known_options
def cache_hit_rate(
    frame: FrameT,
    *by: str,
    token_convention: Conventions = "auto",
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return the share of the prompt tokens that the cache served.

    The sum of `cache_read` over the sum of fresh input, `cache_read` and `cache_write`, of the
    records that have `input` and `cache_read`; an absent `cache_write` counts 0 there.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        Money and counts of a record that names several resources or tools are split evenly.
    token_convention
        As in `tokens_by`.
    freq
        Adds a column `period`, first, as in `tokens_by`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    fiscal_year_start, week_start
        As in `cost_by`.
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do if rows at several grains hold the same usage, as `overlaps` shows, or if rows
        repeat an id over overlapping windows: "warn", "ignore", or "raise" an `OverlapError`.  A
        lazy frame is checked when it is collected; a DuckDB relation and a Spark frame can raise
        then, and cannot warn.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  After the dimensions, all float64:
        `cache_read` and `prompt_tokens` (tokens), `cache_hit_rate` (0 to 1).  Null where nothing
        tells.  By period, then the highest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without `cache_read`.
    OptionError
        For an option's value that it cannot have.

    Notes
    -----
    Anthropic's usage report splits a prompt into these three; what is written is part of the
    prompt, and a rate without it is too high.

    Examples
    --------
    >>> import tidyusage as tu
    >>> records = [{"id": "a", "usage": {"tokens": {"input": 20, "cache_read": 60}}}]
    >>> tu.cache_hit_rate(tu.flatten_usage(records))
       cache_read  prompt_tokens  cache_hit_rate
    0        60.0           80.0            0.75
    """
    asked = usage(
        frame,
        by,
        Periods.of(freq, tz, end, fiscal_year_start, week_start),
        overlap=overlap,
        people=people,
    )
    return run_query(frame, cache_hit_query(asked, token_convention))


def tokens_query(asked: Usage, convention: Conventions = _token_convention.AUTO) -> Query:
    """Return the query of `tokens_by`."""
    asked.require(_token_convention.FIELDS[:-1], "tokens_by")
    keys = asked.keys
    sums = {
        "input": "input",
        "output": "output",
        "cache_read": "cache_read",
        "cache_write": "cache_write",
        "cached": "case when input is not null then tu__cached end",
        "separate": "tu__separate",
        "within": "tu__within",
    }
    added = ", ".join(f"sum({asked.share(sql)}) as tu__{name}" for name, sql in sums.items())
    totals = {
        "input": "case when tu__inclusive = 1 then tu__input - tu__cached else tu__input end",
        "output": "tu__output",
        "cache_read": "tu__cache_read",
        "cache_write": "tu__cache_write",
        "tokens": "case when tu__inclusive = 1 then tu__within else tu__separate end",
    }
    results = ",\n  ".join(f"sum({sql}) as {quote(name)}" for name, sql in totals.items())
    sql = f"""{_token_convention.counted(asked)},
sums as (
  select {listed(*keys)}provider, tu__own, tu__apart, {asked.votes} as tu__count, {added}
  from counted
  group by {listed(*keys)}provider, tu__own, tu__apart
),
{_token_convention.decision(convention)}
select {listed(*keys)}{results}
from conventions
{grouped(*keys)}
order by {ordered(*asked.period, "tokens desc", *asked.dimensions)}"""
    return asked.query(sql, _token_convention.FIELDS, dict.fromkeys(totals, NUMBER))


def cache_hit_query(asked: Usage, convention: Conventions = _token_convention.AUTO) -> Query:
    """Return the query of `cache_hit_rate`."""
    asked.require(("usage.tokens.cache_read",), "cache_hit_rate")
    keys = asked.keys
    both = "input is not null and cache_read is not null"
    sql = f"""{_token_convention.counted(asked)},
sums as (
  select {listed(*keys)}provider, tu__own, tu__apart, {asked.votes} as tu__count,
    sum(case when {both} then {asked.share("cache_read")} end) as tu__read,
    sum(case when {both} then {asked.share("input")} end) as tu__input,
    sum(case when {both} then {asked.share("tu__cached")} end) as tu__cached
  from counted
  group by {listed(*keys)}provider, tu__own, tu__apart
),
{_token_convention.decision(convention)},
rates as (
  select {listed(*keys)}sum(tu__read) as cache_read,
    sum(case when tu__inclusive = 1 then tu__input else tu__input + tu__cached end) as prompt_tokens
  from conventions
  {grouped(*keys)}
)
select {listed(*keys)}cache_read, prompt_tokens,
  cache_read / nullif(prompt_tokens, 0) as cache_hit_rate
from rates
order by {ordered(*asked.period, "cache_hit_rate desc", *asked.dimensions)}"""
    names: tuple[str, ...] = ("cache_read", "prompt_tokens", "cache_hit_rate")
    return asked.query(sql, _token_convention.FIELDS, dict.fromkeys(names, NUMBER))
