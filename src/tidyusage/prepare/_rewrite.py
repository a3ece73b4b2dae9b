"""From a wide frame to a wide frame: some of its rows, or rows written anew by SQL.

SQL sees the frame as the step ``usage``: its columns under their dotted names, the caller's own
under theirs, instants without a zone in UTC, and `ROW`, each row's place from 0.  What comes back
has the frame's spelling and dtypes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import FRAME, clauses, quote
from tidyusage.engines import frames, relations
from tidyusage.engines import spark as sparks
from tidyusage.engines.columns import Columns, columns, layout_types
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import FrameError
from tidyusage.metrics import _source

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    import duckdb
    import polars as pl

    from tidyusage.typing import FrameT

ROW: Final = "tu__row"


def wide(frame: object) -> Columns:
    """Look at a frame's columns; raise if it is no wide one."""
    found = columns(frame)
    if found.layout != "wide":
        hint = "to_wide() makes it of a long one." if found.layout == "long" else ""
        raise FrameError(f"This is a frame of {found.layout}; a wide one is needed.", hint)
    return found


def usage(
    found: Columns,
    wanted: Iterable[str] | None = None,
    own: Iterable[str] = (),
    aliased: Mapping[str, str] | None = None,
) -> str:
    """Return the step ``usage``: the wanted fields, null where absent; without any, all columns.

    ``own`` are further columns that pass through; ``aliased`` are columns of the frame by the name
    that they have in the step.
    """
    if wanted is None:
        parts = {path: quote(column) for path, column in found.known.items()}
        parts |= {name: quote(name) for name in found.own}
    else:
        parts = {
            path: quote(found.known[path]) if path in found.known else _source.null(path)
            for path in dict.fromkeys(wanted)
        }
    named = [f"{sql} as {quote(name)}" for name, sql in parts.items()]
    named += map(quote, own)
    named += [f"{quote(column)} as {alias}" for alias, column in (aliased or {}).items()]
    rows = clauses([*named, f"row_number() over () - 1 as {ROW}"])
    return f"usage as (\n  select\n    {rows}\n  from {FRAME}\n)"


def rewritten(
    frame: FrameT,
    found: Columns,
    sql: str,
    *,
    changed: Iterable[str] = (),
    added: Mapping[str, pa.DataType] | None = None,
    without: Container[str] = (),
    guard: str = "",
    kinds: Mapping[str, str] | None = None,
) -> FrameT:
    """Return the rows that SQL makes of all of a frame's columns, in its order.

    ``sql`` are the steps after ``usage``; its last select names every column of the frame by
    its dotted name, then those ``added``.  Columns that are ``changed`` take the catalogue's
    dtypes, all others keep their own; those of the caller's ``without`` which the answer is are
    read alone.  A ``guard`` is as in `answers.Query`, and so are the ``kinds`` of own columns.
    """
    own = [name for name in (*found.known.values(), *found.own) if name not in without]
    keys = {column: path for path, column in found.known.items()}
    new = {schema.rename(name, found.sep): type_ for name, type_ in (added or {}).items()}
    if meeting := [name for name in new if name in own]:
        raise FrameError(
            f"The frame has a column {meeting[0]!r}, as the answer would.", "Rename or drop it."
        )
    catalogued = layout_types("wide")
    renewed = {found.known[path]: catalogued[path] for path in changed if path in found.known}
    nested = {
        column: catalogued[path]
        for path, column in found.known.items()
        if pa.types.is_nested(catalogued[path])
    }
    query = Query(
        f"with {usage(found)},\n{sql}",
        (*found.known.values(), *found.own),
        {**dict.fromkeys(own), **nested, **renewed, **new},
        {name: name for name in own if name not in nested and name not in renewed},
        guard=guard,
        kinds={**_source.kinds(found, filter(_source.DTYPES.get, found.known)), **(kinds or {})},
        keys={**keys, **{schema.rename(name, found.sep): name for name in added or {}}},
        of_rows=True,
    )
    return run_query(frame, query)


def chosen(
    frame: FrameT,
    found: Columns,
    steps: str,
    fields: Iterable[str],
    *,
    of: str,
    where: str,
    aliased: Mapping[str, str] | None = None,
) -> FrameT:
    """Return some of a frame's rows, as they are and in their order.

    ``steps`` are those after ``usage``, which holds the ``fields`` and the columns ``aliased``;
    kept are the rows ``where`` the last one, ``of``, says so.  Each step keeps the columns of the
    one before it.
    """
    fields = tuple(fields)
    needs = tuple(found.known[path] for path in fields if path in found.known)
    needs = tuple(dict.fromkeys((*needs, *(aliased or {}).values())))
    query = Query(
        f"""with {usage(found, fields, aliased=aliased)},
{steps}
select {ROW}
from {of}
where {where}""",
        needs or (found.known["id"],),
        {ROW: pa.int64()},
        {},
        kinds=_source.kinds(found, [path for path in fields if path in _source.DTYPES]),
    )
    backend = frames.backend_of(frame)
    if backend == "duckdb":
        return cast("FrameT", _of_relation(cast("duckdb.DuckDBPyRelation", frame), query))
    if backend == "pyspark":
        # Places of rows would be another's when the rows are read again: they go through at once.
        return cast(
            "FrameT",
            sparks.kept(
                frame,
                lambda own: (
                    f"""with {usage(found, fields, own, aliased)},
{steps}
select {", ".join(own)}
from {of}
where {where}"""
                ),
                query.needs,
                query.kinds,
            ),
        )
    if frames.is_lazy(frame):
        lazy = cast("pl.LazyFrame", frame)
        kept = lazy.map_batches(lambda eager: _taken(eager, query), schema=lazy.collect_schema())
        return cast("FrameT", kept)
    return cast("FrameT", _taken(frame, query))


def _taken(frame: Any, query: Query) -> Any:
    """Return the rows of an eager frame that a query names."""
    import numpy as np

    backend = frames.backend_of(frame)
    asked = frame[list(query.needs)] if backend == "pandas" else frame.select(list(query.needs))
    places = np.sort(frames.collected(run_query(asked, query))[ROW].to_numpy())
    if backend == "pandas":
        return frame.iloc[places]
    if backend == "polars":
        return frame[places]
    return frames.to_arrow(frame).take(pa.array(places, pa.int64()))


def _of_relation(relation: duckdb.DuckDBPyRelation, query: Query) -> duckdb.DuckDBPyRelation:
    numbered = relation.project(f"*, row_number() over () - 1 as {ROW}")
    steps, places = relations.beside(numbered, query.needs, query.sql)
    return frames.queried(
        numbered,
        f"""{steps}
select * exclude ({ROW})
from {relations.ALL}
where {ROW} in ({places})
order by {ROW}""",
    )
