"""Which rows are versions of one record, and which of them is the newest."""

from __future__ import annotations

from typing import Final, get_args

from tidyusage._utils.sql import clauses, identity, quote, trimmed
from tidyusage.errors import one_of
from tidyusage.metrics._periods import DATES, Periods
from tidyusage.prepare._rewrite import ROW
from tidyusage.typing import Identity

KEY: Final = "tu__key"
VERSION: Final = "tu__version"
VERSIONS: Final = "tu__versions"
STAMPS: Final = ("updated_at", "created_at")
_USER: Final = ("user.id", "user.email", "user.name")
_NAMES: Final = (
    "product.id",
    "metric_name",
    "organization.id",
    "model.id",
    "model.provider",
    "surface",
)
_RESOURCES: Final = "resources"
NATURAL: Final = (*_NAMES, *_USER, _RESOURCES, *DATES)


def fields_of(key: Identity, marks: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the columns that tell records and their versions apart; refuse what is no key."""
    one_of("key", key, get_args(Identity))
    return (*marks, "id", *(NATURAL if key == "natural" else ()), *STAMPS)


def versions(key: Identity, source: str = "usage", marks: tuple[str, ...] = ()) -> str:
    """Return the step ``versions``: each row's key, its version from one, and how many there are.

    Records with other ``marks`` are never versions of one.  The last version has the greatest
    `updated_at`, then `created_at`, or was last seen.
    """
    parts = clauses([*map(quote, marks), *(_natural() if key == "natural" else _id())])
    order = ", ".join([*(f"{quote(name)} asc nulls first" for name in STAMPS), ROW])
    return f"""keyed as (
  select *, min({ROW}) over (partition by
    {parts}
  ) as {KEY}
  from {source}
),
versions as (
  select *, row_number() over (partition by {KEY} order by {order}) as {VERSION},
    count(*) over (partition by {KEY}) as {VERSIONS}
  from keyed
)"""


def _id() -> list[str]:
    # A row without an id is the version of no other.
    return ['"id"', f'case when "id" is null then {ROW} end']


def _natural() -> list[str]:
    """Return what a record is about, as SQL: each term with null a value of its own."""
    id_, email, name = map(quote, _USER)
    user = f"coalesce({identity(id_, email)}, nullif({trimmed(name)}, ''))"
    entry = "coalesce(tu__e.id, tu__e.name, tu__e.workspace.id)"
    ids = f"list_transform({_RESOURCES}, lambda tu__e: {entry})"
    resources = f"coalesce(list_sort(list_distinct({ids})), [])"
    return [*map(quote, _NAMES), user, resources, "start_date", Periods("1d").ends()]
