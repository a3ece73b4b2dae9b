"""A column of text with other texts in it, in the frame's own library.

Only the different texts are looked at, of which there are few; the rest of the frame is not
touched, and keeps its order, index and dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa

from tidyusage._utils.sql import FRAME, clauses, quote
from tidyusage.engines import column_checks, frames
from tidyusage.engines import spark as sparks
from tidyusage.errors import FrameError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

    from tidyusage.typing import FrameT

# What each text becomes, of the texts and how many rows have them.
Replace: TypeAlias = Callable[[Mapping[str, int]], dict[str, str]]


def replaced(frame: FrameT, column: str, replace: Replace, steps: str) -> FrameT:
    """Return a frame with other texts in a column; a lazy one, and a relation, stay lazy.

    ``steps`` do for a relation what ``replace`` does: from ``names`` to ``renamed``, SQL that gives
    each ``name`` its ``model``.
    """
    backend = frames.backend_of(frame)
    if backend == "duckdb":
        relation = cast("duckdb.DuckDBPyRelation", frame)
        return cast("FrameT", _of_relation(relation, column, steps))
    if backend == "pyspark":
        return cast("FrameT", _of_spark(frame, column, steps))
    if backend == "pandas":
        return cast("FrameT", _of_pandas(cast("pd.DataFrame", frame), column, replace))
    if backend == "polars":
        return cast("FrameT", _of_polars(frame, column, replace))
    return cast("FrameT", _of_arrow(frames.to_arrow(frame), column, replace))


def _check(column: str, kind: str) -> None:
    column_checks.check({column: "text"}, {column: kind})
    if kind not in {"text", ""}:
        raise FrameError(
            f"The column {column!r} holds {kind}s, and text belongs there.",
            "tu.restore(frame) brings a frame's columns to their dtypes.",
        )


def _of_pandas(frame: pd.DataFrame, column: str, replace: Replace) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    old = frame[column]
    if old.isna().all():
        return frame.copy(deep=False)
    _check(column, column_checks.of_arrow(_schema(frame, column))[column])
    is_category = isinstance(old.dtype, pd.CategoricalDtype)
    codes, found = (
        (old.cat.codes.to_numpy(), old.cat.categories) if is_category else old.factorize()
    )
    counts = np.bincount(codes[codes >= 0], minlength=len(found))
    pairs = replace({name: int(rows) for name, rows in zip(found, counts, strict=True)})
    new: Any
    if is_category:
        kept = list(dict.fromkeys(map(pairs.__getitem__, found)))
        places = np.array([*(kept.index(pairs[name]) for name in found), -1])
        dtype = pd.CategoricalDtype(kept, old.cat.ordered)
        new = pd.Categorical.from_codes(places[codes], dtype=dtype)
    elif old.dtype == object:
        new = np.array([*map(pairs.__getitem__, found), None], dtype=object)[codes]
        new[codes < 0] = old.to_numpy()[codes < 0]  # None, NaN or NA, as it was
        new = pd.Series(new, index=old.index, dtype=object)
    else:
        texts = pd.array([pairs[name] for name in found], dtype=cast("Any", old.dtype))
        new = texts.take(codes, allow_fill=True)
    return frame.assign(**{column: new})


def _schema(frame: pd.DataFrame, column: str) -> pa.Schema:
    try:
        return frames.to_arrow(frame[[column]]).schema
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FrameError(
            f"The column {column!r} holds values of several kinds.", "Bring it to text first."
        ) from error


def _of_polars(frame: Any, column: str, replace: Replace) -> Any:
    import polars as pl

    lazy = cast("pl.LazyFrame", frame).lazy()
    dtype = lazy.collect_schema()[column]
    schema = pl.DataFrame(schema={column: dtype}).to_arrow().schema
    _check(column, column_checks.of_arrow(schema)[column])
    target: Any = dtype
    if isinstance(dtype, pl.Enum):
        renamed_ = replace(dict.fromkeys(dtype.categories, 0))
        target = pl.Enum(list(dict.fromkeys(renamed_.values())))

    def renamed(series: pl.Series) -> pl.Series:
        text = series.cast(pl.String)
        found = text.drop_nulls().value_counts(name="tu__rows")
        pairs = replace(dict(found.iter_rows()))
        return text.replace(list(pairs), list(pairs.values())).cast(target)

    if isinstance(frame, pl.LazyFrame):
        return frame.with_columns(pl.col(column).map_batches(renamed, return_dtype=target))
    return frame.with_columns(renamed(frame[column]))


def _of_arrow(table: pa.Table, column: str, replace: Replace) -> pa.Table:
    from pyarrow import compute as pc

    place, field = table.column_names.index(column), table.schema.field(column)
    _check(column, column_checks.of_arrow(table.schema)[column])
    texts: Any = table[column].cast(pa.string()).combine_chunks()
    counts = {
        each["values"]: each["counts"] for each in texts.drop_null().value_counts().to_pylist()
    }
    pairs = replace(counts)
    places = pc.index_in(texts, value_set=pa.array(list(pairs), pa.string()))
    new: Any = pa.array(list(pairs.values()), pa.string()).take(places)
    new = new.dictionary_encode() if pa.types.is_dictionary(field.type) else new
    return table.set_column(place, field, new.cast(field.type))


def _of_relation(
    relation: duckdb.DuckDBPyRelation, column: str, steps: str
) -> duckdb.DuckDBPyRelation:
    _check(column, column_checks.of_duckdb(str(relation.types[relation.columns.index(column)])))
    name = f"cast({quote(column)} as varchar)"
    sql = f"""{_mapping(name, steps)}
select * replace (coalesce((select tu__models from mapping)[{name}], {name}) as {quote(column)})
from {FRAME}"""
    return frames.queried(relation, sql)


def _of_spark(frame: Any, column: str, steps: str) -> Any:
    types = sparks.types(frame)
    _check(column, column_checks.of_spark(types[column]))
    name = quote(column)
    shown = [
        f"coalesce((select tu__models from mapping)[{name}], {name}) as {name}"
        if other == column
        else quote(other)
        for other in types
    ]
    return sparks.over(frame, f"{_mapping(name, steps)}\nselect {clauses(shown)}\nfrom {FRAME}")


def _mapping(name: str, steps: str) -> str:
    """Return the steps to ``mapping``: one row for all names, since a join would lose the order."""
    return f"""with names as (
  select distinct {name} as name
  from {FRAME}
  where {name} is not null
),
{steps},
mapping as (
  select map(coalesce(list(name), []), coalesce(list(model), [])) as tu__models
  from renamed
  where model is not null
)"""
