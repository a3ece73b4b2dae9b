"""`grains` and `overlaps`: which grains a frame has, and which look like roll-ups of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import ordered, quote
from tidyusage.catalogue import SOURCE_COLUMNS
from tidyusage.engines.columns import Columns, columns
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import FrameError, known_options
from tidyusage.metrics import _charges, _grain, _missing_charges, _overlap, _source
from tidyusage.metrics._grain import KEYS
from tidyusage.metrics._usage import Usage
from tidyusage.metrics.cost import require_currency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.typing import FrameT

_STEPS: Final = ("tu__organization", "tu__product", "tu__metric", "tu__account", "tu__report")
_TEXT: Final = schema.ARROW["string"]
_NUMBER: Final = schema.ARROW["number"]
_INTEGER: Final = pa.int64()
_INSTANT: Final = schema.ARROW["timestamp"]


@known_options
def grains(frame: FrameT) -> FrameT:
    """Return at which grains each organization, product and metric counts.

    A record's grain is what it names of user, model, surface and resource: one that names none
    counts for the whole organization.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  One row a grain and currency:
        `organization.id`, `product.id`, `metric_name` (spelled as in the frame), `grain` (str, such
        as "organization" or "user × model"), `currency` (str; null for records without a cost),
        `records` (int64), `start_date` and `end_date` (UTC, the first and the last bound of their
        windows), `days` (float64, the length that most windows have), `cost` (float64, what was
        billed), `tokens` (float64).  Coarse grains come first.  A frame of fetched records has
        `source.account` and `source.report_type` after `metric_name`.

    Raises
    ------
    FrameError
        If the frame is not a wide or long one.
    UnknownFieldError
        If the frame has amounts and lacks `charges.currency` (`unit` in a long frame).

    Warns
    -----
    MissingColumnWarning
        If the frame lacks charge columns that could change a cost, as in `cost_by`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> columns = ["metric_name", "grain", "records", "days", "cost"]
    >>> tu.grains(tu.load_example()).set_index("product.id").loc["datadog", columns]
                 metric_name     grain  records  days    cost
    product.id
    datadog       infra_host  resource       36   1.0  712.97
    datadog     logs_indexed  resource       26   1.0  552.93
    """
    found = _found(frame)
    frame = _overlap.checked(frame, "warn", _grain.needs(found), has_pairs=False)
    frame = with_known_costs(frame, found, _grain.needs(found))
    keys = ", ".join(map(quote, _keys(found)))
    grouped = f"{keys}, tu__grain, case when tu__cost is not null then tu__currency end"
    steps = (_grain.usage(found), _grain.named(found, has_residuals=True), _grain.figures())
    sql = f"""with {", ".join(steps)},
groups as (
  select {grouped} as currency, count(*) as records, min(start_date) as start_date,
    max(case when start_date is not null then tu__to end) as end_date,
    mode(case when start_date is not null then epoch(tu__to - tu__from) / 86400 end) as days,
    sum(tu__cost) as cost, sum(tu__tokens) as tokens
  from figures
  group by {grouped}
)
select {keys}, {_grain.label("tu__grain")} as grain, currency, records, start_date, end_date, days,
  cost, tokens
from groups
order by {ordered(*map(quote, _keys(found)), "bit_count(tu__grain)", "tu__grain", "currency")}"""
    types = {
        **dict.fromkeys(("grain", "currency"), _TEXT),
        "records": _INTEGER,
        **dict.fromkeys(("start_date", "end_date"), _INSTANT),
        **dict.fromkeys(("days", "cost", "tokens"), _NUMBER),
    }
    return run_query(frame, _query(found, sql, types))


@known_options
def overlaps(frame: FrameT) -> FrameT:
    """Return the pairs of grains of which the coarser looks like the roll-up of the finer.

    The sums of both are compared in the windows that they share (one may contain several of the
    other's), and for the user, model, surface or resource that the coarser rows name.  Within a
    metric a pair is shown where in 95 % of these the coarser reaches the finer's sum, in cost and
    in tokens alike.  Sums may differ by 1e-6 of them, and costs by what rounding explains: half a
    unit of the last decimal that the coarser rows' amounts have in the product and currency (at
    least the second), for each finer row, and at most 1 %.  Across the metrics of a product, and
    where rows of one grain differ in the length of their windows alone, a pair is shown only where
    the sums are equal.  Coarse rows that are smaller, or that have windows of their own, complete
    the finer ones.

    Of fetched records accounts are never compared, and reports as metrics are.  Two reports of one
    grain and metric are a pair too, shown only where the sums are equal: the one that tells more of
    cost and tokens, else the first by name, stands as the coarser.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  One row a pair and figure: `organization.id`,
        `product.id`, `metric_name` (of the coarser), `finer_metric_name`, `coarser`, `finer` (the
        grains' names; the same where windows alone differ), `relation` ("equals" or "contains"),
        `windows` (int64, those that both have), `figure` ("cost" or "tokens"), `unit` (str;
        a cost's currency, null if unknown), `coarser_sum`, `finer_sum` and `residual` (float64,
        the coarser's less the finer's), all over the shared windows.  A frame of fetched records
        has `source.account` and `source.report_type` (of the coarser) after `metric_name`, and
        `finer_report_type` after `finer_metric_name`.

    Raises
    ------
    FrameError
        If the frame is not a wide or long one.
    UnknownFieldError
        If the frame has amounts and lacks `charges.currency` (`unit` in a long frame).

    Warns
    -----
    MissingColumnWarning
        If the frame lacks charge columns that could change a cost, as in `cost_by`.

    Examples
    --------
    >>> import tidyusage as tu
    >>> rows = [("all", None, 50), ("1", "ada", 30), ("2", "bob", 15)]
    >>> df = tu.flatten_usage(
    ...     {"id": id, "user": {"id": user}, "usage": {"tokens": {"total": tokens}}}
    ...     for id, user, tokens in rows
    ... )
    >>> columns = ["coarser", "finer", "relation", "coarser_sum", "finer_sum", "residual"]
    >>> tu.overlaps(df)[columns]
            coarser finer  relation  coarser_sum  finer_sum  residual
    0  organization  user  contains         50.0       45.0       5.0
    """
    found = _found(frame)
    frame = _overlap.checked(frame, "warn", _grain.needs(found), has_pairs=False)
    frame = with_known_costs(frame, found, _grain.needs(found))
    return run_query(frame, pairs_query(found))


def with_known_costs(frame: FrameT, found: Columns, needs: Iterable[str]) -> FrameT:
    """Return a frame whose costs may be added and compared.

    Raise if the column of their currencies is missing; warn if missing charge columns could change
    them.
    """
    if found.lacks_currency:
        require_currency(found, can_assume=False)
    if not any(name in found.known for name in _charges.amounts_of(_charges.BILLED)):
        return frame
    missing = Usage.of(found, ()).missing_charges(_charges.BILLED)
    return cast("FrameT", _missing_charges.checked(frame, missing, needs))


def pairs_query(found: Columns) -> Query:
    """Return the query of `overlaps`."""
    steps = dict(zip((*KEYS, *SOURCE_COLUMNS), _STEPS, strict=True))
    shown = {key: steps[key] for key in _keys(found)} | {"finer_metric_name": "tu__finer_metric"}
    shown |= {"finer_report_type": "tu__finer_report"} if found.marks else {}
    sql = f"""with {_overlap.steps(found)}
select {", ".join(f"{sql} as {quote(name)}" for name, sql in shown.items())},
  {_grain.label("coarse")} as coarser,
  {_grain.label("fine")} as finer, relation, windows, figure, unit,
  overlapping.coarser as coarser_sum, overlapping.finer as finer_sum,
  overlapping.coarser - overlapping.finer as residual
from overlapping
order by {ordered(*shown.values(), "coarse", "fine", "figure", "unit")}"""
    types = {
        **dict.fromkeys(("coarser", "finer", "relation"), _TEXT),
        "windows": _INTEGER,
        **dict.fromkeys(("figure", "unit"), _TEXT),
        **dict.fromkeys(("coarser_sum", "finer_sum", "residual"), _NUMBER),
    }
    finer = {name: _TEXT for name in shown if name.startswith("finer_")}
    return _query(found, sql, {**finer, **types})


def _found(frame: object) -> Columns:
    found = columns(frame)
    if found.layout not in {"wide", "long"}:
        raise FrameError(
            f"This is a frame of {found.layout}, which tells of no grain.",
            "Give the wide or the long frame.",
        )
    return found


def _keys(found: Columns) -> tuple[str, ...]:
    """Return what the answer's rows are about; what records were fetched for, if they were."""
    return (*KEYS, *found.marks)


def _query(found: Columns, sql: str, types: dict[str, pa.DataType]) -> Query:
    """Return a query whose answer begins with the keys, spelled as the frame spells them."""
    spelled = {schema.rename(key, found.sep): key for key in _keys(found)}
    return Query(
        sql,
        _grain.needs(found),
        cast("dict[str, Any]", {**dict.fromkeys(spelled), **types}),
        {name: found.known.get(key) for name, key in spelled.items()},
        kinds=_source.kinds(found, _grain.FIELDS),
        keys=spelled,
    )
