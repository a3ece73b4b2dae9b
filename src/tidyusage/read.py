"""Records in, tidy frames out: `read_usage` for files, `flatten_usage` for what is in memory."""

from __future__ import annotations

import glob
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import as_file, files
from typing import IO, TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import catalogue, engines, lazy, sources, spool, wide
from tidyusage import rejects as set_aside
from tidyusage import unknown as unknown_keys
from tidyusage.errors import (
    ChargeTypeWarning,
    DuplicateWarning,
    OptionError,
    SourceError,
    known_options,
    named,
    warn,
)
from tidyusage.options import Options
from tidyusage.sources import Text

if TYPE_CHECKING:
    import duckdb

    from tidyusage.typing import (
        Backend,
        Duplicates,
        Layout,
        Path,
        Records,
        RemoteData,
        Separator,
        Source,
        Unknown,
    )

Spool = Callable[[str], list[Text]]


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
) -> Any:
    """Read files of Usage records into a tidy frame.

    TODO
    """
    options = Options(
        layout, backend, sep, rejects, unknown, duplicates, remote_data, currency, connection
    )
    if isinstance(source, IO) or hasattr(source, "read"):
        return _frame(lambda folder: [spool.spool_stream(source, folder)], options)
    places = list(_places(source))
    return _frame(lambda folder: [_text(place, folder) for place in places], options)


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
) -> Any:
    """Turn Usage records that are in memory into a tidy frame.

    TODO
    """
    backend = backend or engines.backend_of(records)
    options = Options(
        layout, backend, sep, rejects, unknown, duplicates, remote_data, currency, connection
    )
    if engines.is_lazy(records):
        return _lazily(records, options)
    if (
        engines.backend_of(records) == "duckdb"
        and options.backend == "duckdb"
        and not options.verifies
    ):
        return lazy.over(cast("duckdb.DuckDBPyRelation", records), options)
    return _frame(lambda folder: [_spooled(records, folder)], options)


@known_options
def load_example(
    *, layout: Layout = "wide", backend: Backend | None = None, sep: Separator = "."
) -> Any:
    """Load the example that comes with the package: a month of the five vendors' records.

    TODO
    """
    with as_file(files("tidyusage") / "data" / "usage.ndjson") as path:
        return read_usage(path, layout=layout, backend=backend, sep=sep)


def _lazily(frame: Any, options: Options) -> Any:
    """Flatten a Polars lazy frame when it is collected; one for another library is collected now."""
    if options.backend != "polars":
        return _frame(lambda folder: [spool.spool_frame(frame.collect(), folder)], options)
    return engines.map_lazily(
        frame,
        lambda eager: _frame(lambda folder: [spool.spool_frame(eager, folder)], options),
        options.types(),
        options.sep,
    )


def _places(source: Any) -> Iterator[str]:
    """Yield the files that a path, a folder, a pattern, or several of them name."""
    if isinstance(source, str | os.PathLike):
        yield from _files(os.fspath(source))
    elif isinstance(source, Iterable):
        places = list(source)
        if not places:
            raise SourceError("The list of files is empty.", "Name at least one file.")
        for place in places:
            if not isinstance(place, str | os.PathLike):
                raise OptionError(
                    f"read_usage() cannot read a list of {type(place).__name__}.",
                    "flatten_usage() takes records; read_usage() takes paths.",
                )
            yield from _files(os.fspath(place))
    else:
        raise OptionError(
            f"read_usage() cannot read a {type(source).__name__}.",
            "Give a path, a glob, a list of them, or an open binary file; "
            "flatten_usage() takes records.",
        )


def _files(place: str) -> Iterator[str]:
    if os.path.isdir(place):
        yield from _data_files(place)
    elif os.path.exists(place):
        yield place
    elif glob.has_magic(place):
        found = sorted(path for path in glob.glob(place, recursive=True) if os.path.isfile(path))
        if not found:
            raise SourceError(f"No file matches {place!r}.", _here(place))
        yield from found
    else:
        raise SourceError(f"There is no file {place!r}.", _here(place))


def _data_files(folder: str) -> Iterator[str]:
    found = sorted(
        os.path.join(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if name[0] not in "._"
        and name.removesuffix(".gz").removesuffix(".zst").endswith(sources.SUFFIXES)
    )
    if not found:
        endings = ", ".join(sources.SUFFIXES)
        raise SourceError(
            f"The folder {folder!r} holds no data files.",
            f"Data files end with {endings}, or with one of those and .gz or .zst.",
        )
    yield from found


def _here(place: str) -> str:
    folder = os.path.dirname(place) or "."
    if glob.has_magic(folder):
        return "Check the pattern; ** looks into folders below."
    if not os.path.isdir(folder):
        return f"There is no folder {folder!r} either; relative paths begin at {os.getcwd()!r}."
    return f"The folder {folder!r} exists: check the file's name."


def _text(place: str, folder: str) -> Text:
    if place.endswith(".parquet"):
        return spool.spool_parquet(place, folder)
    text = sources.text(place)
    return spool.spool_without_bom(text, folder) if sources.starts_with_bom(text) else text


def _spooled(records: Any, folder: str) -> Text:
    if isinstance(records, str | bytes | bytearray):
        return spool.spool_text(records, folder)
    if engines.backend_of(records):
        return spool.spool_frame(records, folder)
    return spool.spool_objects(records, folder)


def _frame(spooled: Spool, options: Options) -> Any:
    if options.backend == "duckdb":
        return lazy.relation(spooled, options)
    with tempfile.TemporaryDirectory(prefix="tidyusage-") as folder:
        texts = spooled(folder)
        with engines.connect() as connection:
            table = layout_table(connection, texts, options)
    return engines.deliver(table, options.backend or "pandas")


def layout_table(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options
) -> pa.Table:
    """Read texts, say what is odd about them, and return the layout."""
    engines.prepare(connection, options.backend or "pandas")
    reading = wide.read(connection, texts, options)
    if options.unknown == "warn":
        unknown_keys.warn(texts)
    elif options.unknown == "raise":
        unknown_keys.refuse(connection, texts)
    set_aside.report(reading.rejects, options.rejects)
    table = _without_duplicates(connection, reading.table, options)
    _warn_of_charge_types(table)
    if options.layout != "wide":
        table = engines.ask(connection, table, options.query)
    return engines.finish(table, options.types(), options.sep)


def _without_duplicates(
    connection: duckdb.DuckDBPyConnection, table: pa.Table, options: Options
) -> pa.Table:
    if options.duplicates == "keep":
        if not options.marks_records:
            return table
        return table.append_column("record", pa.array(range(table.num_rows), pa.int64()))
    from pyarrow import compute as pc

    surplus = table.num_rows - pc.count_distinct(table["id"]).as_py()
    if not surplus:
        return table
    if options.duplicates == "raise":
        connection.register(engines.FRAME, table)
        lazy.refuse_duplicates(connection, engines.FRAME)
    warn(
        f"{surplus:,} record{'s' if surplus > 1 else ''} dropped: the id stands on a newer record. "
        "duplicates='keep' keeps all, 'raise' names the ids.",
        DuplicateWarning,
    )
    return engines.ask(connection, table, lazy.latest)


def _warn_of_charge_types(table: pa.Table) -> None:
    if "charges" not in table.column_names:
        return
    from pyarrow import compute as pc

    entries = pc.list_flatten(table["charges"])
    counts = pc.value_counts(pc.struct_field(entries, "type")).to_pylist()
    strange = [
        (count["values"] or "without a type", count["counts"])
        for count in counts
        if count["values"] not in catalogue.CHARGE_TYPES
    ]
    if strange:
        warn(
            f"The schema does not know the charge types {named(strange)}; "
            "they stay in the column charges, and have rows of their own in long.",
            ChargeTypeWarning,
        )
