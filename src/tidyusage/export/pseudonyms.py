"""Pseudonyms: the key, keyed hashes, and text without user names."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pyarrow as pa

from tidyusage.errors import OptionError
from tidyusage.export import masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

VARIABLE: Final = "TIDYUSAGE_KEY"
_REMOVED: Final = "[removed]"
_CACHE: Final = 2**17
_GIVEN: Final = 4  # a text, and the e-mail, id and name of the record's own user


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
    """Give a connection what makes pseudonyms and masks text.

    ``tu__pseudonym(value)`` is what stands for a value.  Of a text with the record's own e-mail, id
    and name, ``tu__masked`` hides all that names users, ``tu__masked_emails`` no more than e-mails.
    """
    pseudonym = _maker(key)

    def masked(text: str, *own: str | None) -> str:
        return masks.without_users(text, own, pseudonym)

    def masked_emails(text: str, *own: str | None) -> str:
        return masks.without_emails(text, own, pseudonym)

    _add(connection, "tu__pseudonym", pseudonym, 1, "varchar")
    _add(connection, "tu__masked", masked, _GIVEN, "varchar")
    _add(connection, "tu__masked_emails", masked_emails, _GIVEN, "varchar")


def register_nested(
    connection: duckdb.DuckDBPyConnection, name: str, type_: Any, key: Key | None, *, emails: bool
) -> None:
    """Give a connection a function that masks the texts within a value of a nested type."""
    pseudonym = _maker(key)
    without = masks.without_emails if emails else masks.without_users

    def masked(value: Any, *own: str | None) -> Any:
        return masks.of_value(value, lambda text: without(text, own, pseudonym))

    _add(connection, name, masked, _GIVEN, type_)


def _maker(key: Key | None) -> Callable[[str], str]:
    @functools.lru_cache(_CACHE)
    def pseudonym(text: str) -> str:
        return key.pseudonym(masks.one_spelling(text)) if key else _REMOVED

    return pseudonym


def _add(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., Any],
    arity: int,
    type_: Any,
) -> None:
    from duckdb.func import FunctionNullHandling, PythonUDFType

    # DuckDB counts a function's parameters.
    batched: dict[int, Callable[..., pa.Array[Any]]] = {
        1: lambda a: _by_batch(function, a),
        _GIVEN: lambda a, b, c, d: _by_batch(function, a, b, c, d),
    }
    connection.create_function(
        name,
        batched[arity],
        [type_, *["varchar"] * (arity - 1)],
        type_,
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def _by_batch(function: Callable[..., Any], *columns: Any) -> pa.Array[Any]:
    """Call a function for each row of a batch whose first column is not null."""

    def made() -> Iterator[Any]:
        for first, *others in zip(*(column.to_pylist() for column in columns), strict=True):
            yield None if first is None else function(first, *others)

    found: pa.Array[Any] = pa.array(list(made()), columns[0].type)
    return found
