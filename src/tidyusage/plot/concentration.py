"""`plot.pareto`."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import DOZEN, GROUP, asked
from tidyusage.plot.measure import VALUE, Measure
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tidyusage.plot.groups import Answer, Groups, Row
    from tidyusage.typing import Charge, Conventions, Frame, Overlap, People, Rates


@known_options
@reads_once
def pareto(
    frame: Frame,
    by: str = "person",
    *,
    measure: str = "cost",
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    people: People | None = None,
    overlap: Overlap = "warn",
    groups: int = DOZEN,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Draw who has most of a measure, and what share the largest have together.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    by
        The dimension of the columns; "person" is who is behind a record's user.
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
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`; for the
        dimension "person".
    overlap
        What to do about rows that the sums count twice, as in `cost_by`.
    groups
        How many groups each currency shows; its other groups are folded into one and measured
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
    The figures are those of `top`.  The share is that of one currency.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.pareto().title.text
    'Cost by person, and the share of the largest'
    """
    times = Times.of(frame, None, "UTC", "exclusive")
    how = Measure(
        measure,
        charge=charge,
        rates=rates,
        to=to,
        assume_currency=assume_currency,
        token_convention=token_convention,
        people=people,
    )
    answer = asked(how.ranked, frame, (by,), size=how.value, most=groups, overlap=overlap)
    plan = Plan(
        answer,
        times,
        title=f"{how.title}{labels.by((by,))}, and the share of the largest",
        value=VALUE,
        unit=how.unit,
        tells={"figure": how.word, "part_of": "share", "together": "with all before it"},
        split="currency",
        colors=colors,
        mark="pareto",
    )
    rows = [row | how.told(row) for row in answer.rows]
    return drawn(plan, _together(rows, answer))


def _together(rows: Iterable[Row], answer: Answer) -> Iterator[Row]:
    """Yield rows from the largest, each with the share that it has with all before it."""
    groups = answer.groups
    found: dict[str | None, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (_place(row, groups), -row[VALUE])):
        found.setdefault(row.get("currency"), []).append(row)
    for part in found.values():
        is_whole = all((row["share"] or 0) >= 0 for row in part)  # else shares are none
        shares = accumulate(row["share"] or 0 for row in part)
        for row, share in zip(part, shares, strict=True):
            told = share if is_whole else None
            yield row | {"cumulative": told, "together": labels.percent(told)}


def _place(row: Row, groups: Groups | None) -> int:
    """Return 0 for a group, 1 for the folded groups, and 2 for records that name no group."""
    if groups is None:
        return 0
    return 1 if groups.is_rest(row) else 2 if row[GROUP] == groups.label(None) else 0
