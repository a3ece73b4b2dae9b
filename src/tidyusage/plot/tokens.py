"""`plot.tokens_by`."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from tidyusage import metrics
from tidyusage.engines.cache import reads_once
from tidyusage.errors import known_options
from tidyusage.plot import labels
from tidyusage.plot.colors import OTHER, PALETTE
from tidyusage.plot.compose import PART, Plan, drawn
from tidyusage.plot.groups import DOZEN, asked
from tidyusage.plot.periods import Times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tidyusage.plot.groups import Row
    from tidyusage.typing import Conventions, Ends, Frame, Freq, Overlap, People, WeekStart

_SORTS: Final = ("input", "output", "cache_read", "cache_write")
_UNTOLD: Final = "not told apart"
PARTS: Final = dict(zip((*map(labels.words, _SORTS), _UNTOLD), (*PALETTE[:4], OTHER), strict=True))
_NOISE: Final = 1e-9  # of a total


@known_options
@reads_once
def tokens_by(
    frame: Frame,
    *by: str,
    token_convention: Conventions = "auto",
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
    """Draw how many tokens each group used, by sort.

    Without `freq` a bar each, of input, output, and what was read from and written to the cache;
    with `freq` columns over time, of the sorts, or by a dimension of its groups.

    Parameters
    ----------
    frame
        A wide or long frame of any library; a lazy one is collected.
    *by
        At most two dimensions: the first has the colours, the second makes a panel of each of
        its values.
    token_convention
        As in `tokens_by`.
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
    UnknownFieldError
        For an unknown dimension, or a frame without the columns that are needed.
    OptionError
        For an option's value that it cannot have, more than two dimensions, or so short a `freq`
        that there are thousands of periods.
    MissingExtraError
        Without `tidyusage[plot]`.

    Notes
    -----
    The figures are those of `tokens_by`.  What a total has beyond its parts is "not told apart".

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df.usage.plot.tokens_by("model.id").title.text
    'Tokens by model'
    """
    times = Times.of(
        frame, freq, tz, end, fiscal_year_start=fiscal_year_start, week_start=week_start
    )
    metric = partial(metrics.tokens_by, people=people, token_convention=token_convention)
    answer = asked(
        metric, frame, by, size=itemgetter("tokens"), most=groups, overlap=overlap, **times.options
    )
    rows = [row for row in answer.rows if row["tokens"] is not None]
    in_groups = bool(freq and by)
    plan = Plan(
        answer,
        times,
        title=f"Tokens{labels.by(by)}{times.each}",
        value="tokens" if in_groups else "count",
        unit=lambda _: "tokens",
        tells={"figure": "tokens"}
        if in_groups
        else {PART: "sort", "figure": "tokens", "all": "all sorts"},
        colors=colors,
        parts={} if in_groups else PARTS,
    )
    told = (row | {"figure": f"{row['tokens']:,.0f}"} for row in rows)
    return drawn(plan, told if in_groups else _parts(rows))


def _parts(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield a row for each sort of tokens of a group, and what its total has beyond them."""
    for row in rows:
        total = row["tokens"]
        parts = {labels.words(sort): row[sort] for sort in _SORTS if row[sort]}
        rest = total - sum(parts.values())
        if rest > _NOISE * total:
            parts[_UNTOLD] = rest
        of_all = {"all": f"{total:,.0f}", "text": labels.amount(total)}
        for part, count in parts.items():
            yield row | of_all | {PART: part, "count": count, "figure": f"{count:,.0f}"}
