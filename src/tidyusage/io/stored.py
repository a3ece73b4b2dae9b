"""Read more records than fit in memory into a Parquet file, and query them there.

What `io.reader` does with a table in memory is done with a file of Parquet here, in the folder of a
DuckDB with a limit.  A record's place in that file is its place in the texts.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils import bounded
from tidyusage._utils.sql import literal, quote, same, values
from tidyusage.engines import frames
from tidyusage.io import lazy, reader, scan_sql, unknown_keys
from tidyusage.io import rejects as quarantine
from tidyusage.io.parse_sql import FAULT, Exact
from tidyusage.io.quick_sql import Plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import duckdb

    from tidyusage.io.inputs import Text
    from tidyusage.io.options import Options

_PLACE: Final = "file_row_number"
_NOT_PLAIN: Final = "tidyusage: a record needs a closer look"
_OLDER: Final = "tu__older"


def relation(spooled: Callable[[str], list[Text]], options: Options) -> duckdb.DuckDBPyRelation:
    """Read texts into a file now, and return it as a relation on a DuckDB of its own."""
    home = bounded.opened(options.memory_limit, options.temp_directory)
    try:
        with bounded.running(home.connection):
            texts = _texts(spooled, home.folder)
            options = replace(options, has_source=any(text.has_source for text in texts))
            path = _Store(home, options).read(texts)
            return _relation(home.connection, path, options)
    except BaseException:
        home.close()
        raise


def _texts(spooled: Callable[[str], list[Text]], folder: str) -> list[Text]:
    copies = os.path.join(folder, "texts")
    os.mkdir(copies)
    return [text.on_disk() for text in spooled(copies)]


def _relation(
    connection: duckdb.DuckDBPyConnection, path: str, options: Options
) -> duckdb.DuckDBPyRelation:
    record = f", {_PLACE} as record" if options.marks_records else ""
    rows = f"(select * exclude ({_PLACE}){record} from {_rows(path)})"
    found = connection.sql(options.query(rows))
    return frames.spelled(found, options.types(), options.sep)


@dataclass(frozen=True, slots=True)
class _Store:
    """Reads texts into a folder, in bounded memory."""

    home: bounded.Home
    options: Options

    def read(self, texts: list[Text]) -> str:
        """Return the file of all records that stay, once all that is odd has been said."""
        connection, options = self.home.connection, self.options
        if options.unknown == "raise":
            unknown_keys.refuse(connection, texts)
        rejects = quarantine.Spilled(self._path("rejects.ndjson"))
        path, is_sifted = self._written(texts, rejects)
        if options.unknown == "warn":
            unknown_keys.warn(connection, texts)
        quarantine.report(rejects, options.rejects)
        rejects.clear()
        scan_sql.warn_of_pages(connection, texts, is_sifted=is_sifted)
        shutil.rmtree(self._path("texts"))
        path = self._without_older(path, has_faults=FAULT in connection.read_parquet(path).columns)
        _warn_of_charge_types(connection, path)
        return path

    def _written(self, texts: list[Text], rejects: quarantine.Spilled) -> tuple[str, bool]:
        """Write records to a file; return it, and whether it took reading batch by batch."""
        path = self._path("records.parquet")
        refused = self._copied(texts, path, Plain)
        if refused and not refused.of_text:
            refused = self._copied(texts, path, Exact)
        is_sifted = refused is not None or not self._is_whole(texts, path, rejects)
        if is_sifted:
            rejects.clear()
            self._sifted(texts, path, rejects)
        return path, is_sifted

    def _copied(self, texts: list[Text], path: str, manner: type[Exact]) -> reader.Refusal | None:
        """Write wide rows; or return why they cannot be read, or not in such a manner."""
        if not texts:
            return reader.Refusal("nothing", of_text=True)
        rows = reader.query(texts, self.options, manner=manner)
        if manner is Plain:
            looked_at = f"case when {FAULT} then error({literal(_NOT_PLAIN)}) else true end"
            rows = f"select * exclude ({FAULT}) from ({rows}) where {looked_at}"
        if self.options.keeps_unknown:
            rows = f"select * from ({rows}) positional join ({unknown_keys.query(texts)})"
        try:
            self._copy(rows, path)
        except reader.refusals() as error:
            if bounded.is_full(error):
                raise
            refused = reader.refusal(error)
            return refused._replace(of_text=refused.of_text and _NOT_PLAIN not in refused.reason)
        return None

    def _is_whole(self, texts: list[Text], path: str, rejects: quarantine.Spilled) -> bool:
        """Tell whether each record became a row; those with faults are rejects."""
        rows, faults = self._counts(path)
        if reader.is_doubtful(texts, rows) or reader.may_hold_long_records(
            self.home.connection, texts
        ):
            return False
        if not faults:
            return True
        marked = f"select {_PLACE} from {_rows(path)} where {FAULT} order by {_PLACE}"
        places = self.home.connection.sql(marked).to_arrow_table()[_PLACE].to_numpy()
        batches, end = chain.from_iterable(text.batches() for text in texts), 0
        try:
            for place, found in reader.looked_at(batches, places, self.options):
                rejects.extend(found)
                end = place
        except reader.Nested:
            return False
        return end == rows

    def _counts(self, path: str) -> tuple[int, int]:
        connection = self.home.connection
        marked = FAULT in connection.read_parquet(path).columns
        faults = f"count(*) filter ({FAULT})" if marked else "0"
        ((rows, bad),) = connection.sql(f"select count(*), {faults} from {_rows(path)}").fetchall()
        return rows, bad

    def _sifted(self, texts: list[Text], path: str, rejects: quarantine.Spilled) -> None:
        """Write the records that can be read, batch by batch."""
        from pyarrow import parquet

        schema = reader.nothing(self.options).schema
        connection, folder, _ = self.home
        with parquet.ParquetWriter(path, schema) as writer:
            for _, reading in reader.readings(connection, texts, self.options, folder):
                if reading.table.num_rows:
                    writer.write_table(reading.table.select(schema.names).cast(schema))
                rejects.extend(reading.rejects)

    def _without_older(self, path: str, *, has_faults: bool) -> str:
        """Return the file without faulty records, and older ones of an id if those are to go."""
        connection, identity = self.home.connection, self.options.identity
        wanted = [f"not {FAULT}"] if has_faults and self._counts(path)[1] else []
        rows = f"(select * from {_rows(path)}{_where(wanted)})"
        if self.options.duplicates == "raise":
            lazy.refuse_duplicates(connection, rows, identity)
        elif self.options.duplicates == "latest" and (surplus := self._find_older(rows)):
            lazy.warn_of_duplicates(surplus)
            wanted.append(f"get_bit(getvariable('{_OLDER}'), cast({_PLACE} as integer)) = 0")
        if not wanted:
            return path
        kept = self._path("kept.parquet")
        self._copy(f"select * exclude ({_PLACE}) from {_rows(path)}{_where(wanted)}", kept)
        connection.execute(f"reset variable {_OLDER}")
        os.remove(path)
        return kept

    def _find_older(self, rows: str) -> int:
        """Mark the places of records of which a newer one is there, and return how many.

        Only keys are held.  The marks are bits and no rows, for a join would lose the order.
        """
        connection = self.home.connection
        connection.execute(f"create temp table {_OLDER} as {_older(rows, self.options.identity)}")
        ((count,),) = connection.sql(f"select count(*) from {_OLDER}").fetchall()
        if count:
            ((last,),) = connection.sql(f"select max({_PLACE}) from {rows}").fetchall()
            bits = f"select bitstring_agg(place, 0, {last}) from {_OLDER}"
            connection.execute(f"set variable {_OLDER} = ({bits})")
        connection.execute(f"drop table {_OLDER}")
        return int(count)

    def _copy(self, rows: str, path: str) -> None:
        self.home.connection.execute(f"copy ({rows}) to {literal(path)} (format parquet)")

    def _path(self, name: str) -> str:
        return os.path.join(self.home.folder, name)


def _rows(path: str) -> str:
    return f"read_parquet({literal(path)}, {_PLACE} = true)"


def _where(conditions: Iterable[str]) -> str:
    joined = " and ".join(conditions)
    return f" where {joined}" if joined else ""


def _older(rows: str, identity: tuple[str, ...]) -> str:
    """Return the query of the places of all but the newest record of each id."""
    keys = ", ".join(map(quote, identity))
    is_same = same("keys", "repeated", *map(quote, identity))
    return f"""with keys as not materialized (
  select {keys}, "updated_at", "created_at", {_PLACE} as place
  from {rows}
),
repeated as (
  select {keys}
  from keys
  group by {keys}
  having count(*) > 1
)
select place
from keys
semi join repeated on {is_same}
qualify row_number() over (
  partition by {keys}
  order by "updated_at" desc nulls last, "created_at" desc nulls last, place desc
) > 1"""


def _warn_of_charge_types(connection: duckdb.DuckDBPyConnection, path: str) -> None:
    if "charges" not in connection.read_parquet(path).columns:
        return
    known = f"[{values(catalogue.CHARGE_TYPES)}]"
    strange = f"""with entries as (
  select unnest(charges) as entry
  from {_rows(path)}
  where len(list_filter(charges, lambda e: not coalesce(list_contains({known}, e.type), false))) > 0
)
select coalesce(nullif(entry.type, ''), 'without a type') as type, count(*) as charges
from entries
where not coalesce(list_contains({known}, entry.type), false)
group by 1
order by 2 desc, 1"""
    lazy.warn_of_charge_types(connection.sql(strange).fetchall())
