"""`plot.cost_by`."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from tidyusage import metrics
from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import DOZEN, asked
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.plot.groups import Answer, Groups, Row
    from tidyusage.typing import Charge, Ends, Frame, Freq, Overlap, People, Rates, WeekStart

COST: Final = "cost"
TELLS: Final = {"figure": "cost", "part_of": "share", "of_records": "records with a cost"}


@known_options
@reads_once
def cost_by(
    frame: Frame,
    *by: str,
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
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
    """Draw what each group cost: a bar each, or with `freq` stacked columns over time.

    Each currency has an axis of its own.  Columns of periods that the data covers in part are pale.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    *by
        At most two dimensions: the first has the colours, the second makes a panel of each of
        its values.
    charge
        As in `cost_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    freq
        The length of a period, as in `cost_by`; None draws bars.
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
    The figures are those of `cost_by`, and a group's colour is the same in every chart.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> chart = df.usage.plot.cost_by("model.id", freq="1w")
    >>> chart.title.text
    'Cost by model, per week'
    """
    times = Times.of(
        frame, freq, tz, end, fiscal_year_start=fiscal_year_start, week_start=week_start
    )
    metric = partial(
        metrics.cost_by,
        people=people,
        charge=charge,
        rates=rates,
        to=to,
        assume_currency=assume_currency,
    )
    answer = asked(
        metric, frame, by, size=itemgetter(COST), most=groups, overlap=overlap, **times.options
    )
    plan = Plan(
        answer,
        times,
        title=f"{titled(charge)}{labels.by(by)}{times.each}",
        value=COST,
        unit=labels.cost,
        tells=TELLS,
        split="currency",
        colors=colors,
        notes=unpriced(answer),
    )
    rows = [_told(row, answer.groups) for row in answer.rows if row[COST] is not None]
    return drawn(plan, rows)


def titled(charge: Charge) -> str:
    """Return what a cost is called under a policy."""
    if charge == "billed":
        return "Cost"
    return f"Cost ({charge})" if isinstance(charge, str) else "Cost (a policy a product)"


def unpriced(answer: Answer) -> tuple[str, ...]:
    """Return what is to be said of groups that have no cost at all."""
    groups = answer.groups
    if groups is None or not groups.silent:
        return ()
    return (f"Without any cost, and not shown: {labels.some(groups.silent_labels)}.",)


def _told(row: Row, groups: Groups | None) -> Row:
    cost = row[COST]
    # Folded groups' records include those of groups that have no cost in this currency.
    is_folded = groups is not None and groups.is_rest(row)
    of = "" if is_folded else f" of {row['records']:,}"
    return {
        **row,
        "text": labels.price(cost, row["currency"]),
        "figure": f"{labels.exact(cost, row['currency'])} {labels.money(row['currency'])}",
        "part_of": labels.percent(row["share"]),
        "of_records": f"{row['priced']:,}{of}",
    }
