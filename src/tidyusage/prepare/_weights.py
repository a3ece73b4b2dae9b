"""Parse and check the resource weights of a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import FRAME, literal, quote
from tidyusage.engines import frames
from tidyusage.errors import OptionError, UnknownFieldError, is_number, nearest
from tidyusage.layouts.convert import resources
from tidyusage.prepare._rewrite import ROW

if TYPE_CHECKING:
    from tidyusage.engines.columns import Columns

    Function = Callable[[Any], Any]

# The column in which the weights of a function go beside a frame.
GIVEN: Final = "tu__given"
OTHERS: Final = "*"
# A caller's own entries may lack members.
_TYPE: Final = schema.duckdb_type(schema.list_type("resources"))
NAMED: Final = f"replace (cast(resources as {_TYPE}) as resources)"
_ABOVE: Final = "Weights are numbers from 0 up, one of each record above it."


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of each record's resources.

    ``sql`` is the list of them, in a row of ``source``; without any, all weigh the same.
    ``steps`` lead to that source from ``named``, which has resources of the catalogue's type.
    ``column`` is the frame's column that holds them, if one does.
    """

    sql: str = ""
    hint: str = _ABOVE
    column: str = ""
    steps: str = ""
    source: str = "named"

    @classmethod
    def of(cls, weights: str | Mapping[str, float] | None, found: Columns) -> Weights:
        """Return the weights that a mapping or a column gives; raise for what gives none."""
        if weights is None:
            return cls()
        if isinstance(weights, Mapping):
            return cls(_of_mapping(weights), f"{_ABOVE} The key {OTHERS!r} weighs all others.")
        if not isinstance(weights, str):
            raise OptionError(
                f"weights={weights!r} weighs nothing.",
                "Give a mapping of resource ids, the name of a column, or a function.",
            )
        if weights not in found.own:
            raise _no_column(weights, found)
        hint = f"{_ABOVE} {weights!r} lists one for each resource, in their order."
        return cls(f"try_cast({quote(weights)} as double[])", hint, weights)

    @classmethod
    def of_relation(cls, weigh: Function, relation: Any) -> Weights:
        """Return the weights that a function gives as SQL over a relation's entries."""
        entries = cast("Any", resources(relation, duplicates="keep"))
        sql = str(weigh(entries))
        names = dict(zip(_ENTRY, entries.columns, strict=True))
        columns = ", ".join(f"{text} as {quote(names[name])}" for name, text in _ENTRY.items())
        return cls(
            "tu__given",
            steps=f"""entries as (
  select {ROW}, id as tu__id, unnest(resources) as tu__entry,
    unnest(range(len(resources))) as tu__place
  from named
),
members as (
  select {columns}
  from entries
),
listed as (
  select record as tu__record, list(try_cast({sql} as double) order by position) as tu__given
  from members
  group by record
),
weighty as (
  select named.*, tu__given
  from named
  left join listed on tu__record = {ROW}
),
""",
            source="weighty",
        )

    @property
    def guard(self) -> str:
        """The sentence around what is wrong with a record's weights."""
        return f"{{}}\n\n{self.hint}" if self.sql else ""

    @property
    def problem(self) -> str:
        """The SQL of what is wrong with the weights of one of the records, if anything is."""
        # The frame itself is read again, for the two or three columns that tell.
        source = self.source if self.steps else f"(select * {NAMED} from {FRAME})"
        return f"""(
    select min({_problem("tu__weights")})
    from (select id, resources, {self.sql} as tu__weights from {source})
  )"""


def attached(frame: Any, weigh: Function) -> Any:
    """Return an eager frame with a further column `GIVEN`: the weights that a function gives."""
    backend = frames.backend_of(frame)
    if backend == "pyarrow":
        frame = frames.to_arrow(frame)
    entries = cast("Any", resources(frame, duplicates="keep"))
    values = weigh(entries)
    if backend == "polars" and type(values).__name__ == "Expr":
        values = entries.select(values.alias(GIVEN))[GIVEN]
    column = _listed(_numbers(values, frames.height(entries)), entries, frames.height(frame))
    if backend == "pandas":
        import pandas as pd

        series = pd.Series(pd.arrays.ArrowExtensionArray(column), index=frame.index)
        return frame.assign(**{GIVEN: series})
    if backend == "polars":
        import polars as pl

        return frame.with_columns(pl.Series(GIVEN, pl.from_arrow(column)))
    return frame.append_column(GIVEN, column)


def _of_mapping(weights: Mapping[str, float]) -> str:
    for name, weight in weights.items():
        if not isinstance(name, str):
            raise OptionError(f"weights= names the resource {name!r}.", "Name resources as text.")
        if not is_number(weight) or weight < 0:
            raise OptionError(f"weights= gives {name!r} the weight {weight!r}.", _ABOVE)
    sql = {name: f"cast({literal(float(weight))} as double)" for name, weight in weights.items()}
    others = sql.pop(OTHERS, "cast(null as double)")
    cases = " ".join(f"when {literal(name)} then {number}" for name, number in sql.items())
    number = f"case tu__e.id {cases} else {others} end" if cases else others
    return f"list_transform(resources, lambda tu__e: {number})"


def _no_column(name: str, found: Columns) -> Exception:
    if name in found.known.values():
        return OptionError(
            f"weights={name!r} is a field of the record, which holds no list of numbers.",
            "Name a column of your own that lists one for each resource.",
        )
    return UnknownFieldError(
        f"The frame has no column {name!r} of weights.",
        nearest(name, found.own) if found.own else "Add one, or give a mapping or a function.",
    )


def _problem(weights: str) -> str:
    """Return the SQL of what is wrong with a record's weights, null if nothing is."""
    record = f"concat('The record ', {_named('id')})"
    which = f"{weights}[tu__i + 1]"
    resource = f"concat('the resource ', {_named('resources[tu__i + 1].id')})"
    missing = f"{which} is null or isnan({which})"
    wrong = f"{which} < 0 or isinf({which})"

    def first(test: str, text: str) -> str:
        places = f"list_filter(range(len(resources)), lambda tu__i: {test})"
        return f"list_transform({places}, lambda tu__i: {text})[1]"

    none = f"concat({record}, ' has no weight for ', {resource}, '.')"
    bad = f"concat({record}, ' gives ', {resource}, ' the weight ', {which}, '.')"
    return f"""case
      when len(resources) > 1 is not true then null
      when {weights} is null
        then concat({record}, ' has ', len(resources), ' resources and no weights.')
      when len({weights}) <> len(resources) then concat(
        {record}, ' has ', len(resources), ' resources and ', len({weights}), ' weights.'
      )
      else coalesce(
        {first(missing, none)},
        {first(wrong, bad)},
        case when list_max({weights}) = 0 then concat({record}, ' has no weight above 0.') end
      )
    end"""


def _named(id_: str) -> str:
    quoted = literal("'")
    return f"coalesce({quoted} || {id_} || {quoted}, 'without an id')"


def _numbers(values: Any, height: int) -> pa.Array[Any]:
    """Return what a function gave as numbers; raise if they are none, or not one a row."""
    try:
        given = values.to_arrow() if hasattr(values, "to_arrow") else values
        if isinstance(given, pa.ChunkedArray):
            given = given.combine_chunks()
        if not isinstance(given, pa.Array):
            given = pa.array(given, from_pandas=True)
        found: pa.Array[Any] = given.cast(pa.float64())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise OptionError(
            f"The function of weights gave {type(values).__name__} without numbers.",
            "Let it return a number for each row of the frame that it is given.",
        ) from error
    if len(found) != height:
        raise OptionError(
            f"The function of weights gave {len(found):,} numbers for {height:,} rows.",
            "Let it return a number for each row of the frame that it is given.",
        )
    return found


def _listed(numbers: pa.Array[Any], entries: Any, height: int) -> pa.Array[Any]:
    """Return the numbers of entries as a list for each record."""
    import numpy as np

    counts = np.bincount(np.asarray(entries["record"], dtype=np.int64), minlength=height)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), numbers)
    return cast("pa.Array[Any]", lists)


_ENTRY: Final = {
    "record": ROW,
    "id": "tu__id",
    "position": "tu__place",
    "resources.id": "tu__entry.id",
    "resources.name": "tu__entry.name",
    "resources.workspace.id": "tu__entry.workspace.id",
    "resources.workspace.name": "tu__entry.workspace.name",
}
