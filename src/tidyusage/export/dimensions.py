"""The dimensions of the star: who, what and when, under keys that are the same in every export.

A key is a digest of what a member is, and of nothing else that is known of it: 32 hexadecimal
digits of text, since spreadsheets keep 15 digits of a number and browsers 53 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import clauses, identity, literal, quote, trimmed
from tidyusage.export.table import USAGE, Column, Table, described, spelled
from tidyusage.schema import ARROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TEXT: Final = ARROW["string"]
# The member that stands for what a record does not say.
UNKNOWN: Final = "0" * 32
_UNKNOWN_LABEL: Final = "Unknown"


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension: the SQL of the ``parts`` that make a member, and of its ``attributes``.

    Parts and attributes are made of the fields that the attributes are called by.  ``label`` are
    the attributes to show, the first that is there.  ``derived`` are columns made of attributes.
    """

    subject: str
    description: str
    parts: tuple[str, ...]
    attributes: Mapping[str, str]
    label: tuple[str, ...]
    derived: tuple[tuple[Column, str, str], ...] = ()

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"dim_{self.subject}"

    @property
    def key(self) -> str:
        """The name of its key, there and in the facts."""
        return f"{self.subject}_key"

    @property
    def key_sql(self) -> str:
        """The SQL of the key of a record's member."""
        said = f"coalesce({', '.join(self.parts)})"
        return f"case when {said} is null then {literal(UNKNOWN)} else {digest(self.parts)} end"


def digest(parts: Iterable[str]) -> str:
    """Return the SQL of a digest of texts: each after its length in bytes, so that none flow over.

    A null is ``-``: of "a" and null it is the MD5 of ``1:a-``, in any language.
    """
    written = (f"coalesce(strlen({part}) || ':' || {part}, '-')" for part in parts)
    return f"md5({' || '.join(written)})"


def _kept(column: str) -> str:
    """Return the SQL of a text as it is, as the metrics group by it; null where it is blank."""
    return f"case when {trimmed(quote(column))} <> '' then {quote(column)} end"


def _spelled(column: str) -> str:
    return f"nullif({trimmed(quote(column))}, '')"


def _user() -> Dimension:
    """Return the dimension of users: who the metrics count, and what has no more than a name."""
    who = identity(quote("user.id"), quote("user.email"))
    by_name = f"case when {who} is null then {_spelled('user.name')} end"
    known_by = Column(
        "identified_by",
        TEXT,
        "What tells the user from others: id, email, or name; metrics count no users by name.",
        required=True,
    )
    cases = "case when user_id is not null then 'id' when user_email is not null then 'email'"
    return Dimension(
        "user",
        "One row a user: by id, else by e-mail, else by name; with the latest of what is known.",
        (who, by_name),
        {
            "user.id": _spelled("user.id"),
            "user.email": f"lower({_spelled('user.email')})",
            "user.name": _spelled("user.name"),
        },
        ("user.name", "user.email", "user.id"),
        ((known_by, f"{cases} else 'name' end", "unknown"),),
    )


def _model() -> Dimension:
    fields = ("model.id", "model.provider")
    kept = {field: _kept(field) for field in fields}
    said = "One row a model and its provider."
    return Dimension("model", said, tuple(kept.values()), kept, fields)


def _named(subject: str) -> Dimension:
    """Return a dimension of an id and a name, which tells members apart that have no id."""
    id_, name = f"{subject}.id", f"{subject}.name"
    by_name = f"case when {_kept(id_)} is null then {_kept(name)} end"
    return Dimension(
        subject,
        f"One row a {subject}: by id, else by name; with the latest name.",
        (_kept(id_), by_name),
        {id_: _kept(id_), name: _kept(name)},
        (name, id_),
    )


DIMENSIONS: Final = (_user(), _model(), _named("product"), _named("organization"))


def table(dimension: Dimension) -> Table:
    """Return the table of a dimension, with the member that is unknown."""
    key, label = dimension.key, f"{dimension.subject}_label"
    columns = (
        Column(key, TEXT, "Identifies the row; the same in every export.", required=True),
        Column(label, TEXT, f"What to show for the {dimension.subject}.", required=True),
        *(column for column, _, _ in dimension.derived),
        *map(described, dimension.attributes),
    )
    return Table(
        dimension.table,
        dimension.description,
        columns,
        _members(dimension, label, columns),
        key=(key,),
        order=(label, key),
        shared=True,
    )


def _members(dimension: Dimension, label: str, columns: tuple[Column, ...]) -> str:
    """Return the query of the members: of each attribute the value that was last there.

    Texts are spelled after records were grouped by them, where they are few.
    """
    key, names = quote(dimension.key), ", ".join(quote(column.name) for column in columns)
    raw = ", ".join(map(quote, dimension.attributes))
    attributes = {quote(spelled(name)): sql for name, sql in dimension.attributes.items()}
    values = clauses(f"{sql} as {name}" for name, sql in attributes.items())
    latest = clauses(f"arg_max({name}, row(tu__at, {name})) as {name}" for name in attributes)
    shown = ", ".join(quote(spelled(name)) for name in dimension.label)
    derived = "".join(f", {sql} as {quote(column.name)}" for column, sql, _ in dimension.derived)
    return f"""
with texts as (
  select {raw}, max(coalesce(start_date, timestamptz '0001-01-01')) as tu__at
  from {USAGE}
  group by {raw}
),
keyed as (
  select {dimension.key_sql} as {key}, tu__at,
    {values}
  from texts
),
members as (
  select {key},
    {latest}
  from keyed
  where {key} <> {literal(UNKNOWN)}
  group by {key}
),
shown as (
  select *, coalesce({shown}) as {quote(label)}{derived}
  from members
)
select {names}
from shown
union all
select {_unknown(dimension, columns)}
"""


def _unknown(dimension: Dimension, columns: tuple[Column, ...]) -> str:
    """Return the member for facts without one, in the order of the columns.

    Its label says so; its attributes are null, as those that any other member lacks.
    """
    given = {column.name: value for column, _, value in dimension.derived}
    given |= {dimension.key: UNKNOWN, f"{dimension.subject}_label": _UNKNOWN_LABEL}
    return ", ".join(
        literal(given[column.name]) if column.name in given else "cast(null as varchar)"
        for column in columns
    )
