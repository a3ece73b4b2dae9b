"""The API's address, and whether it is safe to send a token to it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from tidyusage.errors import OptionError

PATH: Final = "/unified/usage-metering/usage"
_PORTS: Final = {"https": 443, "http": 80}

Origin: TypeAlias = tuple[str, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Service:
    """The service's address, without the path of the endpoint."""

    base_url: str

    @classmethod
    def at(cls, base_url: str) -> Service:
        """Look at an address; refuse one that is none, or would show the token to others."""
        hint = "Give one as 'https://api.truto.one'."
        try:
            parts = urlsplit(base_url.strip().rstrip("/"))
            has_name = parts.username is not None or parts.password is not None
            is_address = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        except (ValueError, AttributeError, TypeError):
            raise OptionError(f"base_url={base_url!r} is no address.", hint) from None
        if has_name:
            raise OptionError("base_url holds a user name or a password.", "Give token= instead.")
        if not is_address or parts.query or parts.fragment:
            raise OptionError(f"base_url={base_url!r} is no address of a service.", hint)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise OptionError(
                f"base_url={base_url!r} would send the token in the clear.", "Use https."
            )
        return cls(parts.geturl())

    @property
    def endpoint(self) -> str:
        """The address of List Usage."""
        return self.base_url + PATH

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read what is sent."""
        return self.base_url.startswith("https:")

    @property
    def origin(self) -> Origin:
        """Scheme, host and port: where the token may go."""
        return origin(self.base_url)


def origin(url: str) -> Origin:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
