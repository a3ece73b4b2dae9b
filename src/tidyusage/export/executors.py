"""Exports of a Spark frame: its executors write folders of Parquet files or Delta Lake tables.

The tables are the same queries as elsewhere, in Spark's words.  What was written is read again for
the manifest, so that its counts and sums are those of the files.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import FRAME
from tidyusage._utils.whole import together
from tidyusage.engines import column_checks, columns, spark
from tidyusage.errors import ExportError, FrameError, OptionError
from tidyusage.export import charge_columns, folder, manifest, partitions, upsert
from tidyusage.export.partitions import Partitions
from tidyusage.export.plan import (
    require_distinct,
    require_unique,
    tables_of,
    tell_of_aside,
    warn_of_positive_credits,
)
from tidyusage.export.table import USAGE, Table, Usage
from tidyusage.layouts import convert
from tidyusage.metrics import _source
from tidyusage.metrics._overlap import repeated_rows, tell_repeated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidyusage.export.manifest import Manifest
    from tidyusage.export.plan import Plan
    from tidyusage.typing import CreditSign

_SAY: Final = (
    "Spark writes folders of Parquet files, as in 'exports/', and Delta Lake tables, as in "
    "'delta:exports'; for another target bring the rows here: tu.export_usage(df.toArrow(), …)."
)
_TIMES: Final = "spark.sql.parquet.outputTimestampType"
_DELTA: Final = "delta"
_NOTHING: Final = "'__HIVE_DEFAULT_PARTITION__'"


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers queries over one of several frames as a connection of DuckDB does, by Spark."""

    frames: Mapping[str, Any]
    found: Any = None

    def sql(self, query: str) -> Asked:
        """Return the rows of a query over the frame that it names."""
        name = next(name for name in self.frames if re.search(rf"\b{name}\b", query))
        return replace(self, found=_over(self.frames[name], query, name))

    execute = sql

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        return [tuple(row) for row in self.found.collect()]


def exported(frame: Any, plan: Plan, **of_focus: Any) -> dict[str, Any]:
    """Write what was asked for, and return the manifest."""
    _require_possible(plan)
    if plan.form != "star" and plan.overlap != "ignore":
        tell_repeated(repeated_rows(frame), plan.overlap)
    found = original = columns.columns(frame)
    if found.layout == "long":
        frame = convert.to_wide(frame)
        found = columns.columns(frame)
    rows, given = _staged(frame, found)
    given = replace(given, given=original)
    made = tables_of(plan.form, given, of_focus)
    require_distinct(made)
    names = partitions.check(plan.partition_by, made)
    place = plan.place.place
    before = _require_free(place, made, plan.mode)
    with _times_by_microseconds(frame.sparkSession), _once(rows, plan.form) as kept:
        charge_columns.warn_of_missing(cast("Any", Asked({USAGE: kept})), plan.form, given)
        if plan.form == "star":
            require_unique(cast("Any", Asked({USAGE: kept})), given)
        with together(keeps=plan.mode == "error") as files, files.written(place) as partial:
            os.mkdir(partial)
            if before:
                folder.link(place, partial)
            written = {}
            for table in made:
                path = os.path.join(partial, table.name)
                shutil.rmtree(path, ignore_errors=True)
                rows, parted = _rows(kept, given, table, names)
                written[table.name] = _written(rows, parted, table.order, path, plan.place.kind)
            told = _told(plan, made, names, written, of_focus.get("credit_sign"))
            told.write(os.path.join(partial, manifest.NAME), before)
    return told.told()


def _require_possible(plan: Plan) -> None:
    """Raise for what executors cannot do."""
    place = plan.place.place
    if plan.place.kind not in {"folder", _DELTA}:
        raise OptionError(f"Spark cannot export to {os.path.basename(place)!r}.", _SAY)
    if plan.mode not in {"error", "overwrite"}:
        raise OptionError(
            f"mode={plan.mode!r} is not for a frame of Spark.",
            "Export new records to a folder of their own, or all with mode='overwrite'.",
        )
    if plan.privacy.anonymise or plan.privacy.drop:
        raise OptionError(
            "Users are not hidden in exports of a frame of Spark.",
            "Read with backend='duckdb', which memory does not bound either, and export that.",
        )


def _require_free(place: str, made: Sequence[Table], mode: str) -> dict[str, Any] | None:
    """Return what the manifest of a folder tells; raise for what is there and must stay."""
    folder.require_ours(place)
    before = manifest.of_folder(place)
    there = before["tables"] if before else {}
    for table in made:
        if mode == "error" and table.name in there:
            raise upsert.is_there(repr(os.path.join(place, table.name)))
    return before


def _staged(frame: Any, found: columns.Columns) -> tuple[Any, Usage]:
    """Return the frame as exports are queries of it, and its columns."""
    if found.layout != "wide":
        raise FrameError(
            f"This is a frame of {found.layout}; exports are made of whole records.",
            "Give the wide or the long frame.",
        )
    given = spark.types(frame)
    wanted = _source.kinds(found, [path for path in found.known if path in _source.DTYPES])
    column_checks.check(
        wanted, {name: column_checks.of_spark(type_) for name, type_ in given.items()}
    )
    types = schema.layout_types(
        "wide",
        remote_data="remote_data" in found.known,
        extra="extra" in found.known,
        source=bool(found.marks),
    )
    named = columns.typed(FRAME, found, types, found.own)
    charges = f" replace ({columns.rebuilt_charges()} as charges)"
    charges = "" if "charges" in found.known else charges
    needs = (*found.known.values(), *found.own)
    steps = f"with tu__rows as {named}\nselect *{charges} from tu__rows"
    rows = spark.queried(frame, steps, needs, found.own)
    arrow = spark.schema(frame)
    types |= {name: arrow.field(name).type for name in found.own}
    return rows, Usage(types, found.own, found.marks)


@contextmanager
def _times_by_microseconds(session: Any) -> Iterator[None]:
    """Have Spark write times as all others do, and not in the 96 bits of old."""
    before = session.conf.get(_TIMES, None)
    session.conf.set(_TIMES, "TIMESTAMP_MICROS")
    try:
        yield
    finally:
        if before is None:
            session.conf.unset(_TIMES)
        else:
            session.conf.set(_TIMES, before)


@contextmanager
def _once(rows: Any, form: str) -> Iterator[Any]:
    """Keep rows of which several tables are made on the executors' disks, so as to read once."""
    if form in {"wide", "long"}:
        yield rows
        return
    from pyspark import StorageLevel

    kept = rows.persist(StorageLevel.DISK_ONLY)
    try:
        yield kept
    finally:
        kept.unpersist()


def _rows(kept: Any, given: Usage, table: Table, wanted: Sequence[str]) -> tuple[Any, Partitions]:
    """Return the rows of a table, and how they are parted."""
    own = {name: type_ for name, type_ in spark.types(kept).items() if name in given.own}
    types = {each.name: (each.name, own.get(each.name, each.type)) for each in table.columns}
    rows = spark.typed(_over(kept, table.sql, USAGE), types)
    parted = Partitions.of(table, wanted)
    if parted.made:  # Spark would plan the whole query again
        rows = spark.over(rows, parted.widened(replace(table, sql=f"select * from {FRAME}")).sql)
    return rows, parted


def _arranged(rows: Any, parted: Partitions, order: Sequence[str]) -> Any:
    """Return rows as files are to have them: of one size, not of each task's, and in order."""
    for name in _texts(parted):
        rows = rows.where(f"if({_lost(name)}, raise_error('a folder has no such name'), true)")
    rows = rows.hint("rebalance", *map(spark.quoted, parted.names))
    by = [rows[spark.quoted(name)].asc_nulls_last() for name in (*parted.names, *order)]
    return rows.sortWithinPartitions(*by) if by else rows


def _written(rows: Any, parted: Partitions, order: Sequence[str], place: str, kind: str) -> Any:
    """Have the executors write a table's rows, and return what stands there then."""
    writer = _arranged(rows, parted, order).write
    writer = writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
    try:
        writer.partitionBy(*parted.names).parquet(place)
    except Exception:
        _require_writable(rows, parted)
        raise
    if not _files(place):  # of no rows there are no partitions
        rows.limit(0).coalesce(1).write.mode("overwrite").parquet(place)
    for name in _files(place):
        if not name.endswith(".parquet"):
            os.remove(name)
    if kind == _DELTA:
        _make_delta(place, rows, parted.names)
    return rows.sparkSession.read.schema(rows.schema).parquet(place)


def _files(place: str) -> list[str]:
    return [os.path.join(inner, name) for inner, _, names in os.walk(place) for name in names]


def _texts(parted: Partitions) -> list[str]:
    """Return the partitions whose values are anybody's text."""
    return [name for name in parted.names if name not in parted.made]


def _lost(name: str) -> str:
    """Return the test of a value that would not come back from the name of a folder."""
    return f"cast({spark.quoted(name)} as string) in ('', {_NOTHING})"


def _require_writable(rows: Any, parted: Partitions) -> None:
    """Raise if it was a value that no folder can be named after for which rows were not written."""
    for name in _texts(parted):
        if found := rows.where(_lost(name)).select(spark.quoted(name)).head(1):
            raise ExportError(
                f"The value {found[0][0]!r} of {name!r} cannot be the name of a folder.",
                "Partition by another column, or change the value.",
            )


def _make_delta(place: str, rows: Any, parts: Sequence[str]) -> None:
    """Make a Delta Lake table of the files that stand in a folder."""
    from deltalake import DeltaTable, Schema, convert_to_deltalake

    schema = spark.schema(rows)
    if not parts:
        convert_to_deltalake(place)
    elif any(os.path.isdir(each.path) for each in os.scandir(place)):
        by = Schema.from_arrow(pa.schema([schema.field(name) for name in parts]))
        convert_to_deltalake(place, partition_by=by, partition_strategy="hive")
    else:
        shutil.rmtree(place)
        made = Schema.from_arrow(schema)
        DeltaTable.create(place, schema=made, partition_by=list(parts))


def _told(
    plan: Plan,
    made: Sequence[Table],
    names: Sequence[str],
    written: Mapping[str, Any],
    credit_sign: CreditSign | None,
) -> Manifest:
    """Return the manifest of what was written, of which it is asked."""
    asked = cast("Any", Asked(written))
    there = [replace(table, sql=f"select * from {table.name}") for table in made]
    told = plan.begun(asked, there, names)
    for table in there:
        told.stands(table.name, told.tables[table.name]["rows"])
    tell_of_aside(asked, there, told)
    if credit_sign is None:
        warn_of_positive_credits(asked, there)
    return told


def _over(frame: Any, query: str, name: str) -> Any:
    return spark.over(frame, re.sub(rf"\b{name}\b", FRAME, query))
