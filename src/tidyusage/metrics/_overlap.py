"""The overlap check that runs before a metric adds rows up.

It finds rows that repeat an id over overlapping windows (`duplicates`), and rows at several grains
or of several reports that hold the same usage (`rollup`), and speaks of both at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import numpy as np
import pyarrow as pa

from tidyusage._utils import bounded
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import column_checks, frames, relations
from tidyusage.engines import query as answers
from tidyusage.engines.columns import Columns, columns
from tidyusage.engines.dialects.translate import Table
from tidyusage.engines.query import run_query
from tidyusage.errors import OverlapError, OverlapWarning, one_of, warn
from tidyusage.metrics import _duplicates, _grain, _mixed_grains, _overlap_sql, _source
from tidyusage.metrics._periods import DATES
from tidyusage.typing import Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb
    import polars as pl

    from tidyusage.metrics._duplicates import Duplicates

_SHOWN: Final = 3
_SAID: Final = "tu__said"
_GUARD: Final = "tidyusage: "
_TWICE: Final = "The sums count some usage twice"
_HINT: Final = (
    "tu.overlaps(df) shows them, tu.at_grain(df, 'finest') keeps one grain and the total; "
    "overlap='ignore' adds them all the same."
)
REPEATED_HINT: Final = (
    "tu.findings(df, only='repeated_id') lists them, tu.latest(df) keeps the newest row of each "
    "id; overlap='ignore' adds them all the same."
)


def checked(
    frame: Any,
    overlap: Overlap,
    needs: Iterable[str],
    *,
    equals_only: bool = False,
    has_pairs: bool = True,
) -> Any:
    """Return a frame after the overlap check; a lazy frame is checked when it is collected.

    With ``equals_only`` a roll-up that contains more than its parts is in order; without pairs
    (``has_pairs``) only repeated rows are looked for.  A relation and a
    Spark frame cannot warn; with "raise" they raise when they are asked for their rows.  The tables
    of a warehouse are not checked.
    """
    one_of("overlap", overlap, get_args(Overlap))
    if overlap == "ignore" or isinstance(frame, Table):
        return frame
    if frames.backend_of(frame) == "duckdb":
        return frame if overlap == "warn" else _guarded(frame, equals_only=equals_only)
    if frames.backend_of(frame) == "pyspark":
        return frame if overlap == "warn" else _guarded_on_spark(frame, equals_only=equals_only)
    if frames.is_lazy(frame):
        return _lazily(frame, overlap, needs, equals_only=equals_only, has_pairs=has_pairs)
    if frames.backend_of(frame) == "pyarrow":
        frame = frames.to_arrow(frame)  # a reader can be read but once
    twice = found(frame, columns(frame), has_pairs=has_pairs)
    _tell(twice, overlap, equals_only=equals_only)
    return frame


@dataclass(frozen=True, slots=True)
class Found:
    """What a frame counts twice: repeated rows, and pairs of grains, a row a pair and figure."""

    repeated: Duplicates | None = None
    pairs: Sequence[dict[str, Any]] = ()


def found(frame: Any, columns_: Columns, *, has_pairs: bool = True) -> Found:
    """Return what an eager frame counts twice.

    Grains are compared without the rows that repeat others, so that users who were pulled twice
    still make up their organization's row.
    """
    suspects = _duplicates.suspects(frame, columns_)
    products = _mixed_grains.products(frame, columns_) if has_pairs else []
    if suspects is None and not products:
        return Found()
    table, known = _read(frame, columns_)
    if not ({"id"} | ({"metric", "value"} if known.layout == "long" else set())) <= {*known.known}:
        return Found()  # they hold values of a wrong kind, which the metric itself tells
    repeated = None
    if suspects is not None:
        places = suspects.rows.nonzero()[0]
        repeated = _repeated(
            table.filter(pa.array(suspects.rows)), known, are_uniform=suspects.are_uniform
        )
        if repeated and known.layout == "wide":
            is_kept = np.ones(table.num_rows, dtype=bool)
            is_kept[places[repeated.positions]] = False
            table = table.filter(pa.array(is_kept))
    # Where windows are unknown, because dates are text for example, grains cannot be compared.
    has_windows = {*DATES} & {*columns_.known} <= {*known.known}
    return Found(repeated, _pairs(table, known, products) if products and has_windows else ())


def repeated_rows(frame: Any) -> Duplicates | None:
    """Return what the repeated rows of any frame add; a lazy one is collected, a relation run."""
    known = columns(frame)
    if frames.backend_of(frame) in {"duckdb", "pyspark"}:
        return _repeated(frame, known) if _may_repeat(frame, known) else None
    if frames.is_lazy(frame):
        frame = cast("pl.LazyFrame", frame).select(_needs(known)).collect()
    suspects = _duplicates.suspects(frame, known)
    if suspects is None:
        return None
    table, known = _read(frame, known)
    return _repeated(table.filter(pa.array(suspects.rows)), known)


def _may_repeat(frame: Any, known: Columns) -> bool:
    """Tell whether a relation or a Spark frame has an id on several rows; long has it anyway."""
    if known.layout == "long":
        return True
    id_ = quote(known.known["id"])
    sql = f"""with ids as (
  select {id_}
  from {FRAME}
)
select count({id_}) - count(distinct {id_}) as repeats
from ids"""
    query = answers.Query(sql, (known.known["id"],), {"repeats": pa.int64()}, {})
    return bool(_collected(frame, query)["repeats"][0].as_py())


def _collected(frame: Any, query: answers.Query) -> pa.Table:
    """Return the answer to a query at once."""
    if frames.backend_of(frame) != "duckdb":
        return frames.collected(run_query(frame, query))
    with bounded.asked(frame):
        return frames.collected(run_query(frame, query))


def _repeated(frame: Any, known: Columns, *, are_uniform: bool = False) -> Duplicates | None:
    """Return what the superseded rows of a frame add, by the exact definition."""
    sql = f"with {_duplicates.steps(known, are_uniform=are_uniform)}\n{_duplicates.SUPERSEDED}"
    query = answers.Query(sql, _duplicates.needs(known), _duplicates.TYPES, {})
    return _duplicates.added(_collected(frame, query))


def _pairs(table: pa.Table, known: Columns, products: list[str | None]) -> list[dict[str, Any]]:
    """Return the pairs of grains that overlap, a row a pair and figure."""
    query = answers.Query(
        f"with {steps(known, products)}\n{_PAIRS}",
        _grain.needs(known),
        _TYPES,
        {},
    )
    return run_query(table, query).to_pylist()


def _needs(known: Columns) -> list[str]:
    """Return the frame's columns that the check reads."""
    return list(dict.fromkeys((*_grain.needs(known), *_duplicates.needs(known))))


def steps(known: Columns, products: Iterable[str | None] | None = None) -> str:
    """Return the steps from a frame to ``overlapping``, of some products or of all."""
    pairs = _overlap_sql.overlaps(has_reports=bool(known.marks))
    parts = (_grain.usage(known), _grain.named(known, products), _grain.figures(), pairs)
    return ",\n".join(parts)


_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("product", "metric", "coarser", "finer", "finer_metric"), pa.string()),
    **dict.fromkeys(("report", "finer_report", "relation", "unit"), pa.string()),
    **dict.fromkeys(("sum", "residual"), pa.float64()),
}
_PAIRS: Final = f"""select tu__product as product, tu__metric as metric,
  {_grain.label("coarse")} as coarser, {_grain.label("fine")} as finer,
  tu__finer_metric as finer_metric, tu__report as report, tu__finer_report as finer_report,
  relation, unit,
  overlapping.finer as sum, overlapping.coarser - overlapping.finer as residual
from overlapping
order by pair, figure, unit"""


def _read(frame: Any, found_: Columns) -> tuple[pa.Table, Columns]:
    """Return those columns that hold what belongs there; of the others the metric itself tells."""
    wanted = _needs(found_)
    columns_ = {name: frames.column(frame, name) for name in wanted}
    table = pa.table({name: c for name, c in columns_.items() if c is not None})
    holds = column_checks.of_arrow(table.schema)
    belongs = _source.kinds(found_, (*_grain.FIELDS, "id", *_duplicates.STAMPS))
    known = {
        path: name
        for path, name in found_.known.items()
        if name in holds and column_checks.fits(belongs.get(name, holds[name]), holds[name])
    }
    own = tuple(name for name in found_.own if name in holds)
    return table, Columns(found_.layout, found_.sep, known, own)


def _tell(found_: Found, overlap: Overlap, *, equals_only: bool) -> None:
    """Warn once of everything that was found, or raise."""
    pairs = [p for p in found_.pairs if p["relation"] == "equals" or not equals_only]
    facts = [found_.repeated.fact] if found_.repeated else []
    facts += [_fact(pairs)] if pairs else []
    if not facts:
        return
    hints = [
        hint for hint, is_said in ((REPEATED_HINT, found_.repeated), (_HINT, pairs)) if is_said
    ]
    speak(" ".join(facts), "\n".join(hints), overlap)


def speak(fact: str, hint: str, overlap: Overlap) -> None:
    """Raise an `OverlapError` with "raise"; else warn."""
    if overlap == "raise":
        raise OverlapError(fact, hint)
    warn(f"{fact}\n\n{hint}", OverlapWarning)


def tell_repeated(repeated: Duplicates | None, overlap: Overlap) -> None:
    """Warn of repeated rows, or raise, where grains do not matter."""
    if repeated and overlap != "ignore":
        speak(repeated.fact, REPEATED_HINT, overlap)


def _fact(pairs: list[dict[str, Any]]) -> str:
    """Say what overlaps: product, grains, and the sums that are counted twice."""
    told: dict[str, list[str]] = {}
    for pair in pairs:
        of = _of(pair)
        words = (
            f"{pair['product']}: rows by {pair['coarser']}{of[0]} {_WORDS[pair['relation']]} "
            f"those by {pair['finer']}{of[1]}"
        )
        unit = pair["unit"] or "of unknown currency"
        told.setdefault(words, []).append(
            f"{pair['sum']:,.2f} {unit}".replace(".00 tokens", " tokens")
        )
    lines = [f"{words} ({', '.join(sums)})" for words, sums in told.items()]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return f"{_TWICE}. {'; '.join([*lines[:_SHOWN], *more])}."


def _of(pair: dict[str, Any]) -> list[str]:
    """Return what the rows of either side are of: metrics and reports, where these differ."""
    metrics = [pair["metric"], pair["finer_metric"]]
    reports = [pair["report"], pair["finer_report"]]
    of_metric = [f" of {metric}" if len(set(metrics)) > 1 else "" for metric in metrics]
    named = ["no report" if report is None else f"report {report!r}" for report in reports]
    of_report = [f" of {name}" if len(set(reports)) > 1 else "" for name in named]
    return [f"{metric}{report}" for metric, report in zip(of_metric, of_report, strict=True)]


_WORDS: Final = {"equals": "equal", "contains": "contain"}


def _said(known: Columns, *, equals_only: bool) -> str:
    """Return the query of one text: what a frame counts twice; null if nothing."""
    products = "string_agg(distinct tu__product, ', ' order by tu__product)"
    where = " where relation = 'equals'" * equals_only
    return f"""with {_duplicates.steps(known)},
{steps(known)},
repeated_text as (
  select said as repeated
  from (
    {_duplicates.fact_sql()}
  ) as tu__repeated
),
grains_text as (
  select 'the sums count some usage twice, of the products ' || {products} as grains
  from overlapping{where}
)
select coalesce(repeated || coalesce('; ' || grains, ''), grains) as said
from repeated_text
cross join grains_text"""


def _guarded_on_spark(frame: Any, *, equals_only: bool) -> Any:
    """Return a Spark frame that raises, when asked for its rows, if it counts something twice."""
    from tidyusage.engines import spark as sparks

    known = columns(frame)
    said = sparks.queried(frame, _said(known, equals_only=equals_only), _needs(known))
    beside = frame.crossJoin(said.withColumnRenamed("said", _SAID))
    return sparks.guarded(beside, _SAID, _GUARD, "").drop(_SAID)


def _guarded(relation: duckdb.DuckDBPyRelation, *, equals_only: bool) -> duckdb.DuckDBPyRelation:
    """Return a relation that raises, when asked for its rows, if it counts something twice."""
    known = columns(relation)
    sql = _said(known, equals_only=equals_only)
    rows, counted = relations.beside(relation, _needs(known), sql)
    return frames.queried(
        relation,
        f"""{rows},
tu__counted as (
  {counted}
)
select * from {relations.ALL}
where (
  select case when said is not null then error({literal(_GUARD)} || said) else true end
  from tu__counted
)""",
    )


def _lazily(
    frame: Any, overlap: Overlap, needs: Iterable[str], *, equals_only: bool, has_pairs: bool
) -> pl.LazyFrame:
    """Return a lazy frame that is looked at when it is collected, of the columns needed."""
    known = columns(frame)
    wanted = [*needs, *_needs(known)]
    lazy = cast("pl.LazyFrame", frame).select(list(dict.fromkeys(wanted)))

    def look(eager: pl.DataFrame) -> pl.DataFrame:
        twice = found(eager, known, has_pairs=has_pairs)
        _tell(twice, overlap, equals_only=equals_only)
        return eager

    return lazy.map_batches(look)
