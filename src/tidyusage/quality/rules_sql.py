"""The rules over a frame in one query: which rows break which.

SQL sees the frame as the step ``usage``: the columns that rules read under their dotted names,
instants without a zone in UTC, and each row's place from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import FRAME, clauses, literal, quote
from tidyusage.engines.columns import Columns, columns, layout_types
from tidyusage.engines.query import Query
from tidyusage.prepare._rewrite import ROW
from tidyusage.quality._dtypes import arrow_types, unfit
from tidyusage.quality._rule import Rule, marked
from tidyusage.quality.rules import rules

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMN: Final = "column"
CHECK: Final = "check"
CASE: Final = "failure_case"
REASONS: Final = "reasons"
_BROKEN: Final = "tu__broken"
_PLACE: Final = "tu__place"
_TEXT: Final = schema.ARROW["string"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A frame's columns, the ``rules`` to ask of it, and its columns of a wrong dtype."""

    columns: Columns
    rules: tuple[Rule, ...]
    unfit: dict[str, str]

    @classmethod
    def of(cls, frame: Any, currencies: tuple[str, ...]) -> Judged:
        """Look at a frame; raise if it holds no usage."""
        found = columns(frame)
        wrong = unfit(frame, found, layout_types(found.layout))
        every = rules(found.layout, currencies)
        asked = [
            rule
            for rule in (map(marked, every) if found.marks else every)
            if _is_asked(rule, found) and not wrong.keys() & set(rule.reads)
        ]
        if "id" in wrong and arrow_types(frame, [found.known["id"]])[found.known["id"]] is None:
            # No engine reads it: rows are told without it.
            known = {path: name for path, name in found.known.items() if path != "id"}
            found = replace(found, known=known)
        return cls(found, tuple(asked), wrong)

    @property
    def needs(self) -> tuple[str, ...]:
        """The frame's columns that the rules read."""
        read = ["id", *(path for rule in self.rules for path in rule.reads)]
        return tuple(self.columns.known[path] for path in dict.fromkeys(read) if self._has(path))

    def any_failing(self) -> Query:
        """Return the query of whether any row breaks a rule, in a third of the time of which."""
        alone = " or ".join(f"({rule.broken})" for rule in self.rules if not rule.groups)
        groups = [f"({rule.groups}) as tu__groups" for rule in self.rules if rule.groups]
        # Beside each other, not as one condition: that would copy all columns for the second look.
        counts = [f"select count(*) as tu__count from {rows}" for rows in groups]
        counts.append(f"select count(*) as tu__count from usage where {alone}")
        sql = f"""with {self._usage()},
counts as (
  {" union all ".join(counts)}
)
select sum(tu__count) > 0 as fails
from counts"""
        return Query(sql, self.needs, {"fails": pa.bool_()}, {})

    def failing(self) -> Query:
        """Return the query of a row for each row and rule that it breaks."""
        entries = [
            f"case when {_BROKEN}_{place} then {{{_PLACE}: {place}, "
            f"{quote(COLUMN)}: {literal(self.spelled(rule.column))}, "
            f"{quote(CHECK)}: {literal(rule.name)}, {CASE}: {rule.reported}}} end"
            for place, rule in enumerate(self.rules)
        ]
        sql = f"""{self._steps()},
entries as (
  select {ROW}, cast("id" as varchar) as "id", unnest(list_filter([
    {clauses(entries)}
  ], lambda tu__e: tu__e is not null)) as tu__entry
  from judged
  where {self._any()}
)
select {ROW}, "id", tu__entry."{COLUMN}", tu__entry."{CHECK}", tu__entry.{CASE}
from entries
order by {ROW}, tu__entry.{_PLACE}"""
        types = {ROW: pa.int64(), **dict.fromkeys(("id", COLUMN, CHECK, CASE), _TEXT)}
        return Query(sql, self.needs, types, {})

    def flagged(self) -> Query:
        """Return the query of the rows that break a rule, with the reasons."""
        sql = f"""{self._steps()}
select {ROW}, {self._reasons()}
from judged
where {self._any()}
order by {ROW}"""
        return Query(sql, self.needs, {ROW: pa.int64(), REASONS: _TEXT}, {})

    def parted(self, own: Iterable[str], *, good: bool) -> str:
        """Return the SQL of columns of the frame's own that the rows go with, and of the reasons.

        It gives the rows that keep all rules, or those that do not.
        """
        own = tuple(own)
        shown = [*map(quote, own), *([] if good else [self._reasons()])]
        return f"""{self._steps(own)}
select {", ".join(shown)}
from judged
where {"not " * good}({self._any()})
order by {ROW}"""

    def spelled(self, path: str) -> str:
        """Return a field's column as the frame spells it, whether it is there or not."""
        return self.columns.known.get(path, schema.rename(path, self.columns.sep))

    def _reasons(self) -> str:
        """Return the SQL of the column of reasons."""
        reasons = [
            f"case when {_BROKEN}_{place} then "
            f"{literal(f'{self.spelled(rule.column)}: {rule.name}')} end"
            for place, rule in enumerate(self.rules)
        ]
        return f"concat_ws('; ',\n    {clauses(reasons or ['null'])}\n  ) as {REASONS}"

    def _steps(self, own: Iterable[str] = ()) -> str:
        broken = [
            f"coalesce({rule.breaks}, false) as {_BROKEN}_{place}"
            for place, rule in enumerate(self.rules)
        ]
        place = f"row_number() over () - 1 as {ROW}"
        return f"""with {self._usage(*map(quote, own), place)},
judged as (
  select {clauses(["*", *broken])}
  from usage
)"""

    def _usage(self, *more: str) -> str:
        read = dict.fromkeys(["id", *(path for rule in self.rules for path in rule.reads)])
        rows = [f"{_column(path, self.columns)} as {quote(path)}" for path in read]
        # Rules that look at other rows name the step again, and need but few of its columns.
        return f"""usage as not materialized (
  select
    {clauses([*rows, *more])}
  from {FRAME}
)"""

    def _any(self) -> str:
        tests = (f"{_BROKEN}_{place}" for place in range(len(self.rules)))
        return "\n    or ".join(tests) or "false"

    def _has(self, path: str) -> bool:
        return path in self.columns.known


def verdict(rule: Rule, found: Columns) -> Query:
    """Return the query of whether each row keeps a rule, in the frame's order."""
    rows = clauses(f"{_column(path, found)} as {quote(path)}" for path in rule.reads)
    keeps = f"not coalesce({rule.breaks}, false) as keeps"
    sql = f"""with usage as (
  select
    {rows}, row_number() over () as {ROW}
  from {FRAME}
)
select {keeps}
from usage
order by {ROW}"""
    portable = (
        f"with usage as (\n  select\n    {rows}\n  from {FRAME}\n)\nselect {keeps}\nfrom usage"
    )
    needs = tuple(found.known[path] for path in rule.reads if path in found.known)
    return Query(sql, needs, {"keeps": pa.bool_()}, {}, portable if rule.portable else "")


def _is_asked(rule: Rule, found: Columns) -> bool:
    """Tell whether a frame has a column that a rule reads; without any it cannot be broken."""
    return any(path in found.known for path in rule.reads)


def _column(path: str, found: Columns) -> str:
    """Return the SQL of a column in its type, of none where there are no values."""
    type_ = layout_types(found.layout)[path]
    target = "timestamp" if pa.types.is_timestamp(type_) else schema.duckdb_type(type_)
    column = quote(found.known[path]) if path in found.known else "null"
    return f"cast({column} as {target})"
