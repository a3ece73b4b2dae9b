"""Who the users are is hidden: keyed hashes stand for them, or what names them is left out.

A pseudonym is HMAC-SHA-256 of what it stands for, in hex.  It depends on the key and on the value
alone, so that a person has one pseudonym in every table and every export with the same key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import schema
from tidyusage.errors import OptionError, UnknownFieldError, nearest
from tidyusage.export.pseudonyms import SHORTEST, Key, register
from tidyusage.export.table import USAGE, Usage
from tidyusage.sqltext import clauses, quote, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_BARE: Final = "tu__bare"
_USER: Final = ("user.id", "user.email", "user.name")
_TELLING: Final = ("user.email", "user.id", "user.name")
# What the vendor says in words of its own may name anybody, anywhere.
_OPAQUE: Final = ("remote_data", "extra")


@dataclass(frozen=True, slots=True)
class Privacy:
    """Which fields are to be pseudonyms, which are to go, and the key."""

    anonymise: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    key: Key | None = None

    @classmethod
    def of(cls, anonymise: object, drop: object, key: Key | None) -> Privacy:
        """Look at the options; a key that was not given is that of the environment."""
        hidden = _names("anonymise", anonymise)
        if key is None and (hidden or drop):
            key = Key.of_environment()
        if hidden and key is None:
            raise OptionError(
                "Pseudonyms need a key.",
                "Give anonymise_key=, or set the environment variable TIDYUSAGE_KEY, to a text "
                "that you keep secret; with the same one, a person keeps the same pseudonym.",
            )
        return cls(hidden, _names("drop", drop), key)

    def applied(self, connection: duckdb.DuckDBPyConnection, usage: Usage) -> Usage:
        """Put the view `USAGE` anew, without what is to be hidden, and tell its columns."""
        hidden = [path for name in self.anonymise for path in _paths(name, usage, "anonymise")]
        dropped = [path for name in self.drop for path in _paths(name, usage, "drop")]
        if not hidden and not dropped:
            return usage
        if "id" in dropped:
            raise OptionError("The id cannot be dropped: it tells records apart.", "Anonymise it.")
        if twice := [path for path in hidden if path in dropped]:
            raise OptionError(f"{twice[0]!r} is to be anonymised and dropped.", "Choose one.")
        of_users = bool({*hidden, *dropped} & {*_USER})
        held = usage.held if not hidden and not of_users else None
        if of_users:
            dropped += [name for name in _OPAQUE if name in usage.types]
        register(connection, self.key)
        self._replace_view(connection, hidden, dropped)
        texts = {name: pa.string() for name in hidden}
        return replace(usage, types={**usage.types, **texts}, left_out=tuple(dropped), held=held)

    def _replace_view(
        self,
        connection: duckdb.DuckDBPyConnection,
        hidden: list[str],
        dropped: list[str],
    ) -> None:
        connection.execute(f"alter view {USAGE} rename to {_BARE}")
        bare = connection.table(_BARE)
        types = dict(zip(bare.columns, map(str, bare.types), strict=True))
        named = [name for name in _USER if name in hidden or name in dropped]
        if named and self.key is None:
            _require_plain_ids(connection)
        parts = []
        for name, type_ in types.items():
            if name in dropped:
                sql = f"cast(null as {type_})"
            elif name in hidden:
                sql = _pseudonym(name)
            else:
                sql = _masked(name, type_) if named else quote(name)
            parts.append(f"{sql} as {quote(name)}")
        connection.execute(f"create view {USAGE} as\nselect\n    {clauses(parts)}\nfrom {_BARE}")


def _names(option: str, names: object) -> tuple[str, ...]:
    if names is None or names == ():
        return ()
    found = (names,) if isinstance(names, str) else names
    if not isinstance(found, Iterable) or not all(isinstance(name, str) for name in found):
        raise OptionError(f"{option}={names!r} names no fields.", f"Write {option}=['user'].")
    return tuple(found)


def _paths(name: str, usage: Usage, option: str) -> Iterator[str]:
    """Yield the columns of a field, or of all fields of an object."""
    spelled = {schema.rename(path, "_"): path for path in usage.types}
    path = spelled.get(name, name)
    of_object = [column for column in usage.types if column.startswith(f"{path}.")]
    found = [path] if path in usage.types else of_object
    found = found or [column for column in usage.types if column == f"usage.{path}"]
    if not found:
        objects = {column.partition(".")[0] for column in usage.types if "." in column}
        known = [*_USER, *objects, *usage.types]
        raise UnknownFieldError(
            f"{option}= names {name!r}, which is not there.", nearest(name, known)
        )
    for column in found:
        if option == "anonymise" and not _is_text(column, usage):
            raise OptionError(
                f"{column!r} holds no text that could be anonymised.",
                f"Give drop=[{column!r}] to leave it out.",
            )
        yield column


def _is_text(column: str, usage: Usage) -> bool:
    return column in usage.own or usage.types[column] == pa.string()


def _pseudonym(name: str) -> str:
    text = trimmed(f"cast({quote(name)} as varchar)")
    text = f"lower({text})" if name == "user.email" else text
    return f"tu__pseudonym(nullif({text}, ''))"


def _masked(name: str, type_: str) -> str:
    """Return the SQL of a column in whose text no e-mail stands, nor the record's own user."""
    column = quote(name)
    is_nested = type_.endswith("]") or type_.startswith(("STRUCT", "MAP"))
    if not is_nested and type_ != "VARCHAR":
        return column
    text = f"cast(to_json({column}) as varchar)" if is_nested else column
    masked = f"tu__masked({', '.join([text, *map(_user, _TELLING)])})"
    masked = f"cast(cast({masked} as json) as {type_})" if is_nested else masked
    return f"case when {_tells(text)} then {masked} else {column} end"


def _user(field: str) -> str:
    return trimmed(quote(field))


def _tells(text: str) -> str:
    """Return the SQL of whether a text may hold an e-mail, or holds the record's own user."""
    own = (
        f"(length({user}) >= {SHORTEST} and contains({text}, {user}))"
        for user in map(_user, _TELLING[1:])
    )
    return " or ".join([f"contains({text}, '@')", f"contains({text}, '%40')", *own])


def _require_plain_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise if ids name users, of whom nothing can stand there without a key."""
    found = connection.sql(f"select id from {_BARE} where {_tells('id')} limit 1").fetchall()
    if found:
        raise OptionError(
            f"Ids of records name their users, such as {found[0][0]!r}.",
            "Give anonymise_key=, by which pseudonyms are made that tell the records apart.",
        )
