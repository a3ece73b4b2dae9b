"""Detect a frame's library, convert it to Arrow, run SQL over it, and convert results back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils import connections
from tidyusage._utils.sql import FRAME
from tidyusage.engines import spark as sparks
from tidyusage.errors import FrameError
from tidyusage.schema import rename

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl

    from tidyusage.typing import Backend, FrameT, Separator

Query = Callable[[str], str]
# The columns of an answer; None leaves a column of the caller's own as it is.
Types = Mapping[str, pa.DataType | None]

# What is raised over a column that Arrow has no type for.
UNTYPED: Final = (
    pa.ArrowException,
    TypeError,
    ValueError,
    OverflowError,  # whole numbers of Python beyond 64 bits
    NotImplementedError,
)


def backend_of(frame: object) -> Backend | None:
    """Return the library of a frame, or None for what is no frame."""
    module = type(frame).__module__.partition(".")[0]
    name = type(frame).__name__
    if module == "pandas" and name == "DataFrame":
        return "pandas"
    if module == "polars" and name in {"DataFrame", "LazyFrame"}:
        return "polars"
    if module == "pyarrow" and name in {"Table", "RecordBatch", "RecordBatchReader"}:
        return "pyarrow"
    if name == "DuckDBPyRelation":
        return "duckdb"
    if module == "pyspark" and name == "DataFrame":
        return "pyspark"
    return None


def is_lazy(frame: object) -> bool:
    """Tell whether a frame is a Polars frame that is not collected yet."""
    return type(frame).__name__ == "LazyFrame"


def to_arrow(frame: Any) -> pa.Table:
    """Return an eager frame as an Arrow table; nothing that can be shared is copied."""
    backend = backend_of(frame)
    if backend == "pandas":
        with warnings.catch_warnings():
            # pyarrow 26 asks pandas 3 for a zone in a way that is deprecated; try without at 27.
            warnings.simplefilter("ignore", DeprecationWarning)
            return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    if backend == "polars":
        return _arrow_of_polars(cast("pl.DataFrame", frame))
    if backend == "pyarrow":
        return frame if isinstance(frame, pa.Table) else pa.table(frame)
    raise FrameError(
        f"{type(frame).__name__} is no frame that tidyusage knows.",
        "Give a pandas or Polars frame, an Arrow table or a DuckDB relation.",
    )


def _arrow_of_polars(frame: pl.DataFrame) -> pa.Table:
    """Return a frame as Arrow, which has no type for Polars' 128-bit integers.

    Of Python objects Polars would hand over the addresses.
    """
    if objects := [name for name, dtype in frame.schema.items() if dtype.is_object()]:
        raise FrameError(
            f"The column {objects[0]!r} holds Python's objects, which no engine reads.",
            "Bring it to text first, or drop it.",
        )
    import polars as pl

    if cut := [name for name in frame.columns if "\0" in name]:  # Polars would panic
        raise FrameError(f"A column is named {cut[0]!r}, which Arrow cannot hold.", "Rename it.")
    wide = [name for name, dtype in frame.schema.items() if dtype in {pl.Int128, pl.UInt128}]
    if wide:
        try:
            frame = frame.with_columns(pl.col(wide).cast(pl.Decimal(38, 0)))
        except pl.exceptions.InvalidOperationError as error:
            raise FrameError(
                f"One of the columns {wide} holds integers of more than 38 digits.",
                "Convert them to text first.",
            ) from error
    return frame.to_arrow()


def readable(table: pa.Table) -> pa.Table:
    """Return a table in types that DuckDB reads: it has neither halves nor 256-bit decimals."""
    for place, field in enumerate(table.schema):
        column_: Any = table[place]
        if pa.types.is_float16(field.type):
            column_ = column_.cast(pa.float32())
        elif pa.types.is_decimal256(field.type):
            try:
                column_ = column_.cast(pa.decimal128(38, field.type.scale))
            except pa.ArrowInvalid as error:
                raise FrameError(
                    f"The column {field.name!r} holds decimals of more than 38 digits.",
                    "Convert it to float64 or to text first.",
                ) from error
        else:
            continue
        table = table.set_column(place, field.name, column_)
    return table


def column(frame: Any, name: str) -> Any:
    """Return a column of an eager frame, or None if Arrow has no type for it."""
    try:
        one = frame[[name]] if backend_of(frame) == "pandas" else frame.select([name])
        return to_arrow(one)[name]
    except UNTYPED:
        return None


def untyped(frame: Any) -> str | None:
    """Return the first column of an eager frame that Arrow has no type for, if there is one."""
    return next((name for name in columns(frame) if column(frame, name) is None), None)


def collected(frame: Any) -> pa.Table:
    """Return any frame as an Arrow table: a lazy one and a relation are asked for their rows."""
    if is_lazy(frame):
        frame = cast("pl.LazyFrame", frame).collect()
    if backend_of(frame) == "pyspark":
        return cast("pa.Table", frame.toArrow())
    return frame.to_arrow_table() if backend_of(frame) == "duckdb" else to_arrow(frame)


def columns(frame: Any) -> list[str]:
    """Return the names of a frame's columns."""
    if is_lazy(frame):
        return cast("pl.LazyFrame", frame).collect_schema().names()
    if backend_of(frame) == "pyarrow":
        return list(frame.schema.names)
    if not hasattr(frame, "columns"):
        raise FrameError(
            f"{type(frame).__name__} is no frame that tidyusage knows.",
            "Make one of records with flatten_usage() or read_usage().",
        )
    return list(frame.columns)


def text_columns(frame: Any) -> list[str]:
    """Return the columns of a relation that are text; an eager frame's are parsed beforehand."""
    if backend_of(frame) == "pyspark":
        return [name for name, type_ in sparks.types(frame).items() if type_ == "string"]
    if backend_of(frame) != "duckdb":
        return []
    return [n for n, t in zip(frame.columns, frame.types, strict=True) if str(t) == "VARCHAR"]


def height(frame: Any) -> int:
    """Return how many rows an eager frame has; a relation or reader without columns has none."""
    return len(frame) if hasattr(frame, "__len__") and backend_of(frame) != "duckdb" else 0


def run(frame: FrameT, query: Query, types: Types, sep: Separator) -> FrameT:
    """Run a query over a frame and return its answer in the frame's kind.

    A lazy frame stays lazy, and so does a relation.
    """
    if backend_of(frame) == "duckdb":
        relation = cast("duckdb.DuckDBPyRelation", frame)
        return cast("FrameT", spelled(queried(relation, query(FRAME)), types, sep))
    if backend_of(frame) == "pyspark":
        return cast("FrameT", _of_spark(frame, query(FRAME), types, sep))
    if is_lazy(frame):
        return cast(
            "FrameT",
            map_lazily(frame, lambda eager: run(eager, query, types, sep), types, sep),
        )
    backend = cast("Backend", backend_of(frame))
    table = to_arrow(frame)
    with connections.connect(few=is_few(table), form=backend) as connection:
        prepare(connection, backend)
        answer = ask(connection, table, query)
    known = {name: type_ or table.schema.field(name).type for name, type_ in types.items()}
    return cast("FrameT", deliver(finish(answer, known, sep), backend))


def _of_spark(frame: Any, sql: str, types: Types, sep: str) -> Any:
    own = sparks.types(frame)
    chosen = {rename(name, sep): (name, type_ or own[name]) for name, type_ in types.items()}
    return sparks.typed(sparks.over(frame, sql), chosen)


def refusals() -> tuple[type[Exception], ...]:
    """Return the errors by which an engine refuses what a frame holds."""
    import duckdb

    return (
        duckdb.ConversionException,
        duckdb.BinderException,
        duckdb.InvalidInputException,
        duckdb.NotImplementedException,
        pa.ArrowInvalid,
        pa.ArrowNotImplementedError,
    )


def message(error: Exception) -> str:
    """Return what an engine says, without its own name for it."""
    line = str(error).partition("\n")[0]
    return line.partition("tidyusage: ")[2] or line.partition("Error: ")[2] or line


def map_lazily(frame: Any, function: Callable[[Any], Any], types: Types, sep: str) -> pl.LazyFrame:
    """Put a function into a lazy frame's plan: it runs when the frame is collected."""
    import polars as pl

    lazy = cast("pl.LazyFrame", frame)
    empty = cast("pl.DataFrame", pl.from_arrow(finish(pa.table({}), _ours(types), sep)))
    own = {name: lazy.collect_schema()[name] for name, type_ in types.items() if type_ is None}
    spelled = {rename(name, sep): name for name in types}
    schema = {out: own[name] if name in own else empty.schema[out] for out, name in spelled.items()}
    return lazy.map_batches(function, schema=schema)


def _ours(types: Types) -> Types:
    return {name: type_ for name, type_ in types.items() if type_ is not None}


def prepare(connection: duckdb.DuckDBPyConnection, backend: Backend) -> None:
    """Have a connection give text in the form that a library takes over without a copy."""
    if backend == "pandas":
        connection.execute("set arrow_large_buffer_size = true")
    elif backend == "polars":
        connection.execute("set arrow_output_version = '1.4'")


def is_few(table: pa.Table) -> bool:
    """Tell whether a query takes longer to be planned than to be run over a table."""
    return table.num_rows <= connections.FEW


def ask(connection: duckdb.DuckDBPyConnection, table: pa.Table, query: Query) -> pa.Table:
    """Run a query over an Arrow table."""
    connection.register(FRAME, readable(table))
    try:
        return rows(connection, query(FRAME), few=is_few(table))
    finally:
        connection.unregister(FRAME)


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *, few: bool) -> pa.Table:
    """Run a query on a connection of our own.

    A relation is planned twice: when it is described and when it runs. A statement is planned
    once, but its rows are copied once more. Planning is most of the time that few rows take, so
    for them a statement takes half as long. In DuckDB 2.0 preparing it first does not help:
    `execute` plans again.
    """
    if not few:
        return cast("pa.Table", connection.sql(sql).to_arrow_table())
    connection.execute(sql)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
        return cast("pa.Table", connection.to_arrow_table())


def queried(relation: duckdb.DuckDBPyRelation, sql: str) -> duckdb.DuckDBPyRelation:
    """Return a query over a relation, which its text calls `FRAME`, as a lazy relation."""
    return cast("duckdb.DuckDBPyRelation", relation.query(FRAME, sql))


def spelled(relation: duckdb.DuckDBPyRelation, types: Types, sep: str) -> duckdb.DuckDBPyRelation:
    """Return a relation's columns in the order of their types, and under their spelling."""
    from tidyusage._utils.sql import quote

    chosen = (f"{quote(name)} as {quote(rename(name, sep))}" for name in types)
    return relation.project(", ".join(chosen))


def finish(table: pa.Table, types: Types, sep: str) -> pa.Table:
    """Cast an answer to exactly its types, fill absent columns with null, and spell the names.

    Text stays large where it is: pandas takes it so.
    """
    filled: dict[str, Any] = {}
    for name, type_ in types.items():
        column: Any
        if name not in table.column_names:
            column = pa.nulls(table.num_rows, cast("Any", type_))
        else:
            column = table[name]
            is_large = type_ == pa.string() and pa.types.is_large_string(column.type)
            if type_ is not None and not is_large:
                column = column.cast(type_)
        filled[rename(name, sep)] = column
    return pa.table(filled)


def deliver(table: pa.Table, backend: Backend) -> Any:
    """Hand an Arrow table over as a frame of a library."""
    if backend == "polars":
        import polars as pl

        return pl.from_arrow(table, rechunk=False)
    return to_pandas(table) if backend == "pandas" else table


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a pandas frame: NumPy, ``str`` and nullable booleans; Arrow for nested columns."""
    import numpy as np
    import pandas as pd

    text = pd.StringDtype(na_value=np.nan)

    def mapped(type_: pa.DataType) -> Any:
        if pa.types.is_string(type_) or pa.types.is_large_string(type_):
            return text
        if pa.types.is_boolean(type_):
            return pd.BooleanDtype()
        return pd.ArrowDtype(type_) if pa.types.is_nested(type_) else None

    # Arrow's own pool takes a huge page for each column, and the system clears every one.
    pool = pa.system_memory_pool()
    return table.to_pandas(types_mapper=mapped, memory_pool=pool)
