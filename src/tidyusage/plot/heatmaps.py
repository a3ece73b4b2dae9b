"""`plot.heatmap`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import GROUP
from tidyusage.plot.measure import VALUE, Measure
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from tidyusage.plot.groups import Answer, Row
    from tidyusage.typing import (
        Charge,
        Conventions,
        Ends,
        Frame,
        Freq,
        Overlap,
        People,
        Rates,
        WeekStart,
    )

_USERS: Final = 30


@known_options
@reads_once
def heatmap(
    frame: Frame,
    by: str = "person",
    *,
    freq: Freq = "1d",
    measure: str = "cost",
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: People | None = None,
    overlap: Overlap = "warn",
    groups: int = _USERS,
) -> Any:
    """Draw a measure as the colour of a cell, of each user on each day.

    Where nothing was recorded there is no cell, which is not 0.  What no cell shows is told.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    by
        The dimension of the rows; "person" is who is behind a record's user.
    freq
        The length of a period, as in `cost_by`.
    measure
        "cost", "tokens", "commits", "requests" or a count by its field, as in `top`.
    charge
        As in `cost_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        As in `tokens_by`.
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
        How many rows each currency has: its largest groups.

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
    The figures are those of `trend`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.heatmap(measure="tokens").title.text
    'Tokens by person and day'
    """
    times = Times.of(
        frame, freq, tz, end, fiscal_year_start=fiscal_year_start, week_start=week_start
    )
    how = Measure(
        measure,
        charge=charge,
        rates=rates,
        to=to,
        assume_currency=assume_currency,
        token_convention=token_convention,
        people=people,
    )
    answer = how.over_time(frame, (by,), times, overlap, groups)
    plan = Plan(
        answer,
        times,
        title=f"{how.title}{labels.by((by,))} and {times.word}",
        value=VALUE,
        unit=how.unit,
        tells={"figure": how.word, "of_records": "records"},
        split="currency",
        mark="heat",
        notes=_left_out(answer, how),
    )
    return drawn(plan, [row | how.told(row) for row in answer.rows if _is_shown(answer, row)])


def _is_shown(answer: Answer, row: Row) -> bool:
    groups = answer.groups
    return not groups or not (groups.is_rest(row) or row[GROUP] == groups.label(None))


def _unknown_last(item: tuple[str | None, Any]) -> tuple[bool, str]:
    """Sort key that orders currencies as panels are ordered."""
    return item[0] is None, item[0] or ""


def _left_out(answer: Answer, how: Measure) -> tuple[str, ...]:
    """Return what is to be said of what no cell shows."""
    groups = answer.groups
    if groups is None:
        return ()
    folded = [
        f"{groups.most:,} of {len(members):,}"
        + (f" ({labels.money(currency)})" if len(groups.members) > 1 else "")
        for currency, members in sorted(groups.members.items(), key=_unknown_last)
        if groups.rest(currency)
    ]
    rest = f"The largest {', '.join(folded)}." if folded else ""
    sums: dict[str | None, float] = {}
    for row in answer.rows:
        if row[GROUP] == groups.label(None):
            told = how.told(row)
            sums[row.get("currency")] = sums.get(row.get("currency"), 0) + told[VALUE]
    none = " and ".join(how.figure(value, currency) for currency, value in sums.items())
    return tuple(
        filter(
            None, (rest, f"Without a {groups.dimension}, and not shown: {none}." if sums else "")
        )
    )
