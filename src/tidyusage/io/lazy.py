"""Return a lazy DuckDB relation on the caller's connection."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from tidyusage import catalogue, schema
from tidyusage._utils import bounded, connections
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import frames
from tidyusage.errors import (
    ChargeTypeWarning,
    DuplicateWarning,
    FrameError,
    RecordError,
    named,
    warn,
)
from tidyusage.io import reader, rejects, unknown_keys
from tidyusage.io.json_text import CUT_OFF
from tidyusage.io.parse_sql import FAULT, Exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import duckdb

    from tidyusage.io.inputs import Text
    from tidyusage.io.options import Options
    from tidyusage.io.rejects import Reject


def relation(spooled: Callable[[str], list[Text]], options: Options) -> duckdb.DuckDBPyRelation:
    """Return texts as a lazy relation; options that need every record look through them now."""
    import duckdb

    connection = options.connection or duckdb.default_connection()
    folder = bounded.new_folder()
    try:
        texts = [text.on_disk() for text in spooled(folder)]
        options = replace(options, has_source=any(text.has_source for text in texts))
        texts = _verified(texts, folder, options)
    finally:
        bounded.keep_with(connection, folder)
    return frames.spelled(connection.sql(_query(texts, options)), options.types(), options.sep)


def over(rows: duckdb.DuckDBPyRelation, options: Options) -> duckdb.DuckDBPyRelation:
    """Return a relation of nested rows as a lazy relation of the layout."""
    _require_nested(rows)
    options = replace(options, has_source="source" in rows.columns)
    raw = from_rows(FRAME, source=options.has_source)
    sql = layout(guarded(reader.query_raw(raw, options, from_frame=True, explain=True)), options)
    return frames.spelled(frames.queried(rows, sql), options.types(), options.sep)


def _require_nested(rows: duckdb.DuckDBPyRelation) -> None:
    """Raise at once for text where objects or lists belong: every row would be rejected."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    for key, child in catalogue.tree().items():
        if not isinstance(child, catalogue.Field) and types.get(key) == "VARCHAR":
            wanted = "lists" if isinstance(child, list) else "objects"
            raise FrameError(
                f"The column {key!r} holds text, and {wanted} belong there.",
                f"If it is JSON, convert it first: select * replace ({key}::json as {key}).",
            )


def latest(frame: str, identity: Iterable[str] = ("id",), *, in_order: bool = True) -> str:
    """Return the query that keeps the newest record of each id, where it stands."""
    end = "order by place" if in_order else ""
    return f"""
with places as (select *, row_number() over () as place from {frame})
select * exclude (place)
from places
qualify row_number() over (
  partition by {", ".join(map(quote, identity))}
  order by "updated_at" desc nulls last, "created_at" desc nulls last, place desc
) = 1
{end}
"""


def repeated(frame: str, identity: Iterable[str] = ("id",)) -> str:
    """Return the query of the ids that stand on several records."""
    return f"""
select "id", count(*) as records
from {frame}
group by {", ".join(map(quote, identity))}
having count(*) > 1
order by records desc, "id"
"""


def _verified(texts: list[Text], folder: str, options: Options) -> list[Text]:
    for text in texts:
        if text.is_cut_off() and options.rejects is None:
            raise RecordError(
                f"{text.label} is cut off: {CUT_OFF}.", "Give rejects=PATH to read what is there."
            )
    with connections.connect() as connection:
        if options.unknown == "raise":
            unknown_keys.refuse(connection, texts)
        if options.rejects is not None:
            texts, refused = _sifted(connection, texts, options, folder)
            rejects.report(refused, options.rejects)
        if options.duplicates == "raise":
            rows = f"({guarded(reader.query(texts, options, explain=True))})"
            refuse_duplicates(connection, rows, options.identity)
    return texts


def _sifted(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], options: Options, folder: str
) -> tuple[list[Text], list[Reject]]:
    """Return texts without the records that cannot be read, and those; in bounded memory."""
    refused: list[Reject] = []
    readable: list[Text] = []
    for batch, reading in reader.readings(connection, texts, options):
        refused.extend(reading.rejects)
        rows = enumerate(batch.rows())
        good = [row for position, row in rows if position not in reading.faulty]
        path = os.path.join(folder, f"readable-{len(readable)}")
        readable.append(replace(batch, lines=b"", found=good).write(path))
    return (readable, refused) if refused else (list(texts), [])


def refuse_duplicates(
    connection: duckdb.DuckDBPyConnection, frame: str, identity: Iterable[str]
) -> None:
    """Raise if an id stands on several records, and name the ids."""
    if found := connection.sql(repeated(frame, identity)).fetchall():
        raise repetition(found)


def repetition(found: Sequence[tuple[object, int]]) -> RecordError:
    """Return the error over ids that stand on several records."""
    return RecordError(
        f"{len(found):,} id{'s stand' if len(found) > 1 else ' stands'} on several records: "
        f"{named(found)}.",
        "duplicates='latest' keeps the newest of each, 'keep' keeps all.",
    )


def warn_of_duplicates(surplus: int) -> None:
    """Say how many records were dropped for newer ones of the same id."""
    warn(
        f"{surplus:,} record{'s' if surplus > 1 else ''} dropped: the id stands on a newer record. "
        "duplicates='keep' keeps all, 'raise' names the ids.",
        DuplicateWarning,
    )


def warn_of_charge_types(counts: Sequence[tuple[str, int]]) -> None:
    """Say which types of charges the schema does not know, and how many charges have them."""
    if counts:
        warn(
            f"The schema does not know the charge types {named(counts)}; "
            "they stay in the column charges, and have rows of their own in long.",
            ChargeTypeWarning,
        )


def _query(texts: Sequence[Text], options: Options) -> str:
    rows = guarded(reader.query(texts, options, explain=True))
    if options.keeps_unknown:
        rows = f"select * from ({rows}) positional join ({unknown_keys.query(texts)})"
    return layout(rows, options)


def guarded(rows: str) -> str:
    """Have a query raise over a record that cannot be read."""
    message = (
        "'tidyusage: the record with id ' || coalesce(\"id\", 'null') || ' cannot be read: see '"
        f" || coalesce({FAULT}_at, '?') || '. Give rejects= to set such records aside.'"
    )
    return (
        f"select * exclude ({FAULT}, {FAULT}_at) from ({rows})\n"
        f"where case when {FAULT} then error({message}) else true end"
    )


def layout(rows: str, options: Options) -> str:
    """Return the query of the layout over one of wide rows, of each id as often as asked for."""
    if options.duplicates == "latest":
        # Spark's rows have no order, and to sort them all would be a shuffle of its own.
        rows = latest(f"({rows})", options.identity, in_order=options.backend != "pyspark")
    elif options.marks_records:
        rows = f"select *, row_number() over () - 1 as record from ({rows})"
    return options.query(f"({rows})")


def from_rows(rows: str, *, source: bool = False) -> str:
    """Return the SQL of a table of raw records made from nested columns of any type.

    Rows become JSON and are read again: DuckDB's cast turns a list into an empty object without
    a word, so what should be an object or a list is looked at first.
    """
    checks = [
        _is_not(path, is_list) for path, _, is_list in catalogue.objects() if "[]" not in path
    ]
    wrong = " or ".join(f"coalesce({check}, false)" for check in checks)
    struct = schema.raw_struct(remote_data=True, text=Exact.text_type, source=source)
    message = literal(
        "tidyusage: a row holds a list or text where an object belongs, or the other way round."
    )
    return (
        f"(select unnest(case when {wrong} then error({message}) else try_cast(j as {struct}) end)"
        f" from (select to_json(tidyusage_row) as j from {rows} as tidyusage_row))"
    )


def _is_not(path: str, is_list: bool) -> str:
    pointer = literal("/" + path.replace(".", "/"))
    kind = "ARRAY" if is_list else "OBJECT"
    return f"json_type(j, {pointer}) not in ('{kind}', 'NULL')"
