"""Parse an export's target: its kind and place."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from tidyusage.errors import OptionError, require_text

if TYPE_CHECKING:
    from tidyusage.typing import Path

Kind: TypeAlias = Literal[
    "parquet", "csv", "excel", "duckdb", "hyper", "folder", "delta", "postgres"
]
_SUFFIXES: Final[dict[str, Kind]] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".xlsx": "excel",
    ".duckdb": "duckdb",
    ".hyper": "hyper",
}
_DELTA: Final = "delta:"
_SCHEMES: Final = ("postgresql://", "postgres://")
_SCHEMA: Final = "schema"
_PUBLIC: Final = "public"
_HIDDEN: Final = "***"
# Bytes of a name; PostgreSQL cuts off what is more.
LONGEST: Final = 63
_SAY: Final = (
    "Name a file that ends with .parquet, .csv, .csv.gz, .xlsx, .duckdb or .hyper; a folder, "
    "as in 'exports/'; a Delta Lake, as in 'delta:exports'; or a database, as in "
    "'postgresql://user@host/database'."
)


@dataclass(frozen=True, slots=True)
class Target:
    """A place of a kind: a path, or a database's ``address``; ``place`` shows no password of it.

    ``schema`` is that of the database in which tables are to stand.
    """

    kind: Kind
    place: str
    address: str = field(default="", repr=False)
    schema: str = _PUBLIC

    @classmethod
    def of(cls, target: Path | Target) -> Target:
        """Tell of which kind a target is; raise if it does not say."""
        if isinstance(target, Target):
            return target
        if not isinstance(target, str | os.PathLike):
            raise OptionError(f"{target!r} is no target.", _SAY)
        text = os.path.expanduser(os.fspath(target))
        require_text("target", text)
        if text.startswith(_SCHEMES):
            return _database(text)
        if "://" in text or text.startswith(("postgresql:", "postgres:")):
            raise OptionError(f"tidyusage cannot export to {text.partition(':')[0]}:.", _SAY)
        if text.startswith(_DELTA):
            return cls("delta", _folder(os.path.expanduser(text.removeprefix(_DELTA))))
        if not text.endswith((os.sep, "/")) and not os.path.isdir(text):
            if kind := _of_file(text):
                _require_folder(text)
                return cls(kind, os.path.realpath(text))  # a link stays, its target is written
            if "." in os.path.basename(text):
                raise OptionError(f"The target {text!r} does not say its kind.", _SAY)
        return cls("folder", _folder(text))

    @property
    def is_file(self) -> bool:
        """Whether it is one file."""
        return self.kind not in {"folder", "delta", "postgres"}

    @property
    def holds_one(self) -> bool:
        """Whether it holds one table alone."""
        return self.kind in {"parquet", "csv"}

    def beside(self, name: str) -> Target:
        """Return the file of the same kind that is for another table of the same export."""
        folder, base = os.path.split(self.place)
        lower = base.lower()
        suffix = max((one for one in _SUFFIXES if lower.endswith(one)), key=len)
        stem, end = base[: -len(suffix)], base[-len(suffix) :]
        return replace(self, place=os.path.join(folder, f"{stem}.{name}{end}"))

    def hide(self, text: str) -> str:
        """Return a text of the database's without the password, should it have come back."""
        parts = urlsplit(self.address)
        asked = (pair.partition("=") for pair in parts.query.split("&"))
        told = [parts.password, *(value for name, _, value in asked if "password" in name)]
        for password in filter(None, told):
            text = text.replace(password, _HIDDEN).replace(unquote(password), _HIDDEN)
        return text


def _database(text: str) -> Target:
    """Part an address from the schema that it names, which is no word of the server's own."""
    try:
        parts = urlsplit(text)
    except ValueError:
        raise _unreadable() from None
    if parts.fragment or parts.netloc.count("@") > 1 or "@" in f"{parts.path}{parts.query}":
        raise _unreadable()
    asked = [pair for pair in parts.query.split("&") if pair]
    schemas = [unquote(p.partition("=")[2]) for p in asked if p.partition("=")[0] == _SCHEMA]
    if schemas[1:] or "" in schemas:
        raise OptionError("The address names no schema, or several.", "Write ?schema=usage.")
    schema = schemas[0] if schemas else _PUBLIC
    if len(schema.encode(errors="replace")) > LONGEST or "\0" in schema:
        raise OptionError(
            f"The schema {schema!r} has a name that PostgreSQL does not keep.",
            f"Give it a name of {LONGEST} bytes at most.",
        )
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    shown = parts._replace(netloc=f"{user}{host}", query="").geturl()
    others = "&".join(pair for pair in asked if pair.partition("=")[0] != _SCHEMA)
    address = parts._replace(query=others).geturl()
    return Target("postgres", f"{shown}?{_SCHEMA}={schema}", address, schema)


def _unreadable() -> OptionError:
    return OptionError(
        "The address of the database cannot be read.",
        "Write signs that have a meaning in addresses as percent and two digits: / is %2F, @ is "
        "%40, # is %23, ? is %3F, and % itself is %25.",
    )


def _of_file(text: str) -> Kind | None:
    name = os.path.basename(text).lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


def _folder(text: str) -> str:
    if not text.strip():
        raise OptionError("The target names no folder.", _SAY)
    path = os.path.realpath(text)
    _require_folder(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise OptionError(f"The target {text!r} is a file, and no folder.", _SAY)
    return path


def _require_folder(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OptionError(f"There is no folder {folder!r}.", "Make it, or mend the target.")
