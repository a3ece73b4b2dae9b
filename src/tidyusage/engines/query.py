"""Run a metric's query where the frame lives, and return the result as the frame's library.

Only the columns that are needed cross a border.  What SQL sees is the same everywhere: missing is
null, not NaN; instants are UTC without a zone, so that no session's zone matters; categories are
text.  The dimensions come back with the dtypes that they have in the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils import connections
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import column_checks, frames, pandas_dtypes, relations
from tidyusage.engines import spark as sparks
from tidyusage.engines.dialects.translate import Table, written
from tidyusage.errors import CrossingWarning, RecordError, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    import duckdb
    import pandas as pd
    import polars as pl

    from tidyusage.typing import FrameT

GUARD: Final = "tu__guard"
NOTICE: Final = "tu__notice"
_UTC: Final = pa.timestamp("us", tz="UTC")
_NAIVE: Final = pa.timestamp("us")
_NOT_FINITE: Final = (
    "The answer's column '{}' is not finite: values are too large to be added, or one of them is "
    "infinite.\n\nLook for implausible values first, for example with findings()."
)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as SQL.

    ``types`` are the answer's columns, None for a dimension, those that are whole numbers or null
    named in ``nullable``; ``needs`` the frame's columns it reads.  ``portable`` is the SQL for
    Polars, over a frame that ``bring`` has added derived columns to; what has none runs in DuckDB.
    With a ``guard``, the first row of a last column `GUARD` says of what nothing can be said, if
    anything, and the guard is the sentence around it.  ``kinds`` are what the frame's columns must
    hold: number, text, boolean or time.  ``keys`` are the dimensions' names within the query.
    A ``notice`` is the sentence around what the first row of a column `NOTICE` says: a warning.
    ``of_rows`` is said where the answer is the frame's own rows, rewritten, and in its order.
    """

    def key(self, name: str) -> str:
        """Return what the SQL calls a column of the answer."""
        return self.keys.get(name, name)

    sql: str
    needs: tuple[str, ...]
    types: Mapping[str, pa.DataType | None]
    dimensions: Mapping[str, str | None]
    portable: str = ""
    bring: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None
    nullable: tuple[str, ...] = ()
    guard: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    look: Callable[..., Any] | None = None
    of_rows: bool = False
    notice: str = ""


def run_query(frame: FrameT, query: Query) -> FrameT:
    """Return a query's answer as a frame of the same library; a lazy one stays lazy."""
    if query.look:
        frame = query.look(frame, needs=query.needs)
    if isinstance(frame, Table):
        return cast("FrameT", written(frame, query.sql, query.needs, query.keys))
    backend = frames.backend_of(frame)
    if backend == "duckdb":
        return cast("FrameT", _of_relation(cast("duckdb.DuckDBPyRelation", frame), query))
    if backend == "polars":
        return cast("FrameT", _of_polars(frame, query))
    if backend == "pyspark":
        return cast("FrameT", _of_spark(frame, query))
    if backend == "pandas":
        return cast("FrameT", _of_pandas(cast("pd.DataFrame", frame), query))
    table = frames.to_arrow(frame).select(list(query.needs))
    _check(query, table.schema)
    return cast("FrameT", _typed(_in_duckdb(table, query), query, table.schema))


def _in_duckdb(table: pa.Table, query: Query, without_nan: Container[str] = ()) -> pa.Table:
    plain = _plain_arrow(table, without_nan, query.kinds)
    with connections.connect(few=frames.is_few(plain)) as connection:
        found = frames.ask(connection, plain, lambda _: query.sql)
    if found.num_rows:
        _speak(query, lambda name: found[name][0].as_py())
    _require_finite(found, query)
    return found


def _check(query: Query, schema: pa.Schema) -> None:
    """Raise if a frame's columns cannot be what they are asked for as."""
    column_checks.check(query.kinds, column_checks.of_arrow(schema))
    column_checks.check_dimensions(schema, filter(None, query.dimensions.values()))


def _of_columns(frame: Any) -> pa.Table:
    """Return columns as an Arrow table; raise for one that Arrow has no type for."""
    try:
        return frames.to_arrow(frame)
    except frames.UNTYPED as error:
        if (name := frames.untyped(frame)) is None:
            raise
        raise column_checks.unfit(name, str(frame[name].dtype)) from error


def _speak(query: Query, first: Callable[[str], str | None]) -> None:
    """Raise or warn if the first row of an answer says that there is a reason to."""
    if query.guard and (found := first(GUARD)) is not None:
        raise RecordError(query.guard.replace("{}", found, 1))
    if query.notice and (found := first(NOTICE)) is not None:
        warn(query.notice.replace("{}", found, 1), CrossingWarning)


def _figures(query: Query) -> dict[str, str]:
    """Return the computed numbers of an answer, with their names within the query.

    Where the answer is the frame's own rows, nothing is summed.
    """
    if query.of_rows:
        return {}
    return {
        name: query.key(name)
        for name, type_ in query.types.items()
        if type_ is not None and pa.types.is_floating(type_)
    }


def _require_finite(found: pa.Table, query: Query) -> None:
    """Raise if a figure is infinite or NaN: values are too large to add, or one is infinite."""
    from pyarrow import compute as pc

    for name, key in _figures(query).items():
        column = found[key]
        if pa.types.is_floating(column.type) and pc.all(pc.is_finite(column)).as_py() is False:
            raise RecordError(_NOT_FINITE.format(name))


def _plain_arrow(
    table: pa.Table, without_nan: Container[str], kinds_: Mapping[str, str]
) -> pa.Table:
    """Return a table as SQL is to see it.

    A column of times without any value has no type of its own, by which DuckDB could choose among
    the functions of dates.
    """
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = _plain_column(table[name], may_be_nan=name not in without_nan)
        is_bare = pa.types.is_null(column.type) and kinds_.get(name) == "time"
        columns[name] = column.cast(_NAIVE) if is_bare else column
    return pa.table(columns)


def _plain_column(column: Any, *, may_be_nan: bool) -> Any:
    """Return a column as SQL is to see it."""
    from pyarrow import compute as pc

    type_ = column.type
    if pa.types.is_dictionary(type_):
        return column.cast(type_.value_type)
    if pa.types.is_timestamp(type_):
        return column.cast(_UTC if type_.tz else _NAIVE).cast(_NAIVE)
    if pa.types.is_date(type_):
        return column.cast(_NAIVE)
    if may_be_nan and pa.types.is_floating(type_) and pc.any(pc.is_nan(column)).as_py():
        return pc.if_else(pc.is_nan(column), pa.scalar(None, type_), column)
    return column


def _typed(table: pa.Table, query: Query, schema: pa.Schema | None = None) -> pa.Table:
    """Return an answer with its types; dimensions take those of the frame's schema, if given."""
    columns: dict[str, Any] = {}
    for name, type_ in query.types.items():
        own = query.dimensions.get(name)
        target = type_
        if target is None and schema is not None:
            target = schema.field(own).type if own else pa.string()
        found = table[query.key(name)]
        columns[name] = found if target is None else _cast(found, target)
    return pa.table(columns)


def _cast(column: Any, target: pa.DataType) -> Any:
    if pa.types.is_dictionary(target):
        return column.cast(target.value_type).dictionary_encode().cast(target)
    if pa.types.is_timestamp(target) and target.tz and column.type.tz is None:
        return column.cast(_NAIVE).cast(_UTC).cast(target)
    return column.cast(target)


def _of_pandas(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    # Taking columns out of a frame copies them; handing them over does not.
    needed = pd.DataFrame({name: frame[name] for name in query.needs}, copy=False)
    table = _of_columns(needed)
    without_nan = {n for n, dtype in needed.dtypes.items() if isinstance(dtype, np.dtype)}
    _check(query, table.schema)
    found = _typed(_in_duckdb(table, query, cast("set[str]", without_nan)), query)
    answer_ = pandas_dtypes.flavoured(found, needed, query.nullable)
    for name, own in query.dimensions.items():
        if own is None:
            continue
        dtype = needed.dtypes[own]
        if dtype.kind == "O" or answer_[name].dtype != dtype:
            type_ = table.schema.field(own).type
            answer_[name] = pandas_dtypes.as_dtype(found[name], type_, dtype)
    return answer_


def _of_polars(frame: Any, query: Query) -> Any:
    import polars as pl

    lazy = cast("pl.LazyFrame", frame).lazy().select(query.needs)
    schema = lazy.collect_schema()
    _check(query, _of_columns(pl.DataFrame(schema=schema)).schema)
    plain = lazy.with_columns(
        expression
        for name, dtype in schema.items()
        if (expression := _plain_polars(name, dtype, query.kinds.get(name))) is not None
    )
    if query.portable:
        ready = query.bring(plain) if query.bring else plain
        found = pl.SQLContext({FRAME: ready}).execute(query.portable)
        found = found.rename({key: name for name, key in query.keys.items()})
    else:
        types = _lazy_schema(query, plain.collect_schema())

        def ask(eager: pl.DataFrame) -> pl.DataFrame:
            found = _typed(_in_duckdb(eager.to_arrow(), query), query)
            return cast("pl.DataFrame", pl.from_arrow(found)).cast(cast("Any", types))

        found = plain.map_batches(ask, schema=types)
    if query.portable and (query.guard or query.notice or _figures(query)):
        found = found.map_batches(lambda eager: _checked(eager, query))
    typed = found.select(_typed_polars(name, query, schema) for name in query.types)
    return typed if isinstance(frame, pl.LazyFrame) else typed.collect()


def _checked(eager: pl.DataFrame, query: Query) -> pl.DataFrame:
    if eager.height:
        _speak(query, lambda name: cast("str | None", eager[name][0]))
    for name in _figures(query):
        if eager[name].dtype.is_float() and not eager[name].is_finite().all():
            raise RecordError(_NOT_FINITE.format(name))
    return eager


def _plain_polars(name: str, dtype: Any, kind: str | None) -> pl.Expr | None:
    """Return a column as SQL is to see it, or None if it is so already."""
    import polars as pl

    if dtype == pl.Null and kind == "time":
        return pl.col(name).cast(pl.Datetime("us"))

    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.cast_time_unit("us")
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Datetime("us"))
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    return column.fill_nan(None) if dtype.is_float() else None


def _typed_polars(name: str, query: Query, schema: Any) -> pl.Expr:
    import polars as pl

    type_, column = query.types[name], pl.col(name)
    if type_ is not None:
        return column.cast(_polars_type(type_))
    own = query.dimensions[name]
    target = schema[own] if own else pl.String()
    if isinstance(target, pl.Datetime) and target.time_zone:
        utc = column.dt.replace_time_zone("UTC")
        return utc.dt.convert_time_zone(target.time_zone).cast(target)
    return column.cast(target)


def _polars_type(type_: pa.DataType) -> Any:
    import polars as pl

    return cast("pl.DataFrame", pl.from_arrow(pa.schema([("x", type_)]).empty_table())).schema["x"]


def _lazy_schema(query: Query, plain: Any) -> dict[str, Any]:
    import polars as pl

    return {
        name: _polars_type(type_)
        if type_ is not None
        else plain[own]
        if (own := query.dimensions[name])
        else pl.String()
        for name, type_ in query.types.items()
    }


def _of_spark(frame: Any, query: Query) -> Any:
    types = sparks.types(frame)
    column_checks.check(
        query.kinds, {name: column_checks.of_spark(type_) for name, type_ in types.items()}
    )
    found = sparks.queried(frame, query.sql, query.needs, in_order=not query.of_rows)
    if query.guard:
        found = sparks.guarded(found, GUARD, *query.guard.split("{}", 1))
    if figures := _figures(query):
        found = sparks.finite(found, figures, *_NOT_FINITE.split("{}"))
    own = {name: types[of] if of else "string" for name, of in query.dimensions.items()}
    return sparks.typed(
        found, {name: (query.key(name), type_ or own[name]) for name, type_ in query.types.items()}
    )


def _of_relation(relation: duckdb.DuckDBPyRelation, query: Query) -> duckdb.DuckDBPyRelation:
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    column_checks.check(
        query.kinds, {name: column_checks.of_duckdb(type_) for name, type_ in types.items()}
    )
    plain = relation.project(
        ", ".join(f"{relations.plain(name, types[name])} as {quote(name)}" for name in query.needs)
    )
    found = frames.queried(plain, query.sql)
    if query.guard:
        before, after = map(literal, query.guard.split("{}", 1))
        said = f"error({before} || {GUARD} || {after})"
        found = found.filter(f"case when {GUARD} is not null then {said} else true end")
    if figures := _figures(query):
        cases = " ".join(
            f"when not isfinite(cast({quote(key)} as double))"
            f" then error({literal(_NOT_FINITE.format(name))})"
            for name, key in figures.items()
        )
        found = found.filter(f"case {cases} else true end")
    return found.project(
        ", ".join(f"{_typed_sql(name, query, types)} as {quote(name)}" for name in query.types)
    )


def _typed_sql(name: str, query: Query, types: dict[str, str]) -> str:
    type_, column = query.types[name], quote(query.key(name))
    if type_ is not None:
        return relations.typed(column, type_)
    own = query.dimensions[name]
    return relations.of_own_type(column, types[own] if own else "VARCHAR")
