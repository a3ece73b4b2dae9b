"""The products, models and users that a page names; the rest of a dimension is one row."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import clauses, literal, ordered, partition, quote
from tidyusage.engines.query import GUARD
from tidyusage.metrics._person import COLUMN, KEY
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from tidyusage.engines.query import Query
    from tidyusage.metrics._usage import Usage

# Where a group stands that no name has, and one that is among the rest.
NONE: Final = -1
OTHERS: Final = -2
CURRENCY: Final = "currency"
_KNOWN: Final = 8  # signs of a key, as findings show them


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of the page: the fields that tell its members apart, and what one is called."""

    fields: tuple[str, ...]
    one: str
    many: str

    def member(self, asked: Usage, *, after: int = 0) -> str:
        """Return the SQL of who or what a group is: the dimension at a place."""
        return f"cast({asked.dimensions[after]} as varchar)"

    def label(self, asked: Usage) -> str:
        """Return the SQL of what a member is called."""
        keys = [f"max(cast({key} as varchar))" for key in asked.dimensions]
        filled = (f"nullif(trim(both ' ' from {key}), '')" for key in reversed(keys))
        return f"coalesce({', '.join((*filled, keys[0]))})"


PRODUCTS: Final = Dimension(("product.id",), "product", "products")
MODELS: Final = Dimension(("model.id",), "model", "models")
USERS: Final = Dimension((COLUMN, "user.name"), "user", "users")


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a dimension that have a place of their own, and what each is called."""

    dimension: Dimension
    keys: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def place(self, member: str) -> str:
        """Return the SQL of a member's place, as a number: names stay where the frame is."""
        cases = [f"when {literal(key)} then {place}" for place, key in enumerate(self.keys)]
        known = f"case {member} {' '.join(cases)} else {OTHERS} end" if cases else str(OTHERS)
        return f"case when {member} is null then {NONE} else {known} end"

    def index(self, place: int) -> int:
        """Return where a place stands in `shown`."""
        return place if place >= 0 else len(self.keys) - 1 - place

    def shown(self) -> list[str]:
        """Return what all places are called: the members, what has no name, and the rest."""
        return [
            *self.labels,
            f"no {self.dimension.one} named",
            f"all other {self.dimension.many}",
        ]


def ranked(
    query: Query,
    asked: Usage,
    dimension: Dimension,
    figure: str,
    *,
    most: int,
) -> Query:
    """Return a query of the members with the most of a metric's figure, in each currency."""
    money = CURRENCY in query.types
    over = partition(CURRENCY) if money else ""
    member = dimension.member(asked)
    sql = f"""with cells as (
{query.sql}
),
members as (
  select {member} as member, {dimension.label(asked)} as label,
    {"currency" if money else "cast(null as varchar)"} as currency, sum({figure}) as figure
  from cells
  where {member} is not null
  group by {member}{", currency" if money else ""}
),
places as (
  select *, row_number() over ({over} order by {ordered("figure desc", "member")}) as place
  from members
)
select member, label, currency, figure, place{_guard(query)}
from places
where place <= {most}
order by {ordered("place", "currency", "member")}"""
    types = {"member": TEXT, "label": TEXT, "currency": TEXT, "figure": NUMBER, "place": INTEGER}
    return _answering(query, sql, types)


def named(dimension: Dimension, rows: Iterable[Mapping[str, Any]], most: int) -> Members:
    """Return the members of rows, the first of each ranking first; no two are called alike."""
    first = sorted(rows, key=lambda row: row["place"])
    labels = {row["member"]: row["label"] for row in reversed(first)}
    keys = list(dict.fromkeys(row["member"] for row in first))[:most]
    return Members(dimension, tuple(keys), tuple(_told_apart([(k, labels[k]) for k in keys])))


def _told_apart(named_: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return what members are called: with their key where two share a name."""
    labels = [_masked((label or "").strip()) or "(empty name)" for _, label in named_]
    twice = {label for label, count in Counter(labels).items() if count > 1}
    return [
        f"{label} ({_masked(key)})" if label in twice and label != key else label
        for label, (key, _) in zip(labels, named_, strict=True)
    ]


def _masked(name: str) -> str:
    """Return a name; of one that is a key to an API, enough to know it by."""
    return f"{name[:_KNOWN]}…" if re.match(KEY, name, re.IGNORECASE) else name


def folded(query: Query, keys: Mapping[str, tuple[str, Any]], sums: Iterable[str]) -> Query:
    """Return a query of a metric's answer by other keys, of which its groups are parts.

    A sum of nothing stays null; groups without any figure are left out.
    """
    sums = tuple(sums)
    columns = [f"{sql} as {quote(name)}" for name, (sql, _) in keys.items()]
    added = [f"sum({quote(name)}) as {quote(name)}" for name in sums]
    listed = ", ".join(map(quote, keys))
    sql = f"""with cells as (
{query.sql}
),
placed as (
  select {clauses([*columns, *map(quote, sums)])}
  from cells
)
select {listed}, {", ".join(added)}{_guard(query)}
from placed
where coalesce({", ".join(map(quote, sums))}) is not null
group by {listed}
order by {ordered(*map(quote, keys))}"""
    types = {name: type_ for name, (_, type_) in keys.items()}
    return _answering(query, sql, types | dict.fromkeys(sums, NUMBER))


def _guard(query: Query) -> str:
    return f", (select min({GUARD}) from cells) as {GUARD}" if GUARD in query.sql else ""


def _answering(query: Query, sql: str, types: Mapping[str, pa.DataType]) -> Query:
    return replace(query, sql=sql, types=types, dimensions={}, portable="", keys={}, nullable=())
