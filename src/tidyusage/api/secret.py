"""API token lookup. Tokens are masked in reprs, logs and tracebacks."""

from __future__ import annotations

import functools
import hashlib
import netrc
import os
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn, ParamSpec, TypeVar, cast

from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "TRUTO_API_TOKEN"
_HIDDEN: Final = "***"
_WAYS: Final = (
    f"Give token=, set the environment variable {VARIABLE}, or add the host to your netrc file: "
    "machine HOST login token password TOKEN"
)
P = ParamSpec("P")
R = TypeVar("R")


class Secret:
    """A token that shows itself to nobody who does not ask for it by ``reveal``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text.strip()

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not written anywhere.")

    def reveal(self) -> str:
        """Return the token itself."""
        return self._text

    def digest(self) -> str:
        """Return what tells this token from others, and is none."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    def hide(self, text: str) -> str:
        """Return a text of the service's without the token, should it have come back."""
        return self.hide_in(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def hide_in(self, body: bytes) -> bytes:
        """Return a body of the service's without the token."""
        token = re.escape(self._text.encode())
        return re.sub(token, _HIDDEN.encode(), body, flags=re.IGNORECASE)


def guards_token(function: Callable[P, R]) -> Callable[P, R]:
    """Make a secret of ``token=`` before any frame holds it that a traceback could show."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        options = cast("dict[str, Any]", kwargs)
        if options.get("token") is not None:
            options["token"] = _secret(options.pop("token"))
        return function(*args, **kwargs)

    return guarded


def find(given: object, host: str) -> Secret:
    """Return the token that was given, that of the environment, or that of a netrc file."""
    if isinstance(given, Secret):
        return given
    if os.environ.get(VARIABLE, "").strip():
        return _secret(os.environ[VARIABLE], f"The token of {VARIABLE}")
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    if _password(path, host) is None:
        raise OptionError(f"There is no token for {host}.", _WAYS)
    return _secret(_password(path, host), f"The token of {path!r}")


def _secret(token: object, name: str = "token=") -> Secret:
    problem = _problem(token)
    if problem:
        del token  # the frame of what raises may be shown with what it holds
        raise OptionError(f"{name} {problem}.", _WAYS)
    return Secret(cast("str", token))


def _problem(token: object) -> str:
    if not isinstance(token, str):
        return f"is a {type(token).__name__}, and no text"
    text = token.strip()
    if not text:
        return "is empty"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "has characters that no token has"
    return ""


def _password(path: str, host: str) -> str | None:
    """Return what a netrc file has for a host by its name; its default is for no token."""
    if not os.path.isfile(path):
        return None
    try:
        hosts = netrc.netrc(path).hosts
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        hosts = None  # what the error says may quote what is secret
    if hosts is None:
        raise OptionError(f"The netrc file {path!r} cannot be read.", "Mend it, or give token=.")
    return hosts[host][2] if host in hosts else None
