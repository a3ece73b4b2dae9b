"""`flatten_usage`: from records in memory to a frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from tidyusage.engines import frames
from tidyusage.errors import known_options
from tidyusage.io import lazy, spool
from tidyusage.io.assemble import assemble
from tidyusage.io.options import Options
from tidyusage.io.spark import read as sparks

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

    from tidyusage.typing import (
        Backend,
        Duplicates,
        Layout,
        Path,
        Records,
        RemoteData,
        Separator,
        Unknown,
    )


@known_options
def flatten_usage(
    records: Records,
    *,
    layout: Layout = "wide",
    backend: Backend | None = None,
    sep: Separator = ".",
    rejects: Path | None = None,
    unknown: Unknown = "warn",
    duplicates: Duplicates = "latest",
    remote_data: RemoteData = "drop",
    currency: str | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
    session: SparkSession | None = None,
    memory_limit: str | None = None,
    temp_directory: Path | None = None,
    progress: bool | None = None,
) -> Any:
    """Turn Usage records that are in memory into a tidy frame.

    Parameters
    ----------
    records
        Dicts, or objects that stand for them (pydantic, dataclasses, attrs, msgspec), as a list
        or any iterable; one record; an API page or several; JSON text or bytes; or a pandas,
        Polars, PyArrow frame or DuckDB relation whose columns are nested.
    layout
        "wide" (a row a record), "long" (a row a record and measure), or a child table:
        "charges", "resources", "tool_actions" (a row an entry).
    backend
        Which library's frame to return: "pandas", "polars", "pyarrow"; "duckdb" for a lazy
        relation, "pyspark" for a frame of Spark, of which nothing is read before it is asked
        for.  None is the library of a frame given, else pandas.  A lazy frame gives a lazy frame.
    sep
        What joins a path into a column's name: "." or "_", which it always is on Spark.
    rejects
        None: records that cannot be read raise.  A path: they are written there as NDJSON
        (`source, line, id, path, expected, found, raw`), the rest is read, and one warning says
        how many; a file of an earlier run is replaced, or removed where nothing was rejected.
    unknown
        Keys that the schema does not know: "warn" (looks at a sample of the records), "ignore",
        "raise" or "keep" (a column `extra`: JSON of path and value).  The last two are exact.
    duplicates
        One `id` on several records: "latest" keeps the greatest `updated_at`, then `created_at`,
        then the last seen, and warns with the count; "keep" keeps all, and marks them by a column
        `record` (position) in all layouts but wide; "raise" names them.
    remote_data, currency, connection, session, memory_limit, temp_directory, progress
        As in `read_usage`.

    Returns
    -------
    frame
        The same columns and dtypes whatever the data holds.  Text is str, numbers are float64,
        flags nullable booleans, dates UTC at microseconds; `resources`, `charges` and
        `usage.code.tool_actions` are lists of structs (Arrow dtypes in pandas).  Rows keep the
        order of the input.  Amounts are in units of `charges.currency`.

    Raises
    ------
    RecordError
        If records cannot be read; the first five are shown with position, id, path, what was
        expected and what was found.
    FrameError
        If the argument holds no records.
    OptionError
        If an option has a value that it cannot have.
    MemoryLimitError
        If `memory_limit` is too little, or `temp_directory` has too little room.

    Warns
    -----
    UsageWarning
        For rejected records, unknown keys, repeated ids and unknown charge types: one a cause,
        with counts.

    Examples
    --------
    >>> import tidyusage as tu
    >>> record = {
    ...     "id": "a",
    ...     "model": {"id": "gpt-5"},
    ...     "charges": [{"amount": 2.5, "currency": "usd", "type": "net"}],
    ... }
    >>> tu.flatten_usage(record)[["id", "model.id", "charges.net", "charges.currency"]]
      id model.id  charges.net charges.currency
    0  a    gpt-5          2.5              USD
    >>> tu.flatten_usage(record, layout="long")[["id", "metric", "value", "unit"]]
      id       metric  value unit
    0  a  charges.net    2.5  USD
    """
    backend = backend or frames.backend_of(records)
    options = Options(
        layout,
        backend,
        sep,
        rejects,
        unknown,
        duplicates,
        remote_data,
        currency,
        connection,
        session,
        memory_limit,
        temp_directory,
        progress,
    )
    if frames.backend_of(records) == "pyspark":
        return _of_spark(records, options)
    if frames.is_lazy(records):
        return _lazily(records, options)
    reads_now = options.verifies or options.is_bounded
    if options.backend == frames.backend_of(records) == "duckdb" and not reads_now:
        return lazy.over(cast("duckdb.DuckDBPyRelation", records), options)
    return assemble(lambda folder: [spool.spooled(records, folder)], options)


def _of_spark(frame: Any, options: Options) -> Any:
    """Flatten a frame of Spark, which stays one; for another library its rows come here first."""
    if options.backend == "pyspark":
        return sparks.from_frame(frame, options)
    return assemble(lambda folder: [spool.spool_frame(frame.toArrow(), folder)], options)


def _lazily(frame: Any, options: Options) -> Any:
    """Flatten a lazy frame when it is collected; one for another library is collected now."""
    options = replace(options, has_source="source" in frames.columns(frame))
    if options.backend != "polars":
        return assemble(lambda folder: [spool.spool_frame(frame.collect(), folder)], options)
    return frames.map_lazily(
        frame,
        lambda eager: assemble(lambda folder: [spool.spool_frame(eager, folder)], options),
        options.types(),
        options.sep,
    )
