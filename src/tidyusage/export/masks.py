r"""Text without what names a user: any e-mail, and the words that stand for a record's own user.

An e-mail is found however it is written: in any case, with a full-width @, and with signs of it
as percent and digits or as a backslash, u and digits, once or over and over.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHORTEST: Final = 4  # a shorter name or id stands in words that have nothing to do with it
# What another spelling than the plain one has: full-width signs, percent, a backslash.
ENCODED: Final = "[\uff01-\uff5e\\\\]|%[0-9A-Fa-f]{2}"

_CACHE: Final = 2**14
_WIDE: Final = 0xFEE0  # from a sign of ASCII to its full-width one
_LAST: Final = 0xFFFF  # of the signs that JSON writes as four digits
_AT: Final = r"(?:[@\uff20]|%(?:25)*40|\\+u0040)"
_LOCAL: Final = r"(?:[\w.!#$&'*+/=?^`{|}~-]|%(?!(?:25)*40))++"
_QUOTED: Final = r'"[^"\n]+"'
_DOMAIN: Final = r"(?:(?:[\w-]+\.)+(?:xn--[\w-]+|[^\W\d_]{2,})|\[[\w.:]+\])"
# A run of signs that no e-mail comes after is taken too: each sign is looked at once.
_EMAIL: Final = re.compile(
    rf"(?P<quoted>{_QUOTED}{_AT}{_DOMAIN})|{_LOCAL}(?P<rest>{_AT}{_DOMAIN})?", re.IGNORECASE
)
_AROUND: Final = re.compile(r"[.!#$&'*+/=?^`{|}~-]+(?=[\w%])")  # what quotes it, or leads to it
_ONE: Final = re.compile(r"[^\s@]+@[^\s@]+")
_STRING: Final = re.compile(r'("(?:[^"\\]|\\.)*+")(\s*:)?')
# A word ends where letters and digits do, and begins after what percent and digits stand for.
_BEGINS: Final = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2}))"
_ENDS: Final = r"(?![^\W_])"
# In "ash.lee@" nobody means Lee, nor does "lee@example.com" name him in "lee@example.com.au".
_BEGINS_EMAIL: Final = rf"{_BEGINS}(?<![^\W_][.+'])(?<!%2[BbEe7])"
_ENDS_EMAIL: Final = rf"{_ENDS}(?!\.[^\W_])"


def one_spelling(value: str) -> str:
    """Return a value as pseudonyms are made of it: in lower case if it is an e-mail."""
    return value.lower() if _ONE.fullmatch(value) else value


def names_an_email(text: str) -> bool:
    """Tell whether an e-mail stands in a text."""
    return any(found["quoted"] or found["rest"] for found in _EMAIL.finditer(text))


def without_emails(text: str, own: Iterable[str | None], pseudonym: Callable[[str], str]) -> str:
    """Return a text with pseudonyms in the place of e-mails, the record's ``own`` among them."""
    words = list(filter(None, own))

    def mask(text: str) -> str:
        return _without_emails(text, words, pseudonym)

    return _by_string(text, mask, mask)


def without_users(text: str, own: Iterable[str | None], pseudonym: Callable[[str], str]) -> str:
    """Return a text without e-mails, and without the words of the record's ``own`` user."""
    given = list(filter(None, own))
    words = [word for word in given if len(word) >= SHORTEST and not _ONE.fullmatch(word)]
    words.sort(key=len, reverse=True)

    def mask_key(text: str) -> str:
        return _without_emails(text, given, pseudonym)

    def mask(text: str) -> str:
        return _without(mask_key(text), words, pseudonym, lambda rest: rest)

    return _by_string(text, mask, mask_key)


def of_value(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value of lists, structs and maps whose texts are masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: of_value(member, mask) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(of_value(member, mask) for member in value)
    return value


def _by_string(text: str, mask: Callable[[str], str], mask_key: Callable[[str], str]) -> str:
    """Return a masked text; of JSON the strings are masked, and all else stays sign by sign."""
    if not _is_json(text):
        return mask(text)

    def hidden(found: re.Match[str]) -> str:
        said, colon = json.loads(found[1]), found[2] or ""
        masked = (mask_key if colon else mask)(said)
        return (found[1] if masked == said else json.dumps(masked)) + colon

    return _STRING.sub(hidden, text)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _without_emails(text: str, own: Iterable[str], pseudonym: Callable[[str], str]) -> str:
    def hidden(found: re.Match[str]) -> str:
        if not (found["quoted"] or found["rest"]):
            return found[0]
        around = _AROUND.match(found[0])
        start = around.end() if around else 0
        return found[0][:start] + pseudonym(_decoded(found[0][start:]).lower())

    def of_others(text: str) -> str:
        return _EMAIL.sub(hidden, text)

    emails = {one_spelling(word) for word in own if _ONE.fullmatch(word)}
    return _without(text, sorted(emails, key=len, reverse=True), pseudonym, of_others)


def _without(
    text: str,
    words: list[str],
    pseudonym: Callable[[str], str],
    of_rest: Callable[[str], str],
) -> str:
    """Return a text without words; what stands between them is done by itself."""
    if not words:
        return of_rest(text)
    word, *others = words
    is_encoded = re.search(ENCODED, text) is not None
    if not is_encoded and word.lower() not in text.lower():
        return _without(text, others, pseudonym, of_rest)
    parts = _pattern(word, encoded=is_encoded).split(text)
    return pseudonym(word).join(_without(part, others, pseudonym, of_rest) for part in parts)


@functools.lru_cache(_CACHE)
def _pattern(word: str, *, encoded: bool) -> re.Pattern[str]:
    """Return the pattern of a word as a whole; what is no letter or digit bounds itself."""
    if _ONE.fullmatch(word):
        begins, ends = _BEGINS_EMAIL, _ENDS_EMAIL
    else:
        begins = _BEGINS if word[0].isalnum() else ""
        ends = _ENDS if word[-1].isalnum() else ""
    inner = "".join(map(_any_spelling, word)) if encoded else re.escape(word)
    return re.compile(f"{begins}{inner}{ends}", re.IGNORECASE)


def _any_spelling(sign: str) -> str:
    code = ord(sign)
    spellings = [rf"\\*{re.escape(sign)}" if sign in {'"', "/"} else re.escape(sign)]
    spellings.append("".join(f"%(?:25)*{byte:02x}" for byte in sign.encode(errors="replace")))
    if code <= _LAST:
        spellings.append(rf"\\+u{code:04x}")
    if "!" <= sign <= "~":
        spellings.append(chr(code + _WIDE))
    if sign == " ":
        spellings.append(r"\+")
    return f"(?:{'|'.join(spellings)})"


def _decoded(email: str) -> str:
    while (plain := unquote(email)) != email:
        email = plain
    return re.sub(_AT, "@", email)
