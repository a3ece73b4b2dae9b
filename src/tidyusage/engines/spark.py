"""Run DuckDB SQL over a Spark frame.

sqlglot writes the query in Spark's words.  Nothing runs before the frame is asked for its rows, and
what then runs are Spark's own expressions.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils.sql import FRAME, clauses, quote
from tidyusage.engines import column_checks
from tidyusage.engines.dialects import translate
from tidyusage.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping


_GIVEN: Final = "tu__spark"
_INSTANT: Final = "timestamp"
_TYPES: Final[dict[pa.DataType, str]] = {
    pa.string(): "string",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}


def types(frame: Any) -> dict[str, str]:
    """Return a frame's columns with their types as Spark writes them."""
    return dict(frame.dtypes)


def queried(
    frame: Any,
    sql: str,
    needs: Iterable[str],
    as_they_are: Container[str] = (),
    *,
    in_order: bool = True,
) -> Any:
    """Return a query over the columns that it needs of a frame, plain, as a lazy frame.

    Rows of a frame have no order on Spark: what is as many as they are need not be ``in_order``,
    for which Spark would send them all from machine to machine.
    """
    of = types(frame)
    plain = [
        quote(name) if name in as_they_are else f"{_plain(name, of[name])} as {quote(name)}"
        for name in needs
    ]
    step = f"{FRAME} as (\n  select\n    {clauses(plain)}\n  from {_GIVEN}\n)"
    text = f"with {step},\n{sql.removeprefix('with ')}"
    return _answer(frame, text, _GIVEN, in_order=in_order)


def over(frame: Any, sql: str) -> Any:
    """Return a query over a frame as it is, as a lazy frame."""
    return _answer(frame, sql, FRAME)


def kept(
    frame: Any,
    sql: Callable[[list[str]], str],
    needs: Iterable[str],
    wanted: Mapping[str, str],
    added: Mapping[str, str] | None = None,
) -> Any:
    """Return what a query keeps of a frame's rows, as they are, and columns that it adds.

    ``sql`` makes it of the names under which the frame's own columns go through; the columns that
    it ``needs`` stand beside them, plain, and must hold what is ``wanted``.
    """
    of = types(frame)
    column_checks.check(wanted, {name: column_checks.of_spark(type_) for name, type_ in of.items()})
    own = {f"tu__own_{place}": name for place, name in enumerate(frame.columns)}
    rows = frame.selectExpr("*", *(f"{quoted(name)} as {key}" for key, name in own.items()))
    found = queried(rows, sql(list(own)), (*needs, *own), as_they_are=own, in_order=False)
    named = {**own, **(added or {})}
    return found.selectExpr(*(f"{key} as {quoted(name)}" for key, name in named.items()))


def _answer(frame: Any, sql: str, name: str, *, in_order: bool = True) -> Any:
    def plan(part: Any, parts: Mapping[str, Any]) -> Any:
        frames = {name: frame, **parts}
        tokens = {key: f"tu_{uuid.uuid4().hex}" for key in frames}
        text = translate.spoken(_renamed(part, tokens), "spark")
        # Spark puts a frame where a name stands in braces; the braces of the text are doubled.
        text = text.replace("{", "{{").replace("}", "}}")
        named = {tokens[key]: each for key, each in frames.items() if tokens[key] in text}
        for token in named:
            text = text.replace(token, f"{{{token}}}")
        return frame.sparkSession.sql(text, **named)

    query = translate.parsed(sql, "spark")
    if not in_order:
        query.set("order", None)
    return run_in_steps(query, plan)


def _renamed(query: Any, tokens: Mapping[str, str]) -> Any:
    """Return a query that names frames as no text in it does."""
    from sqlglot import exp

    query = query.copy()
    for table in list(query.find_all(exp.Table)):
        if (key := table.name) in tokens:
            table.set("this", exp.to_identifier(tokens[key]))
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(key)))
    return query


def _plain(name: str, type_: str) -> str:
    column = quote(name)
    if type_ == _INSTANT:
        return f"timezone('UTC', {column})"
    if type_ == "date":
        return f"cast({column} as timestamp)"
    if type_ in {"double", "float"}:
        return f"nullif({column}, cast('nan' as double))"
    return column


def typed(found: Any, chosen: Mapping[str, tuple[str, pa.DataType | str]]) -> Any:
    """Return an answer's columns under their names, each of one of its own and in a type."""
    there = types(found)
    return found.selectExpr(
        *(
            f"{_typed(own, type_, is_instant=there[own] == _INSTANT)} as {quoted(name)}"
            for name, (own, type_) in chosen.items()
        )
    )


def guarded(found: Any, guard: str, before: str, after: str) -> Any:
    """Return an answer that raises where a guard says of what nothing can be said."""
    said = f"raise_error(concat({text(before)}, {quoted(guard)}, {text(after)}))"
    return found.where(f"if({quoted(guard)} is null, true, {said})")


def finite(found: Any, figures: Mapping[str, str], before: str, after: str) -> Any:
    """Return an answer that raises where a figure, named by its column, is infinite or NaN."""
    cases = " ".join(
        f"when isnan({quoted(key)}) or abs({quoted(key)}) = double('infinity') "
        f"then raise_error({text(f'{before}{name}{after}')})"
        for name, key in figures.items()
    )
    return found.where(f"case {cases} else true end")


def _typed(own: str, type_: pa.DataType | str, *, is_instant: bool = False) -> str:
    column = quoted(own)
    is_time = type_ == _INSTANT or (isinstance(type_, pa.DataType) and pa.types.is_timestamp(type_))
    if is_time and not is_instant:
        parts = ", ".join(f"{part}({column})" for part in ("year", "month", "day", "hour"))
        return f"make_timestamp({parts}, minute({column}), extract(second from {column}), 'UTC')"
    written = type_ if isinstance(type_, str) else spark_type(type_)
    return f"cast({column} as {written})"


def spark_type(type_: pa.DataType) -> str:
    """Write an Arrow type as Spark's."""
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(f'{quoted(m.name)}: {spark_type(m.type)}' for m in type_)}>"
    if pa.types.is_list(type_):
        return f"array<{spark_type(type_.value_type)}>"
    return _INSTANT if pa.types.is_timestamp(type_) else _TYPES[type_]


def schema(frame: Any) -> pa.Schema:
    """Return a frame's columns with their types as Arrow has them."""
    return pa.schema([(field.name, arrow_type(field.dataType)) for field in frame.schema.fields])


_ARROW: Final[dict[str, pa.DataType]] = {
    "void": pa.null(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}


def arrow_type(type_: Any) -> pa.DataType:
    """Return the Arrow type of what Spark has; of what no rule and no question reads, bytes'."""
    name = type_.typeName()
    if name == "array":
        return pa.list_(arrow_type(type_.elementType))
    if name == "struct":
        return pa.struct([(each.name, arrow_type(each.dataType)) for each in type_.fields])
    if name == "map":
        return pa.map_(arrow_type(type_.keyType), arrow_type(type_.valueType))
    if name == "decimal":
        return pa.decimal128(type_.precision, type_.scale)
    return _ARROW.get(name, pa.binary())


def of_arrow(frame: Any, table: pa.Table) -> Any:
    """Return a small table as a frame of the session of another."""
    columns = ", ".join(f"{quoted(field.name)} {spark_type(field.type)}" for field in table.schema)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return frame.sparkSession.createDataFrame(rows, columns)


def quoted(name: str) -> str:
    """Quote a name for Spark."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """Write a text so that nothing in it is taken for Spark's."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


# So many steps are planned in some seconds; no metric has as many.
MOST: Final = 500
# A step that is shared is computed for itself from so many on.
_ENOUGH: Final = 10
_PART: Final = "tu__part_"


def run_in_steps(tree: Any, plan: Callable[[Any, Mapping[str, Any]], Any]) -> Any:
    """Run a query of many named steps; ``plan`` turns a query and named frames into a frame.

    Spark plans a step again wherever another one refers to it.  Steps that refer to others several
    times multiply, and a plan of ten thousand steps fills the driver's memory.  So a query of more
    than `MOST` runs in parts: shared steps are computed once, when the query is made, and the
    executors keep them as long as the answer.
    """
    from sqlglot import exp

    steps = {step.alias: step for step in tree.ctes}
    body = tree.copy()
    body.set("with_", None)
    named = {name: _tables(step, steps) for name, step in steps.items()}
    named[""] = _tables(body, steps)
    weights: dict[str, int] = {}
    _weigh(named, weights)
    if weights[""] <= MOST:
        return plan(tree, {})
    parts: dict[str, Any] = {}
    for name, step in steps.items():
        uses = sum(tables.count(name) for tables in named.values())
        if uses > 1 and (weights[name] >= _ENOUGH or _is_numbered(step)):
            asked = _with(exp.select("*").from_(name), steps, named)
            parts[_PART + name] = plan(asked, parts).localCheckpoint()
            step.set("this", exp.select("*").from_(_PART + name))
            named[name] = []
            _weigh(named, weights)
    # Spark Connect drops the parts with their frames, so the answer is computed now, too.
    return plan(_with(body, steps, named), parts).localCheckpoint()


def _tables(node: Any, steps: Mapping[str, Any]) -> list[str]:
    """Return the steps that a step or query names, each as often as it does."""
    from sqlglot import exp

    return [table.name for table in node.find_all(exp.Table) if table.name in steps]


def _weigh(named: Mapping[str, list[str]], weights: dict[str, int]) -> None:
    """Find as how many each step is planned; one names only those before it."""
    for name, tables in named.items():
        weights[name] = 1 + sum(weights[table] for table in tables)


def _is_numbered(step: Any) -> bool:
    """Tell whether a step numbers rows in the order in which they come, which may be another."""
    from sqlglot import exp

    windows = step.find_all(exp.Window)
    return any(
        isinstance(window.this, exp.RowNumber) and not window.args.get("order")
        for window in windows
    )


def _with(query: Any, steps: dict[str, Any], named: Mapping[str, list[str]]) -> Any:
    """Return a query with the steps before it that it needs, and no others."""
    from sqlglot import exp

    needed = set(_tables(query, steps))
    for name in reversed(steps):
        needed |= set(named[name]) if name in needed else set()
    query = query.copy()
    query.set("with_", exp.With(expressions=[steps[n].copy() for n in steps if n in needed]))
    return query


def active_session(given: Any) -> Any:
    """Return the session that is given, else the active one, be it here or of Spark Connect."""
    if given is not None:
        if type(given).__name__ != "SparkSession":
            raise OptionError(
                f"session= is a {type(given).__name__}, and no Spark session.",
                "Give one, as of SparkSession.builder.getOrCreate().",
            )
        return given
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtraError(
            "backend='pyspark' needs pyspark, which is not installed.",
            "Install tidyusage[spark]; Spark itself needs Java 17 or newer.",
        ) from error
    found = SparkSession.getActiveSession() or _connected()
    if found is None:
        raise OptionError(
            "There is no active Spark session.",
            "Make one by SparkSession.builder.getOrCreate(), or give session=.",
        )
    return found


def _connected() -> Any:
    """Return the active session of Spark Connect; where none was made, its module is not loaded."""
    module = sys.modules.get("pyspark.sql.connect.session")
    return module.SparkSession.getActiveSession() if module else None
