"""Resolve a metric's options: the columns it needs, its dimensions and periods, as SQL.

The text is over a frame called `FRAME`: its first step, ``usage``, brings the columns under their
dotted names, whatever layout and spelling the frame has; every further step is a definition.
`tidyusage.engines.query` runs it where the frame lives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_args

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import clauses, quote
from tidyusage.engines import frames
from tidyusage.engines.columns import columns as columns_of
from tidyusage.engines.dialects import lists as lists_
from tidyusage.engines.dialects.lists import ACCEPTED, DERIVED, REJECTED, Lists
from tidyusage.engines.dialects.translate import Table
from tidyusage.engines.query import Query
from tidyusage.errors import FrameError, OptionError, UnknownFieldError, nearest
from tidyusage.layouts.convert_sql import COUNTS
from tidyusage.metrics import _charges, _missing_charges, _person, _source, _spread
from tidyusage.metrics._missing_charges import MissingCharges
from tidyusage.metrics._overlap import checked
from tidyusage.metrics._periods import PART, PERIOD, WEIGHT
from tidyusage.metrics._source import RECORD, Dimension, Folded
from tidyusage.typing import Freq

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidyusage.engines.columns import Columns
    from tidyusage.metrics._periods import Periods
    from tidyusage.typing import Charge, Overlap

NUMBER: Final = schema.ARROW["number"]
TEXT: Final = schema.ARROW["string"]
INTEGER: Final = pa.int64()
BOOLEAN: Final = schema.ARROW["boolean"]
INSTANT: Final = schema.ARROW["timestamp"]
TOOL: Final = "tool"
_RESOURCES: Final = tuple(field.column for field in catalogue.LISTS["resources"])
_PATHS: Final = (
    *(field.column for field in (*catalogue.SCALARS, *catalogue.SOURCE)),
    "charges.currency",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """A frame's columns, and the dimensions and periods that were asked for.

    With periods, a record is split over those that its window touches; or is ``whole``, with the
    first and the last of them.
    """

    columns: Columns
    by: tuple[Dimension, ...]
    periods: Periods | None = None
    whole: bool = False
    lists: Lists = lists_.DUCKDB
    overlap: Overlap = "ignore"
    people: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        columns: Columns,
        by: Iterable[str | Folded],
        periods: Periods | None = None,
        *,
        whole: bool = False,
        lists: Lists = lists_.DUCKDB,
        overlap: Overlap = "ignore",
        people: Mapping[str, str] | None = None,
    ) -> Usage:
        """Resolve the names of dimensions; raise for what is none."""
        if columns.layout not in {"wide", "long"}:
            raise FrameError(
                f"This is a frame of {columns.layout}, of which no metric can be made.",
                "Give the wide or the long frame.",
            )
        found = tuple(_dimension(columns, name, place) for place, name in enumerate(by))
        names = [dimension.name for dimension in found]
        if twice := [name for name in names if names.count(name) > 1]:
            raise OptionError(f"The dimension {twice[0]!r} is named twice.", "Name it once.")
        given = _person.checked(people)
        return cls(columns, found, periods, whole, lists, overlap, given)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell groups apart, quoted: the period, then the dimensions."""
        period = [PERIOD] if self.periods else []
        return tuple(map(quote, (*period, *(dimension.key for dimension in self.by))))

    @property
    def period(self) -> tuple[str, ...]:
        """The column of the period, quoted, if one was asked for."""
        return self.keys[:1] if self.periods else ()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions' columns, quoted."""
        return self.keys[len(self.period) :]

    @property
    def tool(self) -> str | None:
        """The column of the tool, quoted, if it is a dimension that the frame has."""
        return next((quote(d.key) for d in self.by if d.child == "tool_actions"), None)

    @property
    def has_lists(self) -> bool:
        """Whether a dimension stands in a list of the record, so that a record has several."""
        return any(dimension.child for dimension in self.by)

    @property
    def is_split(self) -> bool:
        """Whether a record may be several rows of ``usage``, each with a weight."""
        return self.has_lists or (self.periods is not None and not self.whole)

    def count(self, present: str | None = None) -> str:
        """Return the SQL of how many records there are, or how many have what must be present."""
        if not self.is_split:
            return f"count({present or '*'})"
        record = f"case when {present} is not null then {RECORD} end" if present else RECORD
        return f"count(distinct {record})"

    @property
    def votes(self) -> str:
        """The SQL of how many records there are, one that is several rows counting once in all."""
        return f"sum({WEIGHT})" if self.is_split else "count(*)"

    @property
    def marks(self) -> tuple[str, ...]:
        """The columns that tell records apart and weigh their rows, where there may be several."""
        return (RECORD, WEIGHT) if self.is_split else ()

    def share(self, amount: str) -> str:
        """Return the SQL of a row's share of an additive amount of its record."""
        return f"({amount}) * {WEIGHT}" if self.is_split else amount

    def share_of_tool(self, amount: str) -> str:
        """Return the SQL of a row's share of tool actions; by tool, they are that tool's own."""
        if self.tool is None:
            return self.share(amount)
        return f"({amount}) * {PART}" if self.periods else amount

    @property
    def has_persons(self) -> bool:
        """Whether the frame has a column of its own that says who a record's person is."""
        return _person.COLUMN in self.columns.own

    @property
    def person_fields(self) -> tuple[str, ...]:
        """The columns that tell a record's person."""
        return (*_person.FIELDS, *([_person.OWN] if self.has_persons else []))

    @property
    def user_fields(self) -> tuple[str, ...]:
        """The columns that name people; a frame needs at least one of them to count people."""
        return (*_person.FIELDS[1:3], *([_person.OWN] if self.has_persons else []))

    @property
    def cut_fields(self) -> tuple[str, ...]:
        """The column that says which windows are parts of a longer one, if the frame has it."""
        return (_source.CUT,) if _source.OWN[_source.CUT] in self.columns.own else ()

    def holds(self, path: str) -> bool:
        """Tell whether the frame may hold a field."""
        if path in _source.OWN:
            return _source.OWN[path] in self.columns.own
        path = COUNTS if path in DERIVED else path
        return self.columns.layout == "long" or path in self.columns.known

    def require(self, fields: Iterable[str], metric: str) -> None:
        """Raise if a frame has none of the columns that a metric needs."""
        fields = tuple(fields)
        if not any(map(self.holds, fields)):
            named = ", ".join(schema.rename(field, self.columns.sep) for field in fields)
            raise UnknownFieldError(
                f"The frame has none of the columns that {metric} needs: {named}.",
                "Keep at least one of them.",
            )

    def query(
        self,
        sql: str,
        fields: Iterable[str],
        results: Mapping[str, pa.DataType],
        *,
        nullable: tuple[str, ...] = (),
        guard: str = "",
        notice: str = "",
        portable: bool = True,
        charge: Charge | None = None,
        of_days: Iterable[str] = (),
    ) -> Query:
        """Return a metric's query; ``sql`` are its steps after ``usage``, made of ``fields``.

        ``charge`` is the policy whose amounts it reads, if any; ``of_days`` are fields that it
        reads of the step ``day_records``, which has the dimensions and is there if any are named.
        """
        fields = tuple(dict.fromkeys((*fields, *(self.periods.fields if self.periods else ()))))
        read = tuple(dict.fromkeys((*fields, *of_days)))
        if self._names_persons(fields):
            read = tuple(dict.fromkeys((*read, *self.person_fields)))
        period = {PERIOD: self.periods.type} if self.periods else {}
        names = [dimension.name for dimension in self.by]
        taken = {name.lower() for name in (*period, *results)}
        if meeting := [name for name in names if name.lower() in taken]:
            raise OptionError(
                f"The dimension {meeting[0]!r} is called like a column of the answer.",
                "Rename that column of the frame.",
            )
        brought = tuple(name for name in DERIVED if name in fields and self._brings(name))
        needs = _source.needs(self.columns, self.by, read)
        return Query(
            f"with {self._steps(fields, self.lists, of_days)},\n{sql}",
            needs,
            {**period, **dict.fromkeys(names), **results},
            {of.name: of.typed_as for of in self.by},
            _for_polars(f"with {self._steps(fields, lists_.BROUGHT)},\n{sql}")
            if portable and self._is_portable(fields)
            else "",
            partial(lists_.brought, counts=self.columns.known[COUNTS], names=brought)
            if brought
            else None,
            nullable,
            guard,
            _source.kinds(self.columns, read),
            {dimension.name: dimension.key for dimension in self.by},
            partial(self._look, charge=charge),
            notice=notice,
        )

    def missing_charges(self, charge: Charge) -> MissingCharges | None:
        """Return the charge columns that the frame lacks, and the query of whether they matter."""
        # In a long frame an absent metric means that there is no such amount.
        is_wide = self.columns.layout == "wide"
        tests = _charges.missing_columns(charge, self.columns.known) if is_wide else {}
        if not tests:
            return None
        types = dict.fromkeys(_missing_charges.count_columns(tests), INTEGER)
        query = Usage(self.columns, (), lists=self.lists).query(
            _missing_charges.counts_sql(tests), _charges.fields_of(charge), types
        )
        names = tuple(schema.rename(name, self.columns.sep) for name in tests)
        return MissingCharges(
            names, query, charge == _charges.BILLED and _charges.NET in self.columns.known
        )

    def _look(self, frame: Any, needs: Iterable[str], charge: Charge | None) -> Any:
        """Check a frame first: overlaps, missing charge columns, and figures that are spread."""
        needs = tuple(needs)
        frame = checked(frame, self.overlap, needs)
        if self.periods is not None and not self.whole:
            frame = _spread.checked(frame, self.columns, self.periods, needs)
        if charge is None or _missing_charges.is_checked(self.overlap):
            return frame
        return _missing_charges.checked(frame, self.missing_charges(charge), needs)

    def _brings(self, derived: str) -> bool:
        """Tell whether Polars is to bring a derived field of a wide frame's lists."""
        return self.columns.layout == "wide" and self.holds(derived)

    def _is_portable(self, fields: tuple[str, ...]) -> bool:
        """Tell whether Polars' SQL can run it, with the derived fields brought to it."""
        of_long = self.columns.layout == "long" and {ACCEPTED, REJECTED} & set(fields)
        has_lists = (COUNTS in fields or of_long) and self.holds(COUNTS)
        has_lists = has_lists or _source.CHARGES in fields
        has_zone = self.periods is not None and not self.periods.is_plain
        return not self.is_split and not has_lists and not has_zone

    def _steps(self, fields: tuple[str, ...], lists: Lists, of_days: Iterable[str] = ()) -> str:
        step = "usage" if self.periods is None else "records"
        read, days = fields, ""
        if of_days and self.columns.layout == "wide" and not self._names_persons(fields):
            # A step that is read twice is held in memory; reading the frame twice costs less.
            split = self.has_lists
            rows = _source.select(self.columns, self.by, of_days, split=split, lists=lists)
            days = f",\nday_records as (\n  {rows}\n)"
        elif of_days:
            read = tuple(dict.fromkeys((*fields, *of_days)))
            days = f",\nday_records as (\n  select *\n  from {step}\n)"
        records = f"{self._records(step, read, lists)}{days}"
        if self.periods is None:
            return records
        names = (*fields, *(dimension.key for dimension in self.by))
        steps = (
            self.periods.touched("records")
            if self.whole
            else self.periods.split("records", (*names, RECORD))
        )
        return f"{records},\n{steps}"

    def _names_persons(self, fields: Iterable[str]) -> bool:
        """Tell whether each record's person is asked for, by a dimension or by a metric."""
        return _person.PERSON in fields or any(dimension.is_person for dimension in self.by)

    def _records(self, step: str, fields: tuple[str, ...], lists: Lists) -> str:
        """Return the steps to one with the dimensions and fields, one row a record."""
        read = tuple(field for field in fields if field != _person.PERSON)
        if not self._names_persons(fields):
            rows = _source.select(self.columns, self.by, read, split=self.is_split, lists=lists)
            return f"{step} as (\n  {rows}\n)"
        read = tuple(dict.fromkeys((*read, *self.person_fields)))
        rows = _source.select(self.columns, self.by, read, split=self.is_split, lists=lists)
        own = self.has_persons
        who = f"persons.{_person.PERSON}"
        columns = [f"user_records.{quote(field)}" for field in read]
        columns += [f"{who} as {_person.PERSON}"] * (_person.PERSON in fields)
        for dimension in self.by:
            key = quote(dimension.key)
            value = dimension.folded.sql(who) if dimension.folded else who
            columns.append(f"{value} as {key}" if dimension.is_person else f"user_records.{key}")
        columns += [f"user_records.{mark}" for mark in self.marks]
        columns = list(dict.fromkeys(columns))  # a dimension may be a field that is read anyway
        return f"""user_records as (
  {rows}
),
{_person.steps("user_records", self.people, own=own)},
{step} as (
  select
    {clauses(columns)}
  from user_records
  left join persons on {_person.matched("user_records", own=own)}
)"""


def usage(
    frame: object,
    by: Iterable[str | Folded],
    periods: Periods | None = None,
    *,
    whole: bool = False,
    overlap: Overlap = "ignore",
    people: Mapping[str, str] | None = None,
) -> Usage:
    """Look at a frame as a metric does."""
    dialect = frame.dialect if isinstance(frame, Table) else ""
    dialect = "spark" if frames.backend_of(frame) == "pyspark" else dialect
    lists = lists_.DIALECTS.get(dialect, lists_.DUCKDB)
    return Usage.of(
        columns_of(frame), by, periods, whole=whole, lists=lists, overlap=overlap, people=people
    )


def _for_polars(sql: str) -> str:
    """Return a query in the words of Polars, which calls this function as others do."""
    return sql.replace("regexp_matches(", "regexp_like(")


def _dimension(columns: Columns, name: str | Folded, place: int) -> Dimension:
    if isinstance(name, Folded):
        found = _dimension(columns, name.name, place)
        return replace(found, alias=f"tu__folded_{place}", folded=name)
    if not isinstance(name, str):
        is_list = isinstance(name, list | tuple | set) and name
        names = ", ".join(map(repr, name)) if is_list else "'model.id'"
        hint = f"Pass names one by one, as text: {names}."
        raise OptionError(f"Expected the name of a dimension, got {name!r}.", hint)
    if name == _person.COLUMN:
        own = name if name in columns.own else None
        return Dimension(name, own, name, alias=f"tu__person_{place}")
    if name in columns.own:
        return Dimension(name, name, alias=f"tu__own_{place}")
    spelled = {column: path for path, column in columns.known.items()}
    candidates = [spelled.get(name, name), f"usage.{name}"]
    for path in candidates:
        if path in _PATHS:
            column = columns.known.get(path)
            return Dimension(column or schema.rename(path, columns.sep), column, path)
    for path in _RESOURCES:
        if name in {path, schema.rename(path, columns.sep)}:
            return _of_child(columns, schema.rename(path, columns.sep), path, "resources")
    if name == TOOL:
        return _of_child(columns, TOOL, TOOL, "tool_actions")
    paths = (*_PATHS, *(path.removeprefix("usage.") for path in _PATHS), *_RESOURCES)
    known = [*columns.own, *paths, TOOL, _person.COLUMN]
    hint = f"Pass it as freq={name!r}." if name in get_args(Freq) else nearest(name, known)
    raise UnknownFieldError(f"Unknown dimension {name!r}.", hint)


def _of_child(columns: Columns, name: str, path: str, child: str) -> Dimension:
    if columns.layout == "long":
        raise FrameError(
            f"The dimension {name!r} is not in the long frame.", "Give the wide frame."
        )
    column = columns.known.get({"tool_actions": COUNTS}.get(child, child))
    return Dimension(name, column, path, child if column else "")
