"""`allocate_shared`: distribute shared cost over those who used the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from tidyusage._utils.sql import clauses, quote
from tidyusage.engines import frames
from tidyusage.engines.query import GUARD
from tidyusage.errors import AllocationWarning, OptionError, known_options, warn
from tidyusage.metrics import _missing_charges, _person
from tidyusage.metrics._overlap import checked
from tidyusage.metrics._usage import NUMBER, TEXT
from tidyusage.prepare._allocation_key import Bearing
from tidyusage.prepare._rewrite import rewritten, wide
from tidyusage.prepare._selection import kinds
from tidyusage.prepare._spreading import AMOUNT, LEFT, SHARE, SPREAD, Spreading
from tidyusage.prepare.with_person import with_person

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from tidyusage.typing import Charge, Conventions, End, FrameT, Overlap, People, Where


@known_options
def allocate_shared(
    frame: FrameT,
    where: Where,
    *to: str,
    by: str = "tokens",
    within: Sequence[str] | None = None,
    charge: Charge = "billed",
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    end: End = "exclusive",
    people: People | None = None,
    overlap: Overlap = "warn",
) -> FrameT:
    """Return a frame whose shared rows are spread over users, products or other dimensions.

    A shared row becomes a row for each target, which is a value of `to` among the other rows.  A
    target's share is its part of the measure `by`, summed over the other rows in the shared row's
    organization, product and window; what a window has in common with the shared row's counts by
    its seconds.  Charges and all measures that may be added are multiplied by the share and add up
    to the shared row within 1e-12 of it, in any order; distinct counts and flags are null.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    where
        Which rows are shared: fields with the value that they must have, None for nothing or blank,
        or a list of values, such as `{"user.id": None, "product.id": ["claude", "cursor"]}`; or the
        name of a column of booleans.
    *to
        Over what shared rows are spread: fields by path or by column, or columns of your own.  Rows
        without any one of them are no targets.
    by
        In proportion to what: "tokens", "cost", "even" (each target the same), "requests",
        "commits", "pull_requests", "accepted_lines", or a count by its field.  By cost, only rows
        in the shared row's currency count.  Targets without more than 0 take no part.
    within
        The fields in which other rows must be as the shared row: `organization.id` and
        `product.id`, but for one of which `to` names a field.  `[]` looks everywhere.
    charge
        Of "cost", as in `cost_by`.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        Of "tokens", as in `tokens_by`.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end.
    people
        A mapping from user ids and e-mail addresses to people, as in `with_person`; for the
        dimension "person", which then becomes a column.
    overlap
        Where rows equal the sum of others at a finer grain, as a roll-up's do: spread, they would
        count twice for good.  "warn", "ignore" or "raise", as in `cost_by`; `at_grain` comes first.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  All columns of the frame, then
        `allocated` (bool, true on the new rows) and `allocated_share` (float64, of the shared row;
        1 on all others).  New rows keep `id` and whatever else the shared row says, and take from
        their target the fields of `to`, with the other fields of a user, product, organization or
        model where the target has one value of them, and null where not.  They stand where the
        shared row stood, the largest share first.

    Raises
    ------
    UnknownFieldError
        For an unknown field or measure, or a frame without the columns of `to` or of the measure;
        by cost, also for one without `charges.currency` while `assume_currency` is not given.
    OptionError
        For an option's value that it cannot have, or a measure that has no sum.
    FrameError
        If the frame is no wide one.

    Warns
    -----
    MissingColumnWarning
        By cost, as in `cost_by`.
    AllocationWarning
        If shared rows have no target; they stay as they are.  It counts them and tells their cost.
        A lazy frame warns when it is collected; a relation and a Spark frame cannot, and their rows
        that are shared but not `allocated` tell it.

    Notes
    -----
    A frame that was spread already can be spread again: its `allocated` rows stay so, and shares
    multiply.  Rows without dates are spread over rows without dates.

    Examples
    --------
    >>> import tidyusage as tu
    >>> def row(id_, user, tokens, amount):
    ...     charges = [{"type": "net", "amount": amount, "currency": "USD"}]
    ...     usage = {"tokens": {"total": tokens}}
    ...     return {"id": id_, "user": {"id": user}, "charges": charges, "usage": usage}
    >>> df = tu.flatten_usage(
    ...     [row("a", "ada", 300, 6), row("b", "bob", 100, 2), row("fee", None, None, 10)]
    ... )
    >>> spread = tu.allocate_shared(df, {"user.id": None}, "user.id")
    >>> spread[["id", "user.id", "charges.net", "allocated", "allocated_share"]]
        id user.id  charges.net  allocated  allocated_share
    0    a     ada          6.0      False             1.00
    1    b     bob          2.0      False             1.00
    2  fee     ada          7.5       True             0.75
    3  fee     bob          2.5       True             0.25
    """
    if not to:
        raise OptionError(
            "There is nothing to spread shared rows over.",
            "Name it, as in allocate_shared(df, {'user.id': None}, 'user.id').",
        )
    if _person.COLUMN in {*to, *(where if isinstance(where, Mapping) else ()), *(within or ())}:
        frame = with_person(frame, people=people)
    frame = checked(frame, overlap, frames.columns(frame), equals_only=True)
    found = wide(frame)
    bearing = Bearing.of(found, by, charge, token_convention, assume_currency)
    if bearing.is_cost:
        missing = bearing.asked.missing_charges(charge)
        frame = _missing_charges.checked(frame, missing, frames.columns(frame))
    spreading = Spreading.of(found, where, to, within, bearing=bearing, end=end)
    marks = kinds(found, where) | {SPREAD: "boolean", SHARE: "number"}
    is_silent = frames.backend_of(frame) in {"duckdb", "pyspark"}
    told = {} if is_silent else {LEFT: TEXT, AMOUNT: NUMBER}
    spread = _spread(frame, spreading, told, marks)
    if not frames.is_lazy(frame):
        return spread if is_silent else cast("FrameT", _told(spread, spreading))
    lazy = cast("pl.LazyFrame", spread)
    types = {name: type_ for name, type_ in lazy.collect_schema().items() if name not in told}
    return cast("FrameT", lazy.map_batches(lambda eager: _told(eager, spreading), schema=types))


def _spread(
    frame: FrameT, spreading: Spreading, told: Mapping[str, pa.DataType], marks: Mapping[str, str]
) -> FrameT:
    """Return a frame's rows with the shared ones spread, and what is told of those that are not."""
    found = spreading.found
    types = {SPREAD: pa.bool_(), SHARE: NUMBER, **told}
    added = {name: type_ for name, type_ in types.items() if name not in found.own}
    columns = spreading.columns
    named = [f"{columns[n]} as {quote(n)}" for n in (*found.known, *found.own, *added)]
    sql = f"""{spreading.steps}
select
  {clauses([*named, f"{spreading.guarded} as {GUARD}"])}
from spread
order by {spreading.order}"""
    return rewritten(
        frame,
        found,
        sql,
        changed=spreading.measures,
        added=added,
        guard=spreading.guard,
        kinds=marks,
    )


def _told(frame: Any, spreading: Spreading) -> Any:
    """Warn of the shared rows that have no target; return the frame without what tells of them."""
    is_pandas = frames.backend_of(frame) == "pandas"
    names = [LEFT, AMOUNT]
    table = frames.to_arrow(frame[names] if is_pandas else frame.select(names))
    left = table.filter(table[LEFT].is_valid())
    if left.num_rows:
        _warn(left, spreading)
    return frame.drop(columns=names) if is_pandas else _without(frame, names)


def _without(frame: Any, names: list[str]) -> Any:
    return frame.drop(names) if frames.backend_of(frame) == "polars" else frame.drop_columns(names)


def _warn(left: pa.Table, spreading: Spreading) -> None:
    sums = left.group_by(LEFT).aggregate([(AMOUNT, "sum")]).sort_by(LEFT).to_pylist()
    costs = [
        f"{row[f'{AMOUNT}_sum']:,.2f} {row[LEFT] or 'without a currency'}"
        for row in sums
        if row[f"{AMOUNT}_sum"] is not None
    ]
    cost = f"They cost {', '.join(costs)}" if costs else "They have no cost"
    if costs and not spreading.knows_currency:  # different currencies are not added
        cost = "They have a cost"
    names = " and ".join(target.name for target in spreading.targets)
    place = " and ".join([*(scope.name for scope in spreading.scopes), "window"])
    rows = f"{left.num_rows:,} shared rows are" if left.num_rows > 1 else "1 shared row is"
    warn(
        f"{rows} not spread: no other row of the same {place} names {names} and has more than 0 of "
        f"{spreading.bearing.name!r}. {cost}; within= says where to look, by= in proportion to "
        "what.",
        AllocationWarning,
    )
