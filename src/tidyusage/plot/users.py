"""`plot.active_users`."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tidyusage import metrics
from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.compose import Plan, drawn
from tidyusage.plot.groups import DOZEN, asked
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.plot.groups import Groups, Row
    from tidyusage.typing import Crossing, Ends, Frame, Freq, Overlap, WeekStart


@known_options
@reads_once
def active_users(
    frame: Frame,
    *by: str,
    freq: Freq | None = "1d",
    rolling: int | None = None,
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: Mapping[str, str] | None = None,
    crossing: Crossing = "raise",
    overlap: Overlap = "warn",
    groups: int = DOZEN,
    colors: Mapping[str, str] | None = None,
) -> Any:
    """Draw how many users were active: a line a group over time, or without `freq` a bar each.

    Distinct users are counted anew for every group and period, and never added.  A line is broken
    where nothing is known.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    *by
        At most two dimensions: the first has the colours, the second makes a panel of each of
        its values.
    freq
        The length of a period, as in `active_users`; None draws bars.
    rolling
        Counts the different users of so many periods up to and with each, as in `active_users`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        What `end_date` means, as in `cost_by`.
    fiscal_year_start, week_start
        As in `cost_by`.  Fiscal quarters and years are labelled "FY2026 Q1" and "FY2026".
    people
        A mapping from user ids and e-mail addresses to people, as in `active_users`.
    crossing
        What to do with an active user's window that crosses a bound, as in `active_users`.
    overlap
        What to do about rows that the sums count twice, as in `cost_by`.
    groups
        How many groups are shown; the others are folded into one and measured again.
    colors
        Colours by name of a group, such as `{"gpt-5.5": "#6f6eff"}`; the others are as ever.

    Returns
    -------
    altair.Chart
        An ordinary Altair chart, also of layers, or one below the other where there are panels; it
        has no configuration of its own, so that it can be changed and put beside others.

    Raises
    ------
    RecordError
        If an active user's window crosses a bound of `freq`, unless `crossing` says otherwise.
    UnknownFieldError
        For an unknown dimension, or a frame without the columns that are needed.
    OptionError
        For an option's value that it cannot have, more than two dimensions, or so short a `freq`
        that there are thousands of periods.
    MissingExtraError
        Without `tidyusage[plot]`.

    Notes
    -----
    The figures are those of `active_users`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.active_users(rolling=7).title.text
    'Active users of the last 7 days, per day'
    """
    times = Times.of(
        frame, freq, tz, end, fiscal_year_start=fiscal_year_start, week_start=week_start
    )
    metric = partial(metrics.active_users, people=people, crossing=crossing)
    options: dict[str, Any] = dict(times.options)
    if rolling is not None:
        options["rolling"] = rolling
    answer = asked(
        metric, frame, by, size=itemgetter("active_users"), most=groups, overlap=overlap, **options
    )
    last = f" of the last {labels.plural(rolling, times.word)}" if rolling else ""
    plan = Plan(
        answer,
        times,
        title=f"Active users{last}{labels.by(by)}{times.each}",
        value="active_users",
        unit=lambda _: "active users",
        tells={"figure": "active users"},
        colors=colors,
        mark="lines",
        notes=_unnamed(answer.groups),
    )
    rows = [row for row in answer.rows if row["active_users"] is not None]
    return drawn(plan, [row | _figure(row["active_users"]) for row in rows])


def _figure(count: float) -> Row:
    return {"figure": f"{count:,}", "text": f"{count:,}"}


def _unnamed(groups: Groups | None) -> tuple[str, ...]:
    """Name the groups whose records name no user."""
    if groups is None or not groups.silent:
        return ()
    return (f"Of these no record names a user: {labels.some(groups.silent_labels)}.",)
