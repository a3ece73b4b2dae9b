"""The key, and what is made with it: pseudonyms, and text without what names a user."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

import pyarrow as pa

from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

VARIABLE: Final = "TIDYUSAGE_KEY"
SHORTEST: Final = 4  # a shorter name or id stands in words that have nothing to do with it
_EMAIL: Final = re.compile(r"[\w.!#$&*+/=?^`{|}~-]+(?:@|%40)(?:[\w-]+\.)+[^\W\d_]{2,}")
_REMOVED: Final = "[removed]"
_CACHE: Final = 2**17


class Key:
    """A key that shows itself to nobody, and is written nowhere."""

    __slots__ = ("_digest",)

    def __init__(self, secret: bytes) -> None:
        self._digest = hmac.new(secret, digestmod=hashlib.sha256)

    def __repr__(self) -> str:
        return "Key('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key is not written anywhere.")

    @classmethod
    def of(cls, given: object, name: str = "anonymise_key=") -> Key:
        """Return the key that is a text or bytes."""
        secret = given.encode() if isinstance(given, str) else given
        if not isinstance(secret, bytes | bytearray) or not bytes(secret).strip():
            kind = "empty" if isinstance(secret, bytes | bytearray) else type(given).__name__
            del given, secret  # the frame of what raises may be shown with what it holds
            raise OptionError(
                f"{name} is no key, but {kind}.", "Give a text or bytes that you keep secret."
            )
        return cls(bytes(secret))

    @classmethod
    def of_environment(cls) -> Key | None:
        """Return the key of the environment, if there is one."""
        given = os.environ.get(VARIABLE, "")
        return cls.of(given, f"The environment variable {VARIABLE}") if given else None

    def pseudonym(self, text: str) -> str:
        """Return what stands for a text: HMAC-SHA-256, in hex."""
        digest = self._digest.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def register(connection: duckdb.DuckDBPyConnection, key: Key | None) -> None:
    """Give a connection ``tu__pseudonym(text)`` and ``tu__masked(text, email, id, name)``."""

    @functools.lru_cache(_CACHE)
    def pseudonym(text: str) -> str:
        return key.pseudonym(text) if key else _REMOVED

    def masked(text: str, email: str | None, *users: str | None) -> str:
        if email and len(email) >= SHORTEST:
            own = pseudonym(email.lower())
            text = re.sub(re.escape(email), own, text, flags=re.IGNORECASE)
        for user in users:
            if user and len(user) >= SHORTEST and not _EMAIL.fullmatch(user):
                text = text.replace(user, pseudonym(user))
        return _EMAIL.sub(lambda found: pseudonym(unquote(found[0]).lower()), text)

    _add(connection, "tu__pseudonym", lambda texts: _by_batch(pseudonym, texts), 1)
    _add(connection, "tu__masked", lambda a, b, c, d: _by_batch(masked, a, b, c, d), 4)


def _add(
    connection: duckdb.DuckDBPyConnection, name: str, function: Callable[..., Any], arity: int
) -> None:
    from duckdb.func import FunctionNullHandling, PythonUDFType

    texts: list[Any] = ["varchar"] * arity
    connection.create_function(
        name,
        function,
        texts,
        "varchar",
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def _by_batch(function: Callable[..., str], *columns: Any) -> pa.Array[Any]:
    """Call a function for each row of a batch whose first column is not null."""

    def made() -> Iterator[str | None]:
        for first, *others in zip(*(column.to_pylist() for column in columns), strict=True):
            yield None if first is None else function(first, *others)

    return pa.array(made(), pa.string())
