"""`validate_usage` and `filter_usage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.progress import bar
from tidyusage.engines import frames, pandas_dtypes, relations
from tidyusage.engines import spark as sparks
from tidyusage.engines.query import run_query
from tidyusage.errors import FrameError, known_options
from tidyusage.prepare._rewrite import ROW
from tidyusage.quality.rules import codes
from tidyusage.quality.rules_sql import CASE, CHECK, COLUMN, REASONS, Judged

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb
    import polars as pl

    from tidyusage.engines.query import Query
    from tidyusage.typing import FrameT

# So many rows and rules of a relation that fails are held.
_MOST: Final = 100_000


@known_options
def validate_usage(
    frame: FrameT, *, currencies: Iterable[str] = (), progress: bool | None = None
) -> FrameT:
    """Return a frame that keeps the schema's rules as it is, or raise with what breaks them.

    The rules are those of `schemas`: dtypes, what is required, unique ids, known types of charges,
    currencies' shape, counts that are not negative, what is accepted against what was offered, the
    order of dates, cache writes against their lifetimes.

    Parameters
    ----------
    frame
        A frame of any layout and library, of either spelling; absent columns count as null, and
        columns of your own are not looked at.
    currencies
        Further currencies that charges may have, beside three capital letters as in ISO 4217: such
        as ``["CREDITS"]``.
    progress
        As in `read_usage`; only a relation shows how far it has come.

    Returns
    -------
    frame
        The same frame.  A lazy one of Polars is told of its dtypes at once, and is checked when it
        is collected.  A relation of DuckDB is read once, at once, and so is a frame of Spark.

    Raises
    ------
    pandera.errors.SchemaErrors
        If a row breaks a rule.  Its `failure_cases` is a frame of the same library (an Arrow table
        for a relation), one row for each row and rule: `id` (str), `column` (str), `check` (str,
        the rule), `failure_case` (str, the column's value) and `index` (the row's label in
        pandas, its number from 0 elsewhere; a Spark frame's rows have none, and no such column).
        A column of a wrong dtype is one row, whose `check` is "dtype".  Of a relation they are the
        first 100,000, and the error counts all.  It is a `UsageError` too.
    FrameError
        If the frame holds no usage.

    See Also
    --------
    filter_usage : The good rows and the bad ones.

    Examples
    --------
    >>> import tidyusage as tu
    >>> frame = tu.flatten_usage({"id": "a", "usage": {"tokens": {"input": -12}}})
    >>> try:
    ...     tu.validate_usage(frame)
    ... except tu.errors.UsageError as error:
    ...     print(error.failure_cases)
      id              column         check failure_case  index
    0  a  usage.tokens.input  not_negative        -12.0      0
    """
    if frames.backend_of(frame) == "duckdb":
        relation = cast("duckdb.DuckDBPyRelation", frame)
        with bar("Validating", progress), bounded.asked(relation):
            return _validated(frame, _judged(frame, currencies))
    judged = _judged(frame, currencies)
    if frames.is_lazy(frame):
        lazy = cast("pl.LazyFrame", frame)
        if judged.unfit:
            raise _invalid(lazy, judged, _none())
        checked = lazy.map_batches(
            lambda eager: _validated(eager, judged), schema=lazy.collect_schema()
        )
        return cast("FrameT", checked)
    return _validated(frame, judged)


@known_options
def filter_usage(frame: FrameT, *, currencies: Iterable[str] = ()) -> tuple[FrameT, FrameT]:
    """Part a frame into the rows that keep the schema's rules, and those that do not.

    Parameters
    ----------
    frame
        As for `validate_usage`.
    currencies
        As for `validate_usage`.

    Returns
    -------
    good : frame
        The rows that keep all rules, as they are, in their order.  `validate_usage` takes them.
    bad : frame
        All other rows, each once, with a last column `reasons` (str): ``column: rule``, joined by
        ``"; "``.  Of rows that share an id, all are bad.

        Both are of the same library, and keep dtypes and index; lazy frames and relations give two
        of their kind, and nothing is read before they are.

    Raises
    ------
    pandera.errors.SchemaErrors
        If a column has a wrong dtype: no row is to blame for that.  It is a `UsageError` too.
    FrameError
        If the frame holds no usage, or has a column `reasons`.

    See Also
    --------
    validate_usage : All or nothing.

    Examples
    --------
    >>> import tidyusage as tu
    >>> records = [{"id": "a", "usage": {"tokens": {"input": tokens}}} for tokens in (1, 2)]
    >>> records.append({"id": "b", "usage": {"tokens": {"input": 3}}})
    >>> good, bad = tu.filter_usage(tu.flatten_usage(records, duplicates="keep"))
    >>> good[["id", "usage.tokens.input"]]
      id  usage.tokens.input
    2  b                 3.0
    >>> bad[["id", "usage.tokens.input", "reasons"]]
      id  usage.tokens.input     reasons
    0  a                 1.0  id: unique
    1  a                 2.0  id: unique
    """
    judged = _judged(frame, currencies)
    if REASONS in frames.columns(frame):
        raise FrameError(
            f"The frame has a column {REASONS!r}, as the answer would.", "Rename or drop it."
        )
    if judged.unfit:  # that no row is to blame for
        raise _invalid(frame, judged, _none())
    query = judged.flagged()
    if frames.backend_of(frame) == "duckdb":
        relation = cast("duckdb.DuckDBPyRelation", frame)
        return cast("tuple[FrameT, FrameT]", _parted_relation(relation, query))
    if frames.backend_of(frame) == "pyspark":
        return cast("tuple[FrameT, FrameT]", _parted_on_spark(frame, judged))
    if frames.is_lazy(frame):
        return cast("tuple[FrameT, FrameT]", _parted_lazily(cast("pl.LazyFrame", frame), judged))
    return cast("tuple[FrameT, FrameT]", _parted(frame, judged))


def _judged(frame: object, currencies: Iterable[str]) -> Judged:
    """Look at a frame; raise if it holds no usage, or can be read only once."""
    if type(frame).__name__ == "RecordBatchReader":
        raise FrameError("A RecordBatchReader can be read only once.", "Call its read_all() first.")
    return Judged.of(frame, codes(currencies))


def _validated(frame: FrameT, judged: Judged) -> FrameT:
    if not _fails(frame, judged):
        if judged.unfit:
            raise _invalid(frame, judged, _none())
        return frame
    if frames.backend_of(frame) != "duckdb":
        raise _invalid(frame, judged, _failing(frame, judged))
    every = cast("duckdb.DuckDBPyRelation", run_query(frame, judged.failing()))
    raise _invalid(frame, judged, every.limit(_MOST).to_arrow_table(), every)


def _failing(frame: Any, judged: Judged) -> Any:
    """Return a row for each row and rule that it breaks; of Spark as a frame, there may be many."""
    if frames.backend_of(frame) == "pyspark":
        return run_query(frame, judged.failing())
    return _asked(frame, judged.failing())


def _fails(frame: Any, judged: Judged) -> bool:
    """Tell whether any row of a frame breaks a rule; where no column fits, none is asked."""
    if not judged.rules:
        return False
    return bool(_asked(frame, judged.any_failing())["fails"][0].as_py())


def _asked(frame: Any, query: Query) -> pa.Table:
    """Return a query's answer as an Arrow table."""
    if frames.backend_of(frame) == "polars":
        # Polars would copy every column that may hold NaN; Arrow looks first.
        frame = frames.to_arrow(frame.select(query.needs))
    return frames.collected(run_query(frame, query))


def _invalid(frame: Any, judged: Judged, failing: Any, every: Any = None) -> Exception:
    """Return the error of what failed; pandera is not imported before."""
    from tidyusage.quality._pandera_errors import InvalidUsageError

    return InvalidUsageError(frame, judged, failing, every)


def _parted_lazily(lazy: pl.LazyFrame, judged: Judged) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    import polars as pl

    schema = lazy.collect_schema()
    return (
        lazy.map_batches(lambda eager: _parted(eager, judged)[0], schema=schema),
        lazy.map_batches(
            lambda eager: _parted(eager, judged)[1], schema={**schema, REASONS: pl.String()}
        ),
    )


def _parted(frame: Any, judged: Judged) -> tuple[Any, Any]:
    """Return the rows of an eager frame that the query does not name, and those that it does."""
    import numpy as np

    if not _fails(frame, judged):
        return _all_good(frame)
    found = _asked(frame, judged.flagged())
    places = found[ROW].to_numpy()
    kept = np.ones(frame.num_rows if hasattr(frame, "num_rows") else len(frame), dtype=bool)
    kept[places] = False
    backend = frames.backend_of(frame)
    if backend == "pandas":
        reasons = pandas_dtypes.flavoured(found.select([REASONS]), frame, ())[REASONS].array
        return frame[kept], frame.iloc[places].assign(**{REASONS: reasons})
    if backend == "polars":
        import polars as pl

        reasons = pl.Series(REASONS, found[REASONS], pl.String)
        return frame.filter(pl.Series(kept, dtype=pl.Boolean)), frame[places].with_columns(reasons)
    table = frames.to_arrow(frame)
    bad = table.take(pa.array(places, pa.int64()))
    return table.filter(pa.array(kept)), bad.append_column(REASONS, found[REASONS])


def _all_good(frame: Any) -> tuple[Any, Any]:
    """Return a frame whose rows are all good, and none of them as bad; nothing is copied."""
    backend = frames.backend_of(frame)
    if backend == "pandas":
        none = pandas_dtypes.flavoured(_none().select([CHECK]), frame, ())[CHECK].array
        return frame.copy(deep=False), frame.iloc[:0].assign(**{REASONS: none})
    if backend == "polars":
        import polars as pl

        return frame, frame.clear().with_columns(pl.lit(None, pl.String).alias(REASONS))
    return frame, frames.to_arrow(frame)[:0].append_column(REASONS, pa.array([], pa.string()))


def _parted_relation(
    relation: duckdb.DuckDBPyRelation, query: Query
) -> tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyRelation]:
    numbered = relation.project(f"*, row_number() over () - 1 as {ROW}")
    rows, flagged = relations.beside(numbered, query.needs, query.sql)
    everything, found = relations.ALL, "tu__found"
    steps = f"""{rows},
{found} as (
  {flagged}
)
"""
    good = f"""{steps}select * exclude ({ROW})
from {everything}
where {ROW} not in (select {ROW} from {found})
order by {ROW}"""
    bad = f"""{steps}select {everything}.* exclude ({ROW}), {found}.{REASONS}
from {everything}
join {found} on {everything}.{ROW} = {found}.{ROW}
order by {everything}.{ROW}"""
    return frames.queried(numbered, good), frames.queried(numbered, bad)


def _parted_on_spark(frame: Any, judged: Judged) -> tuple[Any, Any]:
    def part(*, good: bool) -> Any:
        added = {} if good else {REASONS: REASONS}
        return sparks.kept(
            frame, lambda own: judged.parted(own, good=good), judged.needs, {}, added
        )

    return part(good=True), part(good=False)


def _none() -> pa.Table:
    """Return that no row is known to fail."""
    empty: list[Any] = []
    text = {name: pa.array(empty, pa.string()) for name in ("id", COLUMN, CHECK, CASE)}
    return pa.table({ROW: pa.array(empty, pa.int64()), **text})
