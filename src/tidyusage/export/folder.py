"""A folder of tables: Parquet files, in partitions where that is asked for, beside a manifest.

What a new export does not change is linked into the new folder, which then takes the place of
the old one.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.whole import linked
from tidyusage.errors import ExportError
from tidyusage.export import manifest, parquet, upsert
from tidyusage.export.partitions import Partitions

if TYPE_CHECKING:
    import duckdb

    from tidyusage.export.job import Job
    from tidyusage.export.table import Table

_SUFFIX: Final = ".parquet"


def write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write tables to a folder; it is there when all of them are."""
    place = job.target.place
    with job.files.written(place) as partial:
        require_ours(place)
        before = manifest.of_folder(place)
        os.mkdir(partial)
        if before:
            link(place, partial)
        for given in job.tables:
            partitions = Partitions.of(given, job.partition_by)
            partitions.require_writable(connection, given, empty=True)
            if job.mode == "overwrite":
                shutil.rmtree(os.path.join(partial, given.name), ignore_errors=True)
            table = _fitted(place, job, given, partitions, before)
            _write(connection, table, os.path.join(partial, table.name), job, partitions)
            files = _parquets(os.path.join(partial, table.name))
            job.told.stands(table.name, sum(parquet.rows(connection, path) for path in files))
        job.told.write(os.path.join(partial, manifest.NAME), before)


def _fitted(
    folder: str, job: Job, table: Table, partitions: Partitions, before: dict[str, Any] | None
) -> Table:
    """Return a table as the one that is there can take its rows; raise if it cannot."""
    if not before or table.name not in before["tables"] or job.mode == "overwrite":
        return table
    place = os.path.join(folder, table.name)
    if job.mode == "error":
        raise upsert.is_there(repr(place))
    entry = before["tables"][table.name]
    fitted = upsert.fitted(place, entry["columns"], table)
    job.told.holds(fitted)
    partitions.require_same(entry.get("partition_by", []), place)
    return fitted


def _write(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    folder: str,
    job: Job,
    partitions: Partitions,
) -> None:
    """Write a table into a new folder, in which its old files are if there were any."""
    old, wider = _parquets(folder), partitions.widened(table)
    if old and job.mode == "append" and table.unique:
        upsert.require_new(connection, partitions.read(old), table)
    query, first = wider.ordered, len(old)
    aside = f"{folder}.old"
    if old and job.mode_of(table) == "upsert":
        os.rename(folder, aside)
        query, first = upsert.merged(partitions.read(_parquets(aside)), wider, "upsert"), 0
    os.makedirs(folder, exist_ok=True)
    name = f"part-{first}"
    place = folder if partitions.names else os.path.join(folder, f"{name}-0{_SUFFIX}")
    by, partial = partitions.names, os.path.dirname(folder)
    parquet.copy(
        connection, query, place, table.schema, partition_by=by, name=name, partial=partial
    )
    if os.path.isdir(aside):
        shutil.rmtree(aside)


def require_ours(place: str) -> None:
    """Raise if a folder holds what no export has put there, which would be lost."""
    there = set(os.listdir(place)) if os.path.isdir(place) else set()
    if not there:
        return
    told = manifest.of_folder(place)
    there = {name for name in there if not name.startswith(f".{manifest.NAME}.")}  # one in writing
    strange = there - {manifest.NAME, *(told["tables"] if told else ())}
    if strange:
        raise ExportError(
            f"The folder {place!r} holds {sorted(strange)[:5]}, which no export put there.",
            "Name a folder for exports alone.",
        )


def link(source: str, place: str) -> None:
    """Put the tables of a folder into another: as links, or copied where there can be none."""
    shutil.copytree(source, place, copy_function=linked, dirs_exist_ok=True)
    os.remove(os.path.join(place, manifest.NAME))


def _parquets(folder: str) -> list[str]:
    """Return the Parquet files of a folder and of those in it, in order."""
    found = (
        os.path.join(inner, name)
        for inner, _, names in os.walk(folder)
        for name in names
        if name.endswith(_SUFFIX)
    )
    return sorted(found)
