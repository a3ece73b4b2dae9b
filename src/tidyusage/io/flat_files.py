"""Read wide and long frames from CSV and Parquet files."""

from __future__ import annotations

import csv
import glob
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from uuid import uuid4

from tidyusage import catalogue, schema
from tidyusage._utils import bounded, connections
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import frames
from tidyusage.engines import spark as sparks
from tidyusage.engines.columns import columns, types
from tidyusage.errors import OptionError, RecordError, SourceError, UsageError
from tidyusage.io import compression, inputs, lazy, spool
from tidyusage.io import paths as places
from tidyusage.layouts import convert as layouts
from tidyusage.layouts.restore import restore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from tidyusage.io.options import Options

_HEAD: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
_LONGEST_LINE: Final = 1 << 24
_SHOWN: Final = 5
# Rows of the same id are one record twice only if their windows are the same: `daily` and `between`
# cut records into rows of different windows.
_IDENTITY: Final = (*catalogue.IDENTITY, "start_date", "end_date")
_NEWEST: Final = ("updated_at", "created_at")


class FlatFile(NamedTuple):
    """A CSV file with its delimiter and columns, or a Parquet file, which has neither."""

    path: str
    label: str
    delimiter: str = ""
    names: tuple[str, ...] = ()


def find(paths: Sequence[str], labels: Sequence[str] | None = None) -> list[FlatFile]:
    """Return the files if they hold flat frames; nothing if they hold records.

    Raises
    ------
    SourceError
        For a CSV file of something else, or if files of several kinds are mixed.
    """
    labels = labels or paths
    found = [_flat_file(path, label) for path, label in zip(paths, labels, strict=True)]
    flat = [one for one in found if one is not None]
    if not flat:
        return []
    if len(flat) < len(found):
        other = labels[found.index(None)]
        raise SourceError(
            f"{flat[0].label!r} holds a frame, and {other!r} holds records.",
            "Read them separately, and put the frames together.",
        )
    if len({bool(one.delimiter) for one in flat}) > 1:
        raise SourceError("CSV and Parquet files of frames are mixed.", "Read them separately.")
    return flat


def read(files: Sequence[FlatFile], options: Options, *, is_temporary: bool = False) -> Any:
    """Read flat files into a frame of the layout and library that was asked for.

    Files that are temporary are gone after the call, so they are read now.
    """
    if options.is_bounded:
        return _bounded(files, options, is_temporary=is_temporary)
    if options.backend == "duckdb" and not is_temporary:
        return _lazily(files, options)
    with (
        bounded.temporary_files(),
        bounded.temporary_folder() as folder,
        connections.connect() as connection,
        _refusals(files),
    ):
        table = frames.collected(_relation(connection, files, folder, options, reads_now=True))
    if options.backend == "duckdb":
        import duckdb

        return (options.connection or duckdb.default_connection()).from_arrow(table)
    if options.backend == "pyspark":
        return sparks.active_session(options.session).createDataFrame(table)
    return frames.deliver(table, options.backend or "pandas")


def _flat_file(path: str, label: str) -> FlatFile | None:
    if not os.path.isfile(path):
        return None
    if inputs.is_parquet(path, label):
        return FlatFile(path, label) if _is_flat_parquet(path) else None
    head = _head(path)
    start = head.lstrip()[:1]
    if not start or start in "{[" or "\0" in head or "\ufffd" in head[: _HEAD // 2]:
        return None  # nothing, JSON, or no text at all
    delimiter, names = _header(head)
    if "id" in names and spool.flat_columns(names):
        return FlatFile(path, label, delimiter, names)
    if places.is_csv(label) or _is_csv(head, delimiter, len(names)):
        raise not_a_frame(label, names)
    return None


def _is_csv(head: str, delimiter: str, width: int) -> bool:
    """Tell whether the first lines of a text have the same number of cells, two or more."""
    lines = [line for line in head.split("\n")[:3] if line.strip()]
    return (
        len(lines) > 1
        and width > 1
        and all(line.isprintable() or "\t" in line for line in (one.rstrip("\r") for one in lines))
        and not any(sign in line for line in lines[:1] for sign in "{[<")
        and all(len(next(csv.reader([line], delimiter=delimiter))) == width for line in lines)
    )


def not_a_frame(label: str, names: Sequence[str]) -> SourceError:
    """Return the error for a CSV file that holds no Usage frame."""
    shown = ", ".join(f"{name[:40]!r}" for name in names[:_SHOWN])
    more = ", …" if len(names) > _SHOWN else ""
    return SourceError(
        f"{label!r} is a CSV file, but not of a wide or long Usage frame: its columns are "
        f"{shown}{more}.",
        "Such a frame has a column id and others of the schema, such as product.id or charges.net.",
    )


def _is_flat_parquet(path: str) -> bool:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names = parquet.read_schema(path).names
    except (OSError, pa.ArrowInvalid):
        return False  # reading it as records says what is wrong with it
    return bool(spool.flat_columns(names))


def _head(path: str) -> str:
    """Return the beginning of a text, as far as it can be unpacked."""
    try:
        with compression.open_unpacked(path, compression.detect(path)) as stream:
            head = stream.read(_HEAD)
    except compression.ERRORS:
        return ""
    return head.removeprefix(inputs.BOM).decode("utf-8", "replace")


def _header(head: str) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter of CSV text and its columns."""
    line = next(iter(head.lstrip().splitlines()), "")
    delimiter = max(_DELIMITERS, key=line.count)
    return delimiter, tuple(next(csv.reader([line], delimiter=delimiter), ()))


def _bounded(files: Sequence[FlatFile], options: Options, *, is_temporary: bool) -> Any:
    home = bounded.opened(options.memory_limit, options.temp_directory)
    try:
        with bounded.running(home.connection), _refusals(files):
            if is_temporary:
                copies = [os.path.join(home.folder, f"flat-{uuid4().hex}") for _ in files]
                for file, copy in zip(files, copies, strict=True):
                    shutil.copyfile(file.path, copy)
                files = [f._replace(path=c) for f, c in zip(files, copies, strict=True)]
            return _relation(home.connection, files, home.folder, options, reads_now=True)
    except BaseException:
        home.close()
        raise


def _lazily(files: Sequence[FlatFile], options: Options) -> Any:
    import duckdb

    connection = options.connection or duckdb.default_connection()
    folder = bounded.new_folder()
    try:
        with _refusals(files):
            return _relation(connection, files, folder, options, reads_now=False)
    finally:
        bounded.keep_with(connection, folder)


@contextmanager
def _refusals(files: Sequence[FlatFile]) -> Iterator[None]:
    """Name the file where DuckDB cannot read it."""
    import duckdb

    try:
        yield
    except UsageError:
        raise
    except duckdb.Error as error:
        message = frames.message(error)
        if bounded.is_full(error) or isinstance(error, duckdb.OutOfMemoryException):
            raise
        if "tidyusage:" in str(error):
            raise RecordError(message, "Correct or drop the value.") from error
        kind = "CSV" if files[0].delimiter else "Parquet"
        raise SourceError(
            f"{files[0].label!r} cannot be read as {kind}: {message[:300]}",
            "The file may be damaged or cut off; write it again.",
        ) from error


def _relation(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[FlatFile],
    folder: str,
    options: Options,
    *,
    reads_now: bool,
) -> duckdb.DuckDBPyRelation:
    """Return files as one relation, in the catalogue's dtypes and the layout asked for."""
    rows = [_scan(_unpacked(file, folder)) for file in files]
    united = " union all by name ".join(f"(from {one})" for one in rows)
    # pandas writes its index as a column without a name, and DuckDB keeps no such column.
    frame = _restored(connection, united, folder, options, reads_now=reads_now)
    frame = _with_options(frame, options)
    frame = _without_duplicates(frame, options, reads_now=reads_now)
    return _spelled(_in_layout(frame, options), options)


def _restored(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    folder: str,
    options: Options,
    *,
    reads_now: bool,
) -> duckdb.DuckDBPyRelation:
    """Return rows in the catalogue's dtypes.

    What is read now is restored once, into memory or within a limit into a file: the query of
    `restore` is long, and each question about a relation would plan and run it again.
    """
    rows = connection.sql(sql)
    if options.is_bounded:
        path = os.path.join(folder, "frame.parquet")
        _asked(restore(rows), f"copy {FRAME} to {literal(path)} (format parquet)")
        return connection.read_parquet(path)
    if reads_now:
        return connection.from_arrow(restore(rows.to_arrow_table()))
    return restore(rows)


def _unpacked(file: FlatFile, folder: str) -> FlatFile:
    """Return a file as it is, or unpacked into a folder if it is a compressed CSV file."""
    packing = compression.detect(file.path)
    if packing == "none" or not file.delimiter:
        return file
    if compression.check(file.path, file.label, packing).is_cut_off:
        raise compression.cut_off(file.label)
    path = os.path.join(folder, f"{uuid4().hex}.csv")
    with compression.open_unpacked(file.path, packing) as stream, open(path, "wb") as copy:
        shutil.copyfileobj(stream, copy)
    return file._replace(path=path)


def _scan(file: FlatFile) -> str:
    path = literal(glob.escape(file.path))
    if not file.delimiter:
        return f"read_parquet({path})"
    named = [name or f"{FRAME}_{place}" for place, name in enumerate(file.names)]
    arguments = [
        path,
        f"columns = {schema.columns_argument(dict.fromkeys(named, 'VARCHAR'))}",
        f"delim = {literal(file.delimiter)}",
        "header = true, auto_detect = false, quote = '\"', escape = '\"'",
        f"max_line_size = {_LONGEST_LINE}",
    ]
    kept = ", ".join(quote(name) for name, given in zip(named, file.names, strict=True) if given)
    return f"(select {kept} from read_csv({', '.join(arguments)}))"


def _with_options(frame: duckdb.DuckDBPyRelation, options: Options) -> duckdb.DuckDBPyRelation:
    found = columns(frame)
    if options.unknown == "raise" and found.own:
        raise RecordError(
            f"The schema does not know the columns {', '.join(map(repr, found.own[:_SHOWN]))}.",
            "unknown='ignore' keeps them as columns of your own.",
        )
    remote_data = catalogue.REMOTE_DATA.path
    if remote_data in found.known and not options.keeps_remote_data:
        frame = frame.project(f"* exclude ({quote(remote_data)})")
    if options.default_currency and found.layout in {"wide", "long"}:
        frame = _with_currency(frame, found.layout, options.default_currency)
    return frame


def _with_currency(
    frame: duckdb.DuckDBPyRelation, layout: str, currency: str
) -> duckdb.DuckDBPyRelation:
    """Fill absent currencies of amounts."""
    given = literal(currency)
    if layout == "long":
        unit = f"case when metric like 'charges.%' then coalesce(unit, {given}) else unit end"
        return frame.project(f"* replace ({unit} as unit)")
    name = "charges.currency"
    amounts = [c for c in frame.columns if c.startswith("charges.") and c != name]
    if amounts:
        old = quote(name) if name in frame.columns else "cast(null as varchar)"
        paid = f"coalesce({', '.join(map(quote, amounts))}) is not null"
        filled = f"case when {paid} then coalesce({old}, {given}) else {old} end as {quote(name)}"
        has_one = name in frame.columns
        frame = frame.project(f"* replace ({filled})" if has_one else f"*, {filled}")
    if "charges" in frame.columns:
        entry = f"{{amount: e.amount, currency: coalesce(e.currency, {given}), type: e.type}}"
        frame = frame.project(f"* replace (list_transform(charges, lambda e: {entry}) as charges)")
    return frame


def _without_duplicates(
    frame: duckdb.DuckDBPyRelation, options: Options, *, reads_now: bool
) -> duckdb.DuckDBPyRelation:
    """Resolve rows of the same identity and window, as `duplicates=` says."""
    if options.duplicates == "keep" or columns(frame).layout != "wide":
        return frame
    keys = [name for name in _IDENTITY if name in frame.columns]
    listed = ", ".join(map(quote, keys))
    if options.duplicates == "raise":
        counted = (
            f'select "id", count(*) as records from {FRAME} group by {listed} '
            'having count(*) > 1 order by records desc, "id"'
        )
        if found := _asked(frame, counted).fetchall():
            raise lazy.repetition(found)
        return frame
    if reads_now:
        surplus = f"select count(*) - count(distinct ({listed})) from {FRAME}"
        ((count,),) = _asked(frame, surplus).fetchall()
        if not count:
            return frame
        lazy.warn_of_duplicates(count)
    order = [f"{quote(name)} desc nulls last" for name in _NEWEST if name in frame.columns]
    newest = f"""
with places as (select *, row_number() over () as tu__place from {FRAME})
select * exclude (tu__place)
from places
qualify row_number() over (
  partition by {listed}
  order by {", ".join([*order, "tu__place desc"])}
) = 1
order by tu__place
"""
    return _asked(frame, newest)


def _asked(frame: duckdb.DuckDBPyRelation, sql: str) -> duckdb.DuckDBPyRelation:
    return cast("duckdb.DuckDBPyRelation", frame.query(FRAME, sql))


def _in_layout(frame: duckdb.DuckDBPyRelation, options: Options) -> duckdb.DuckDBPyRelation:
    has = columns(frame).layout
    if has == options.layout:
        return frame
    if has not in {"wide", "long"}:
        raise OptionError(
            f"The files hold the layout {has!r}, from which {options.layout!r} cannot be made.",
            f"Give layout={has!r}, or read the files of a wide or long frame.",
        )
    if options.layout == "wide":
        return layouts.to_wide(frame)
    wide = frame if has == "wide" else layouts.to_wide(frame)
    convert = {
        "long": layouts.to_long,
        "charges": layouts.charges,
        "resources": layouts.resources,
        "tool_actions": layouts.tool_actions,
    }[options.layout]
    return convert(wide, duplicates="keep" if options.marks_records else "raise")


def _spelled(frame: duckdb.DuckDBPyRelation, options: Options) -> duckdb.DuckDBPyRelation:
    if options.sep == ".":
        return frame
    known = types()
    chosen = (
        f"{quote(name)} as {quote(schema.rename(name, options.sep) if name in known else name)}"
        for name in frame.columns
    )
    return frame.project(", ".join(chosen))


def spark_sources(source: Any) -> list[str]:
    """Return the paths that Spark is to read if all are files of this machine."""
    given = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(given, list | tuple):
        return []
    paths = [places.expand(one) for one in given if isinstance(one, str | os.PathLike)]
    return paths if len(paths) == len(given) and all(map(os.path.isfile, paths)) else []
