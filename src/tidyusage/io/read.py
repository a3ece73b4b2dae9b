"""`read_usage`: from files to a frame."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import as_file, files
from typing import IO, TYPE_CHECKING, Any, cast

from tidyusage._utils import bounded
from tidyusage.errors import known_options
from tidyusage.io import fetch_manifest, flat_files, remote, spool
from tidyusage.io import paths as places
from tidyusage.io import rejects as quarantine
from tidyusage.io.assemble import assemble
from tidyusage.io.options import Options
from tidyusage.io.spark import read as sparks

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import SparkSession

    from tidyusage.io.inputs import Text
    from tidyusage.typing import (
        Backend,
        Duplicates,
        Layout,
        Path,
        RemoteData,
        Separator,
        Source,
        Unknown,
    )


@known_options
def read_usage(
    source: Source,
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
    """Read files of Usage records into a tidy frame.

    Parameters
    ----------
    source
        A path, a glob, a folder, a list of them, a pipe, "-" for standard input, an address such
        as `s3://…` or `https://…` (with `tidyusage[remote]`), or an open binary file.  Files hold
        NDJSON, a JSON array, one record, API pages (``{"result": …}``), Parquet of nested rows,
        or a wide or long frame as CSV or Parquet; gzip, zstd, bz2, xz and zip are unpacked, and
        one that is damaged or cut off is an error.  Of a folder, names that begin with `.` or `_`
        are not read.  Spark takes every address that it can read, such as
        ``s3a://bucket/*.ndjson.gz``; there, the first lines tell the shape of all files.
    layout
        "wide" (a row a record), "long" (a row a record and measure), or a child table:
        "charges", "resources", "tool_actions" (a row an entry).
    backend
        Which library's frame to return: "pandas", "polars", "pyarrow"; "duckdb" for a lazy
        relation, "pyspark" for a frame of Spark, of which nothing is read before it is asked
        for.  None is pandas.
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
    remote_data
        The vendor's raw object: "drop", or "json" for a column of its text.
    currency
        What an absent `charges[].currency` means, such as "USD"; None leaves it unknown (null).
    connection
        The DuckDB connection on which a relation lives; None is DuckDB's default one.
    session
        The Spark session in which files are read; None is the one that is active.
    memory_limit
        What a relation and all that is asked of it may hold, such as "2GB".  With this or
        `temp_directory` records are read once, now, into a file that goes with the relation.
    temp_directory
        The folder for that file and for what does not fit into memory; None is the system's.
    progress
        Whether a bar is shown; None shows it on a terminal and in a notebook.

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
        If records cannot be read; the first five are shown with file, line, id, path, what was
        expected and what was found.
    SourceError
        If there is nothing to read at the source.
    OptionError
        If an option has a value that it cannot have.
    MemoryLimitError
        If `memory_limit` is too little, or `temp_directory` has too little room.

    Warns
    -----
    UsageWarning
        For rejected records, unknown keys, repeated ids and unknown charge types: one a cause,
        with counts; for files of a folder that are not read, and for a folder that `fetch_usage`
        has not finished.

    Examples
    --------
    >>> import tempfile
    >>> import tidyusage as tu
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/usage.ndjson", "w") as file:
    ...         print('{"id": "a", "usage": {"tokens": {"input": 12}}}', file=file)
    ...     tu.read_usage(f"{folder}/*.ndjson")[["id", "usage.tokens.input"]]
      id  usage.tokens.input
    0  a                12.0
    """
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
    if isinstance(source, IO) or hasattr(source, "read"):
        stream = cast("IO[bytes]", source)
        spool.require_binary(stream)
        return _from_stream(stream, str(getattr(stream, "name", "file")), options)
    if isinstance(source, str | os.PathLike):
        path = places.expand(source)
        if path == places.STANDARD_INPUT:
            return _from_stream(sys.stdin.buffer, "standard input", options)
        if os.path.exists(path) and spool.is_stream(path):
            with open(path, "rb") as stream:
                return _from_stream(stream, path, options)
    if options.backend == "pyspark":
        if flat := flat_files.find(flat_files.spark_sources(source)):
            return flat_files.read(flat, options)
        return sparks.from_files(source, options)
    if any(map(remote.is_address, [source] if isinstance(source, str) else _listed(source))):
        return _from_addresses(source, options)
    found = (path for path in places.files(source) if os.path.basename(path) != fetch_manifest.NAME)
    paths = [path for path in found if not quarantine.is_same(path, options.rejects)]
    if flat := flat_files.find(paths):
        return flat_files.read(flat, options)
    fetch_manifest.warn_of_gaps(paths)
    return assemble(
        lambda folder: [text for path in paths for text in spool.texts_of(path, folder)], options
    )


def _from_stream(stream: IO[bytes], label: str, options: Options) -> Any:
    """Read a pipe, standard input or an open file: copied first, since it can be read only once."""
    with bounded.temporary_files(), bounded.temporary_folder() as home:
        path = spool.copy_stream(stream, home)
        if flat := flat_files.find([path], [label]):
            return flat_files.read(flat, options, is_temporary=True)

        def spooled(folder: str) -> list[Text]:
            return spool.texts_of_file(shutil.move(path, folder), label, folder)

        return assemble(spooled, options)


def _listed(source: Any) -> list[Any]:
    return list(source) if isinstance(source, list | tuple) else []


def _from_addresses(source: Any, options: Options) -> Any:
    """Read addresses of other machines, among them paths of this one: all are copied first."""
    given = [source] if isinstance(source, str) else _listed(source)
    with bounded.temporary_files(), bounded.temporary_folder() as home:
        files = [file for place in given for file in _copied(place, home)]
        if flat := flat_files.find(*map(list, zip(*files, strict=True))):
            return flat_files.read(flat, options, is_temporary=True)

        def spooled(folder: str) -> list[Text]:
            texts: list[Text] = []
            for path, label in files:
                is_copy = os.path.dirname(path) == home
                moved = shutil.move(path, folder) if is_copy else path
                texts += spool.texts_of_file(moved, label, folder)
            return texts

        return assemble(spooled, options)


def _copied(place: Any, home: str) -> list[tuple[str, str]]:
    """Return the files that a place names, each with its path here and its name."""
    if remote.is_address(place):
        return list(remote.copied(place, home))
    return [(path, path) for path in places.files(place)]


@known_options
def load_example(
    *,
    layout: Layout = "wide",
    backend: Backend | None = None,
    sep: Separator = ".",
    session: SparkSession | None = None,
) -> Any:
    """Load the example that comes with the package: a month of the five vendors' records.

    Parameters
    ----------
    layout, backend, sep, session
        As in `read_usage`.

    Returns
    -------
    frame
        310 records of Claude, Codex, Cursor, Confluent and Datadog.

    Raises
    ------
    OptionError
        For a value that an option cannot have.
    UnknownOptionError
        For an option that the function does not know.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.load_example(backend="polars").shape
    (310, 78)
    """
    with as_file(files("tidyusage") / "data" / "usage.ndjson") as path, open(path, "rb") as lines:
        # A cluster does not see the file: what is open is read here.
        source = lines if backend == "pyspark" else path
        return read_usage(source, layout=layout, backend=backend, sep=sep, session=session)
