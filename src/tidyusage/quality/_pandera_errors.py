"""pandera's error with a tidy frame of failures; importing this imports pandera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils import connections
from tidyusage._utils.sql import FRAME, quote
from tidyusage.engines import frames, pandas_dtypes
from tidyusage.engines import spark as sparks
from tidyusage.errors import UsageError
from tidyusage.prepare._rewrite import ROW
from tidyusage.quality import _pandera_import, pandera_schemas
from tidyusage.quality.rules_sql import CASE, CHECK, COLUMN, Judged

_pandera_import.load()
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors  # noqa: E402 - loaded quietly first

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_SHOWN: Final = 8
_COLUMNS: Final = ("id", COLUMN, CHECK, CASE)
_HINT: Final = (
    "failure_cases of this error is a frame with each of them; filter_usage(frame) parts the "
    "rows that fail from the others."
)
_DTYPES: Final = (
    "failure_cases of this error is a frame with each of them; restore(frame) brings columns to "
    "their dtypes."
)
_VERSIONS: Final = "  latest(frame) keeps the newest row of each id."
_CURRENCIES: Final = "  currencies=[…] names further currencies that may be charged."


class InvalidUsageError(UsageError, SchemaErrors):
    """A frame breaks rules; `failure_cases` has a row for each row and rule."""

    def __init__(self, frame: Any, judged: Judged, failing: Any, every: Any = None) -> None:
        """Tell what failed; where those may be but the first, ``every`` is a relation of all."""
        dtypes = [
            {COLUMN: judged.spelled(path), CHECK: "dtype", CASE: dtype}
            for path, dtype in judged.unfit.items()
        ]
        counts = _counted(failing) if every is None else _counted_in(every)
        total = sum(count for _, _, count, _ in counts)
        is_part = every is not None and total > failing.num_rows
        counts += [(of[COLUMN], of[CHECK], 1, of[CASE]) for of in dtypes]
        hint = _DTYPES if dtypes else _HINT
        if is_part:
            hint = hint.replace("each of them", f"the first {failing.num_rows:,} of them")
        if any(check == "currency_code" for _, check, _, _ in counts):
            hint += _CURRENCIES
        if any(column == "id" and check == "unique" for column, check, _, _ in counts):
            hint += _VERSIONS
        Exception.__init__(self, f"{_fact(counts)}\n\n{hint}")
        self.failure_cases = _frame(frame, judged, dtypes, failing)
        self.data = frame
        self.schema = _schema(frame, judged)
        self.schema_errors = [self._error(*of) for of in counts]
        self.error_counts = {"DATAFRAME_CHECK": len(counts) - len(dtypes)}
        if dtypes:
            self.error_counts["WRONG_DATATYPE"] = len(dtypes)
        self.message = {
            "DATA": {
                reason: [
                    {"schema": judged.columns.layout, "column": column, "check": check, "error": n}
                    for column, check, n, _ in counts
                    if (check == "dtype") == (reason == "WRONG_DATATYPE")
                ]
                for reason in self.error_counts
            }
        }

    def _error(self, column: str, check: str, count: int, case: str | None) -> SchemaError:
        """Return the error of one rule of one column, as pandera has it."""
        reason = "WRONG_DATATYPE" if check == "dtype" else "DATAFRAME_CHECK"
        return SchemaError(  # type: ignore[no-untyped-call]
            self.schema,
            self.data,
            _line(column, check, count, case),
            check=check,
            column_name=column,
            reason_code=SchemaErrorReason[reason],
        )


def _counted(failing: Any) -> list[tuple[str, str, int, str | None]]:
    """Return column, rule, how many rows break it, and the first value that does."""
    if frames.backend_of(failing) == "pyspark":
        found = frames.collected(sparks.over(failing, _counts(FRAME)))
    elif failing.num_rows:
        with connections.connect(few=frames.is_few(failing)) as connection:
            found = frames.ask(connection, failing, _counts)
    else:
        return []
    return [tuple(row.values()) for row in found.to_pylist()]


def _counted_in(failing: duckdb.DuckDBPyRelation) -> list[tuple[str, str, int, str | None]]:
    """Return the same of a relation, whose rows are not held."""
    return frames.queried(failing, _counts(FRAME)).fetchall()


def _counts(frame: str) -> str:
    return f"""select {quote(COLUMN)}, {quote(CHECK)}, count(*) as tu__count,
  arg_min({CASE}, {ROW}) as tu__case
from {frame}
group by {quote(COLUMN)}, {quote(CHECK)}
order by tu__count desc, min({ROW}), {quote(COLUMN)}, {quote(CHECK)}"""


def _fact(counts: list[tuple[str, str, int, str | None]]) -> str:
    values = sum(count for _, _, count, _ in counts)
    shown = [f"  {_line(*of)}" for of in counts[:_SHOWN]]
    more = [f"  and {len(counts) - _SHOWN} more rules"] if len(counts) > _SHOWN else []
    what = "value breaks" if values == 1 else "values break"
    return "\n".join([f"{values:,} {what} a rule:", *shown, *more])


def _line(column: str, check: str, count: int, case: str | None) -> str:
    if check == "dtype":
        return f"{column}: dtype {case}"
    return f"{column}: {check} ({count:,}×, such as {case!r})"


def _schema(frame: Any, judged: Judged) -> Any:
    """Return the schema that pandera would have checked with; it has none for other libraries."""
    backend = frames.backend_of(frame)
    if backend not in {"pandas", "polars"}:
        return None
    return pandera_schemas.build(judged.columns.layout, backend, judged.columns.sep, ())


def _frame(frame: Any, judged: Judged, dtypes: list[dict[str, str]], failing: Any) -> Any:
    """Return what failed as a frame of the same library; of a relation, as an Arrow table."""
    if frames.backend_of(frame) == "pyspark":
        return _of_spark(frame, dtypes, failing)
    text = pa.schema([(name, pa.string()) for name in _COLUMNS])
    rows = failing.select(list(_COLUMNS)).cast(text)
    told = pa.concat_tables([pa.Table.from_pylist(dtypes, schema=text), rows])
    nowhere = pa.nulls(len(dtypes), pa.int64())
    index = pa.chunked_array([nowhere, *failing[ROW].chunks], pa.int64())
    backend = frames.backend_of(frame)
    if backend == "pandas":
        return _of_pandas(frame, told, index, judged)
    told = told.append_column("index", index)
    return frames.deliver(told, "polars" if backend == "polars" else "pyarrow")


def _of_spark(frame: Any, dtypes: list[dict[str, str]], failing: Any) -> Any:
    """Return what failed as a Spark frame, which runs when it is asked for its rows."""
    rows = [tuple(of.get(name) for name in _COLUMNS) for of in dtypes]
    schema = ", ".join(f"`{name}` string" for name in _COLUMNS)
    told = frame.sparkSession.createDataFrame(rows, schema)
    if frames.backend_of(failing) != "pyspark":
        return told
    found = failing.selectExpr(*(f"`{name}`" for name in _COLUMNS))
    return told.unionAll(found) if rows else found


def _of_pandas(frame: pd.DataFrame, told: pa.Table, index: Any, judged: Judged) -> pd.DataFrame:
    import pandas as pd

    known = frame[list(judged.columns.known.values())]
    answer = pandas_dtypes.flavoured(told, known, ())
    labels = frame.index.take(index.drop_null().to_numpy())
    if isinstance(labels, pd.MultiIndex):
        labels = labels.to_flat_index()
    absent = index.null_count
    if absent:
        labels = pd.Index([None] * absent + list(labels), dtype=object)
    answer["index"] = labels
    return answer
