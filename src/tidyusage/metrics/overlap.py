"""Whether rows at several grains count the same twice: what a metric looks for before it adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, get_args

import pyarrow as pa

from tidyusage import answers, engines, kinds, relations
from tidyusage.columns import Columns, columns
from tidyusage.dialects import Table
from tidyusage.errors import OverlapError, OverlapWarning, one_of, warn
from tidyusage.metrics import grain, mixed, rollup, source
from tidyusage.metrics.time import DATES
from tidyusage.sqltext import literal
from tidyusage.typing import Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb
    import polars as pl

_SHOWN: Final = 3
_SAID: Final = "tu__said"
_FACT: Final = "tidyusage: sums count the same twice, of the products "
_HINT: Final = (
    "tu.overlaps(df) shows them, tu.at_grain(df, 'finest') keeps one grain and the total; "
    "overlap='ignore' adds them all the same."
)


def checked(
    frame: Any, overlap: Overlap, needs: Iterable[str], *, equals_only: bool = False
) -> Any:
    """Return a frame that has been looked at; a lazy one is when it is collected.

    With ``equals_only`` a roll-up that contains more is no matter.  A relation cannot warn, and
    raises when it is asked for its rows.  A warehouse's table is not looked at.
    """
    one_of("overlap", overlap, get_args(Overlap))
    if overlap == "ignore" or isinstance(frame, Table):
        return frame
    if engines.backend_of(frame) == "duckdb":
        return frame if overlap == "warn" else _guarded(frame, equals_only=equals_only)
    if engines.backend_of(frame) == "pyspark":
        return frame if overlap == "warn" else _guarded_on_spark(frame, equals_only=equals_only)
    if engines.is_lazy(frame):
        return _lazily(frame, overlap, needs, equals_only=equals_only)
    if engines.backend_of(frame) == "pyarrow":
        frame = engines.to_arrow(frame)  # a reader can be read but once
    _tell(found(frame, columns(frame)), overlap, equals_only=equals_only)
    return frame


def found(frame: Any, columns_: Columns) -> list[dict[str, Any]]:
    """Return the pairs of grains of an eager frame that overlap, a row a pair and figure."""
    products = mixed.products(frame, columns_)
    if not products:
        return []
    table, known = _read(frame, columns_)
    needed = {"metric", "value"} if columns_.layout == "long" else set()
    if not (needed | ({*DATES} & set(columns_.known))) <= set(known.known):
        return []  # dates that are none, say: where windows are unknown nothing can be compared
    query = answers.Query(
        f"with {steps(known, products)}\n{_PAIRS}",
        grain.needs(known),
        _TYPES,
        {},
    )
    return answers.answer(table, query).to_pylist()


def steps(known: Columns, products: Iterable[str | None] | None = None) -> str:
    """Return the steps from a frame to ``overlapping``, of some products or of all."""
    pairs = rollup.overlaps(has_reports=bool(known.marks))
    parts = (grain.usage(known), grain.named(known, products), grain.figures(), pairs)
    return ",\n".join(parts)


_TYPES: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("product", "metric", "coarser", "finer", "finer_metric"), pa.string()),
    **dict.fromkeys(("report", "finer_report", "relation", "unit"), pa.string()),
    **dict.fromkeys(("sum", "residual"), pa.float64()),
}
_PAIRS: Final = f"""select tu__product as product, tu__metric as metric,
  {grain.label("coarse")} as coarser, {grain.label("fine")} as finer,
  tu__finer_metric as finer_metric, tu__report as report, tu__finer_report as finer_report,
  relation, unit,
  overlapping.finer as sum, overlapping.coarser - overlapping.finer as residual
from overlapping
order by pair, figure, unit"""


def _read(frame: Any, found_: Columns) -> tuple[pa.Table, Columns]:
    """Return those columns that hold what belongs there; of the others the metric itself tells."""
    wanted = grain.needs(found_)
    columns_ = {name: engines.column(frame, name) for name in wanted}
    table = pa.table({name: c for name, c in columns_.items() if c is not None})
    holds = kinds.of_arrow(table.schema)
    belongs = source.kinds(found_, grain.FIELDS)
    known = {
        path: name
        for path, name in found_.known.items()
        if name in holds and kinds.fits(belongs.get(name, holds[name]), holds[name])
    }
    own = tuple(name for name in found_.own if name in holds)
    return table, Columns(found_.layout, found_.sep, known, own)


def _tell(pairs: list[dict[str, Any]], overlap: Overlap, *, equals_only: bool) -> None:
    if equals_only:
        pairs = [pair for pair in pairs if pair["relation"] == "equals"]
    if not pairs:
        return
    fact = _fact(pairs)
    if overlap == "raise":
        raise OverlapError(fact, _HINT)
    warn(f"{fact}\n\n{_HINT}", OverlapWarning)


def _fact(pairs: list[dict[str, Any]]) -> str:
    """Say what overlaps: product, grains, and the sums that stand there twice."""
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
    return f"Sums count the same twice. {'; '.join([*lines[:_SHOWN], *more])}."


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
    """Return the query of the products of which grains overlap, in one text; null if of none."""
    told = "string_agg(distinct tu__product, ', ' order by tu__product)"
    where = " where relation = 'equals'" * equals_only
    return f"with {steps(known)}\nselect {told} as said from overlapping{where}"


def _guarded_on_spark(frame: Any, *, equals_only: bool) -> Any:
    """Return a Spark frame that raises, when asked for its rows, if grains of it overlap."""
    from tidyusage.spark import frames as sparks

    known = columns(frame)
    said = sparks.queried(frame, _said(known, equals_only=equals_only), grain.needs(known))
    beside = frame.crossJoin(said.withColumnRenamed("said", _SAID))
    return sparks.guarded(beside, _SAID, _FACT, "").drop(_SAID)


def _guarded(relation: duckdb.DuckDBPyRelation, *, equals_only: bool) -> duckdb.DuckDBPyRelation:
    """Return a relation that raises, when asked for its rows, if grains of it overlap."""
    known = columns(relation)
    sql = _said(known, equals_only=equals_only)
    rows, products = relations.beside(relation, grain.needs(known), sql)
    fact = literal(_FACT)
    return engines.queried(
        relation,
        f"""{rows},
products as (
  {products}
)
select * from {relations.ALL}
where (select case when said is not null then error({fact} || said) else true end from products)""",
    )


def _lazily(
    frame: Any, overlap: Overlap, needs: Iterable[str], *, equals_only: bool
) -> pl.LazyFrame:
    """Return a lazy frame that is looked at when it is collected, of the columns needed."""
    known = columns(frame)
    wanted = [*needs, *grain.needs(known)]
    lazy = cast("pl.LazyFrame", frame).select(list(dict.fromkeys(wanted)))

    def look(eager: pl.DataFrame) -> pl.DataFrame:
        _tell(found(eager, known), overlap, equals_only=equals_only)
        return eager

    return lazy.map_batches(look)
