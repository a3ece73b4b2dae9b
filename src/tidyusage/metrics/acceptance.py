"""`acceptance_rate`: the accepted share of suggestions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from tidyusage._utils.sql import grouped, listed, ordered, partition, quote
from tidyusage.engines.dialects.lists import ACCEPTED, REJECTED
from tidyusage.engines.query import run_query
from tidyusage.errors import UnknownFieldError, known_options, one_of
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._usage import NUMBER, TEXT, Usage, usage
from tidyusage.typing import AcceptanceKind

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.typing import Ends, FrameT, Freq, Overlap, People, WeekStart

# Each kind's accepted and, of the same records, what was offered or what was rejected.
KINDS: Final[dict[AcceptanceKind, tuple[str, ...]]] = {
    "tab": ("usage.requests.tab_accepted", "usage.requests.tab_shown"),
    "edit": ("usage.code.accepts", "usage.code.rejects"),
    "line": ("usage.code.lines_accepted_added", "usage.code.lines_added"),
    "tool": (ACCEPTED, REJECTED),
}


@known_options
def acceptance_rate(
    frame: FrameT,
    *by: str,
    kind: AcceptanceKind | None = None,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return the share of what was offered that was accepted, one row a group and kind.

    Sums over the records that have both figures.  tab: `tab_accepted` / `tab_shown`.  edit:
    `accepts` / (`accepts` + `rejects`).  line: `lines_accepted_added` / `lines_added`.  tool:
    accepted / (accepted + rejected) of `tool_actions`, of the tools that tell of both.  Kinds are
    never mixed in one number.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    *by
        Dimensions: fields by path or by column, `resources.*`, `tool`, or columns of your own.
        By `tool`, kind "tool" counts each tool's own actions.
    kind
        "tab", "edit", "line" or "tool"; None gives every kind that a group has.
    freq
        Adds a column `period`, first: "1h", "1d", "1w" from Monday, "1mo", "1q" or "1y".  What a
        window that crosses a bound holds is split by the seconds on each side.  Records without
        dates have period null.
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
        Of the same library; a lazy one stays lazy.  After the dimensions: `kind` (str),
        `accepted`, `offered` (float64, counts), `acceptance_rate` (float64, 0 to 1; null if
        nothing was offered).  A group without any is one row of nulls.  By period, then the
        highest first.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without any of the columns.
    OptionError
        For an unknown kind.

    Notes
    -----
    Lines that a user added without help are among Cursor's `lines_added`: its "line" is rather
    the share of code that AI wrote.

    Tab, edit and line are the counters of Cursor's Admin API; tool is that of Anthropic's
    Claude Code analytics report.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> tu.acceptance_rate(df[df["product.id"] == "cursor"])
       kind  accepted  offered  acceptance_rate
    0  edit     164.0    319.0         0.514107
    1   tab    2440.0   8235.0         0.296296
    2  line    5614.0  22780.0         0.246444
    """
    return run_query(
        frame,
        acceptance_query(
            usage(
                frame,
                by,
                Periods.of(freq, tz, end, fiscal_year_start, week_start),
                overlap=overlap,
                people=people,
            ),
            kind,
        ),
    )


def acceptance_query(asked: Usage, kind: AcceptanceKind | None = None) -> Query:
    """Return the query of `acceptance_rate`."""
    if kind is not None:
        one_of("kind", kind, get_args(AcceptanceKind))
    kinds = (kind,) if kind else tuple(KINDS)
    fields = [field for name in kinds for field in KINDS[name]]
    asked.require(fields, "acceptance_rate")
    fields = list(filter(asked.holds, fields))
    keys = asked.keys
    offers = {name: _offer(asked, name) for name in kinds if all(map(asked.holds, KINDS[name]))}
    if not offers:
        pairs = "; ".join(", ".join(KINDS[name]) for name in kinds if name != "tool")
        raise UnknownFieldError(
            f"acceptance_rate needs both columns of a kind, and the frame has none: {pairs}.",
            "Keep both columns of at least one kind.",
        )
    sums = ", ".join(
        f"sum(case when {both} then {accepted} end) as tu__{name}_accepted, "
        f"sum(case when {both} then {offered} end) as tu__{name}_offered"
        for name, (accepted, offered) in offers.items()
        for both in [f"{accepted} is not null and {offered} is not null"]
    )
    rows = "\n  union all\n".join(
        f"  select {listed(*keys)}'{name}' as kind, tu__{name}_accepted as accepted, "
        f"tu__{name}_offered as offered\n  from sums"
        for name in offers
    )
    is_there = "tu__present = 1 or tu__any = 0 and tu__first = 1"
    sql = f"""sums as (
  select {listed(*keys)}{sums}
  from usage
  {grouped(*keys)}
),
offers as (
{rows}
),
present as (
  select *, case when offered is not null then 1 else 0 end as tu__present
  from offers
),
ranked as (
  select *, max(tu__present) over ({partition(*keys)}) as tu__any,
    row_number() over ({partition(*keys)} order by kind) as tu__first
  from present
)
select {listed(*keys)}case when tu__present = 1 {"or true" if kind else ""} then kind end as kind,
  accepted, offered, accepted / nullif(offered, 0) as acceptance_rate
from ranked
where {is_there}
order by {ordered(*asked.period, "acceptance_rate desc", *asked.dimensions, "kind")}"""
    types = {"kind": TEXT, "accepted": NUMBER, "offered": NUMBER, "acceptance_rate": NUMBER}
    return asked.query(sql, fields, types)


def _offer(asked: Usage, kind: AcceptanceKind) -> tuple[str, str]:
    """Return the SQL of what a record accepted, and of what it was offered."""
    accepted, other = map(quote, KINDS[kind])
    share = asked.share_of_tool if kind == "tool" else asked.share
    accepted, other = share(accepted), share(other)
    return accepted, f"({accepted} + {other})" if kind in {"edit", "tool"} else other
