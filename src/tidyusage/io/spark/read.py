"""Build the requested Spark frame; the plan runs when the frame is used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tidyusage._utils.sql import FRAME
from tidyusage.engines import spark
from tidyusage.engines.spark import active_session
from tidyusage.errors import RecordError, UnknownKeyWarning, warn
from tidyusage.io import lazy, reader, rejects, unknown_keys
from tidyusage.io.parse_sql import FAULT, FAULT_AT
from tidyusage.io.spark import files, new_keys, raw, reject_places
from tidyusage.io.spark.typed_sql import EXTRA, LINE, Curious, Judging, Lines
from tidyusage.schema import rename

if TYPE_CHECKING:
    from tidyusage.io.options import Options


def from_files(source: Any, options: Options) -> Any:
    """Return the files that a path names as a lazy frame of Spark."""
    here, places = active_session(options.session), files.paths(source)
    if files.is_parquet(places):
        return from_frame(here.read.parquet(*places), options)
    lines = files.lines(here, places, options.rejects)
    options = replace(options, has_source=lines.has_source)
    if options.unknown == "warn":
        unknown_keys.warn_over(files.sample(lines), has_source=options.has_source)
    return _relation(lines.records, lines.read, options, from_frame=False)


def from_frame(frame: Any, options: Options) -> Any:
    """Return a frame of nested rows, or of lines of JSON, as a lazy frame of the layout."""
    is_text = frame.dtypes == [(LINE, "string")]
    has_source = "source" in frame.columns
    options = replace(options, has_source=has_source)
    if not is_text:
        _look_at_type(frame, options)
    rows = files.texts(frame)
    return _relation(rows, rows, options, from_frame=not is_text)


def _look_at_type(frame: Any, options: Options) -> None:
    """Say which columns the schema does not know; a frame's type tells of all its rows."""
    known = unknown_keys.known_tree(options.has_source)
    found = list(new_keys.of_type(frame.schema, known))
    if not found or options.unknown not in {"warn", "raise"}:
        return
    named = ", ".join(found[:10])
    if options.unknown == "raise":
        raise RecordError(f"The schema does not know {named}.", "unknown='ignore' drops them.")
    warn(
        f"The schema does not know {named}; they are dropped. unknown='keep' keeps such keys.",
        UnknownKeyWarning,
    )


def _relation(records: Any, read: Any, options: Options, *, from_frame: bool) -> Any:
    keeps = options.unknown == "keep" or (options.unknown == "raise" and not from_frame)
    rows = raw.records(
        records, remote_data=options.keeps_remote_data, source=options.has_source, unknown=keeps
    )
    if options.unknown == "raise" and not from_frame:
        _refuse_unknown(rows)
    typed = _query(options, Curious if options.keeps_unknown else Lines, from_frame=from_frame)
    if options.rejects is not None:
        _set_aside(records, read, options, from_frame=from_frame)
        good = f"select * exclude ({FAULT}, {FAULT_AT}) from ({typed}) where not {FAULT}"
    else:
        good = lazy.guarded(typed)
    if options.duplicates == "raise":
        _refuse_duplicates(spark.over(rows, good), options)
    found = spark.over(rows, lazy.layout(good, options))
    types = options.types()
    return spark.typed(
        found, {rename(name, options.sep): (name, type_) for name, type_ in types.items()}
    )


def _query(options: Options, manner: type[Lines], *, from_frame: bool) -> str:
    return reader.query_raw(FRAME, options, from_frame=from_frame, explain=True, manner=manner)


def _set_aside(records: Any, read: Any, options: Options, *, from_frame: bool) -> None:
    """Write the records that cannot be read to a file, and say how many there are."""
    all_ = replace(options, layout="wide", unknown="ignore", remote_data="drop")
    rows = raw.records(records, source=options.has_source, kept=Judging.kept)
    judged = spark.over(rows, _query(all_, Judging, from_frame=from_frame))
    refused = reject_places.refused(
        judged, read, from_frame=from_frame, currency=options.default_currency
    )
    rejects.report(refused, options.rejects)


def _refuse_unknown(rows: Any) -> None:
    """Raise if any record holds a key that the schema does not know."""
    keys = f"explode(json_object_keys({EXTRA})) as key"
    path = "regexp_replace(key, '\\\\[\\\\d+\\\\]', '[]') as path"
    counted = rows.selectExpr(keys).selectExpr(path).groupBy("path").count()
    found = counted.orderBy("count", "path", ascending=[False, True]).collect()
    if found:
        raise unknown_keys.refusal([(row[0], row[1]) for row in found])


def _refuse_duplicates(rows: Any, options: Options) -> None:
    """Raise if an id stands on several records."""
    found = spark.over(rows, lazy.repeated(FRAME, options.identity)).collect()
    if found:
        raise lazy.repetition([(row[0], row[1]) for row in found])
