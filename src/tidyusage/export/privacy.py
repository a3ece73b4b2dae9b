"""Who the users are is hidden: keyed hashes stand for them, or what names them is left out.

A pseudonym is HMAC-SHA-256 of what it stands for, in hex.  It depends on the key and on the value
alone, so that a person has one pseudonym in every table and every export with the same key.
Text is looked through for what is hidden; codes and what metrics count by, for e-mails alone, so
that a user who is called as a product is does not change its name.  Money is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils.sql import clauses, literal, quote, trimmed
from tidyusage.errors import FrameError, OptionError, UnknownFieldError, nearest
from tidyusage.export import masks
from tidyusage.export.pseudonyms import Key, register, register_nested
from tidyusage.export.table import USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    from duckdb.sqltypes import DuckDBPyType

_BARE: Final = "tu__bare"
_USER: Final = ("user.id", "user.email", "user.name")
# Where people write what they like; a caller's own columns are such too.
_FREE: Final = (
    "id",
    "metric_name",
    "organization.name",
    "resources",
    "usage.activity.client_version",
    "user.id",
    "user.name",
)
_WORDS: Final = ("user.id", "user.name")
_UNTOUCHED: Final = ("charges", "charges.currency", "user.email")
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
            dropped += [name for name in usage.types if _is_opaque(name, usage)]
            _require_unnamed(usage, dropped)
        register(connection, self.key)
        self._replace_view(connection, usage, hidden, dropped)
        texts = {name: pa.string() for name in hidden}
        left_out = tuple(dict.fromkeys(dropped))
        return replace(usage, types={**usage.types, **texts}, left_out=left_out, held=held)

    def _replace_view(
        self,
        connection: duckdb.DuckDBPyConnection,
        usage: Usage,
        hidden: list[str],
        dropped: list[str],
    ) -> None:
        connection.execute(f"alter view {USAGE} rename to {_BARE}")
        bare = connection.table(_BARE)
        named: list[str] = [name for name in _USER if name in hidden or name in dropped]
        if named and self.key is None:
            _require_plain_ids(connection, named)
        parts = []
        for name, type_ in zip(bare.columns, bare.types, strict=True):
            if name in dropped:
                sql = f"cast(null as {type_})"
            elif name in hidden:
                sql = _pseudonym(name)
            elif named and name not in _UNTOUCHED:
                sql = self._masked(connection, name, type_, named, is_free=_is_free(name, usage))
            else:
                sql = quote(name)
            parts.append(f"{sql} as {quote(name)}")
        connection.execute(f"create view {USAGE} as\nselect\n    {clauses(parts)}\nfrom {_BARE}")

    def _masked(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        type_: DuckDBPyType,
        named: list[str],
        *,
        is_free: bool,
    ) -> str:
        """Return the SQL of a column in whose text no e-mail stands, nor the record's own user."""
        column, said = quote(name), str(type_)
        text, own = column, _own(named)
        function = "tu__masked" if is_free else "tu__masked_emails"
        if said == "JSON":
            text = f"cast({column} as varchar)"
            masked = f"cast({function}({text}, {own}) as json)"
        elif said == "VARCHAR":
            masked = f"{function}({column}, {own})"
        elif _is_nested(said):
            text = f"cast(to_json({column}) as varchar)"
            function = quote(f"{function}_{name}")
            register_nested(connection, function[1:-1], type_, self.key, emails=not is_free)
            masked = f"{function}({column}, {own})"
        else:
            return column
        return f"case when {_tells(text, named)} then {masked} else {column} end"


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


def _is_free(column: str, usage: Usage) -> bool:
    return column in usage.own or column in _FREE


def _is_nested(type_: str) -> bool:
    return type_.endswith("]") or type_.startswith(("STRUCT", "MAP"))


def _is_opaque(column: str, usage: Usage) -> bool:
    """Tell whether nobody can look into a column for who is named there."""
    return column in _OPAQUE or _holds_bytes(usage.types[column])


def _holds_bytes(type_: pa.DataType) -> bool:
    if pa.types.is_union(type_):
        return True
    inner = [type_.field(place).type for place in range(type_.num_fields)]
    return "binary" in str(type_) if not inner else any(map(_holds_bytes, inner))


def _require_unnamed(usage: Usage, dropped: list[str]) -> None:
    """Raise if the name of a column, or of a member of one, is an e-mail."""
    for name in usage.own:
        if name not in dropped and masks.names_an_email(f"{name} {usage.types[name]}"):
            raise FrameError(
                f"The own column {name!r} has an e-mail in its name or in those of its members.",
                f"Rename it, or leave it out with drop=[{name!r}].",
            )


def _pseudonym(name: str) -> str:
    text = trimmed(f"cast({quote(name)} as varchar)")
    text = f"lower({text})" if name == "user.email" else text
    return f"tu__pseudonym(nullif({text}, ''))"


def _own(named: list[str]) -> str:
    """Return the SQL of the record's own e-mail, id and name; the latter where they are hidden."""
    words = (trimmed(quote(name)) if name in named else "null" for name in _WORDS)
    return ", ".join([f"lower({trimmed(quote('user.email'))})", *words])


def _tells(text: str, named: list[str]) -> str:
    """Return the SQL of whether a text may hold an e-mail, or the record's own user."""
    own = (
        f"(length({user}) >= {masks.SHORTEST} and contains(lower({text}), lower({user})))"
        for user in (trimmed(quote(name)) for name in _USER if name in named)
    )
    signs = literal(f"@|{masks.ENCODED}")
    return " or ".join([f"regexp_matches({text}, {signs})", *own])


def _require_plain_ids(connection: duckdb.DuckDBPyConnection, named: list[str]) -> None:
    """Raise if ids name users, of whom nothing can stand there without a key."""
    found = connection.sql(
        f"select id from {_BARE} "
        f"where ({_tells('id', named)}) and tu__masked(id, {_own(named)}) <> id limit 1"
    ).fetchall()
    if found:
        raise OptionError(
            f"Ids of records name their users, such as {found[0][0]!r}.",
            "Give anonymise_key=, by which pseudonyms are made that tell the records apart.",
        )
