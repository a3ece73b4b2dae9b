"""`plot.acceptance_rate`."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from tidyusage import metrics
from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import DOZEN, GROUP, Answer, Groups, asked
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.plot.groups import Row
    from tidyusage.typing import AcceptanceKind, Ends, Frame, Freq, Overlap, People, WeekStart

_OFFERS: Final = {
    "tab": "tab: accepted of shown",
    "edit": "edit: accepted of accepted and rejected",
    "line": "line: accepted of added (of Cursor, the share that AI wrote)",
    "tool": "tool: accepted of accepted and rejected",
}


@known_options
@reads_once
def acceptance_rate(
    frame: Frame,
    *by: str,
    kind: AcceptanceKind | None = None,
    freq: Freq | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
    groups: int = DOZEN,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Draw the share of what was offered that was accepted, a panel a kind.

    Kinds share no axis of groups: they are shares of different things.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    *by
        At most two dimensions: the first has the colours, the second makes a panel of each of
        its values.
    kind
        As in `acceptance_rate`; None draws all, a panel each.
    freq
        The length of a period, as in `cost_by`; None draws bars, else there are lines.
    tz
        The zone whose calendar counts, an IANA name.
    end
        What `end_date` means, as in `cost_by`.
    fiscal_year_start, week_start
        As in `cost_by`.  Fiscal quarters and years are labelled "FY2026 Q1" and "FY2026".
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do about rows that the sums count twice, as in `cost_by`.
    groups
        How many groups each kind shows; its other groups are folded into one and measured
        again.
    colors
        Colours by name of a group, such as `{"gpt-5.5": "#6f6eff"}`; the others are as ever.

    Returns
    -------
    altair.Chart
        An ordinary Altair chart, also of layers, or one below the other where there are panels; it
        has no configuration of its own, so that it can be changed and put beside others.

    Raises
    ------
    UnknownFieldError
        For an unknown dimension, or a frame without the columns that are needed.
    OptionError
        For an option's value that it cannot have, more than two dimensions, or so short a `freq`
        that there are thousands of periods.
    MissingExtraError
        Without `tidyusage[plot]`.

    Notes
    -----
    The figures are those of `acceptance_rate`; beside each stand numerator and denominator.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.acceptance_rate("product.id").title.text
    'Acceptance rate by product'
    """
    times = Times.of(
        frame, freq, tz, end, fiscal_year_start=fiscal_year_start, week_start=week_start
    )
    metric = partial(metrics.acceptance_rate, people=people, kind=kind)
    answer = asked(
        metric, frame, by, size=itemgetter("offered"), most=groups, overlap=overlap, **times.options
    )
    if not by and not freq:
        answer = _by_kind(answer)
    plan = Plan(
        answer,
        times,
        title=f"Acceptance rate{_named(answer, kind)}{labels.by(by)}{times.each}",
        value="acceptance_rate",
        unit=lambda _: "acceptance rate",
        tells={"figure": "acceptance rate", "of": "accepted of offered"},
        split="kind" if by or freq else "",
        heading=lambda kind: _OFFERS[kind],
        colors=colors,
        percent=True,
        mark="lines",
    )
    rows = [row for row in answer.rows if row["acceptance_rate"] is not None]
    return drawn(plan, [row | _rate(row) for row in rows])


def _named(answer: Answer, kind: AcceptanceKind | None) -> str:
    """Return which kind a chart is of, where it is of one."""
    kinds = {row["kind"] for row in answer.rows if row["kind"] is not None}
    one = kind or (next(iter(kinds)) if len(kinds) == 1 else None)
    return f" ({one})" if one else ""


def _by_kind(answer: Answer) -> Answer:
    """Return an answer whose kinds are its groups."""
    kinds = tuple(row["kind"] for row in answer.rows if row["kind"] is not None)
    rows = [row | {GROUP: row["kind"]} for row in answer.rows]
    return Answer(rows, Groups("kind", kinds, {None: kinds}, len(kinds)), None)


def _rate(row: Row) -> Row:
    figure = labels.percent(row["acceptance_rate"])
    of = f"{labels.amount(row['accepted'])} of {labels.amount(row['offered'])}"
    return {"figure": figure, "of": of, "text": f"{figure} ({of})"}
