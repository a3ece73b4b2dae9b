"""`plot.trend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import DOZEN
from tidyusage.plot.measure import VALUE, Measure
from tidyusage.plot.periods import Times, after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidyusage.plot.groups import Row
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


@known_options
@reads_once
def trend(
    frame: Frame,
    *by: str,
    freq: Freq = "1mo",
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
    groups: int = DOZEN,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Draw a measure over time, with its change from the period before.

    Without a dimension columns, with the change above those where both periods are whole; by a
    dimension a line a group, which tells the change.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    *by
        At most two dimensions: the first has the colours, the second makes a panel of each of
        its values.
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
    The figures are those of `trend`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.trend(freq="1w").title.text
    'Cost, per week'
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
    answer = how.over_time(frame, by, times, overlap, groups)
    plan = Plan(
        answer,
        times,
        title=f"{how.title}{labels.by(by)}{times.each}",
        value=VALUE,
        unit=how.unit,
        tells={"figure": how.word, "changed": f"change from the {times.word} before"},
        split="currency",
        colors=colors,
        mark="lines" if by else "columns",
    )
    compared = _compared(answer.rows, times)
    changes = (_changed(row, compared) for row in answer.rows)
    rows = [row | how.told(row) | told for row, told in zip(answer.rows, changes, strict=True)]
    return drawn(plan, rows if by else map(_above, rows))


def _compared(rows: Iterable[Row], times: Times) -> set[Any]:
    """Return the periods that are covered whole, and follow one that is."""
    whole = {row["period"] for row in rows if row["period"] and times.covers(row["period"])}
    return {after(period, times.freq) for period in whole if times.freq} & whole


def _changed(row: Row, compared: set[Any]) -> Row:
    """Return the change of a row in words; there is none to or from a part of a period."""
    rate = row["change_rate"] if row["period"] in compared else None
    return {"changed": "–" if rate is None else f"{rate:+.1%}"}


def _above(row: Row) -> Row:
    """Return a row with its change where it is to be written: above the column."""
    return row | ({} if row["changed"] == "–" else {"above": row["changed"]})
