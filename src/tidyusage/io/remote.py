"""Copy files from addresses such as ``s3://bucket/usage.ndjson.gz`` with fsspec."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from tidyusage.errors import MissingExtraError, SourceError, UsageError
from tidyusage.io import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*(?:://|::)")
_DATABASE: Final = re.compile(
    r"(?:postgres(?:ql)?|mysql|mssql|snowflake|redshift|jdbc)\b", re.IGNORECASE
)
# A connection string of PostgreSQL: host=db user=me password=…
_KEYWORDS: Final = re.compile(
    r"\b(?:host|user|password|dbname)\s*=.*\bpassword\s*=", re.IGNORECASE | re.DOTALL
)
_USER: Final = re.compile(r"([^:/]+://)(.*)@(.*)", re.DOTALL)
# What stands before @ is a user and a password, even if that has a slash in it; a port is neither.
_LOGIN: Final = re.compile(r"[^/]*(?:$|:(?!\d+/))", re.DOTALL)
_SECRET: Final = re.compile(
    r"(?<=[?&\s])([\w-]*(?:sig|signature|token|secret|key|password|credential)[\w-]*)="
    r"('[^']*'|[^&\s#]*)",
    re.IGNORECASE,
)
_HIDDEN: Final = "***"
_PACKAGES: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp",
                    "https": "aiohttp", "abfs": "adlfs", "az": "adlfs"}  # fmt: skip


def is_address(place: object) -> bool:
    """Tell whether a place is an address and not a path."""
    return isinstance(place, str) and bool(_ADDRESS.match(place) or _KEYWORDS.search(place))


def masked(address: str) -> str:
    """Return an address as messages show it: without passwords, tokens and signatures."""
    found, shown = _USER.fullmatch(address), address
    if found and _LOGIN.match(found[2]):
        shown = f"{found[1]}{_HIDDEN}@{found[3]}"
    shown = _SECRET.sub(lambda found: f"{found[1]}={_HIDDEN}", shown)
    return re.sub(r"(password\s*=\s*)\S+", rf"\1{_HIDDEN}", shown, flags=re.IGNORECASE)


def copied(address: str, folder: str) -> Iterator[tuple[str, str]]:
    """Copy the files at an address into a folder; yield the path and the name of each.

    Raises
    ------
    MissingExtraError
        If fsspec is not installed, or the package by which it reads such addresses.
    SourceError
        If there is nothing at the address, or it cannot be read.
    """
    shown = masked(address)
    if _DATABASE.match(address) or not _ADDRESS.match(address):
        raise SourceError(
            f"{shown!r} is the address of a database, not of a file.",
            "Query the table with pandas, Polars or DuckDB, and give the frame to restore() or "
            "flatten_usage().",
        )
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(
            f"To read {shown!r} takes fsspec, which is not installed.",
            "Install tidyusage[remote], or copy the files to this machine.",
        ) from None
    try:
        system, path = fsspec.core.url_to_fs(address)
        for one in _files(system, path, shown):
            name = masked(system.unstrip_protocol(one))
            local = os.path.join(folder, f"{uuid4().hex}-{os.path.basename(one)[-80:]}")
            system.get_file(one, local)
            yield local, name
    except UsageError:
        raise
    except ImportError:
        scheme = address.partition(":")[0].lower()
        package = _PACKAGES.get(scheme, f"the fsspec package for {scheme}")
        raise MissingExtraError(
            f"To read {shown!r} takes {package}, which is not installed.",
            "Install tidyusage[remote], or copy the files to this machine.",
        ) from None
    except FileNotFoundError:
        raise SourceError(f"There is no file {shown!r}.", "Check the address.") from None
    except Exception as error:  # noqa: BLE001 - each service's package has errors of its own
        # Without its cause: a client's own error may show the address with its secrets.
        said = masked(str(error).replace(address, shown))[:300]
        raise SourceError(
            f"{shown!r} cannot be read: {type(error).__name__}: {said}",
            "Check the address and your credentials, which fsspec takes from the environment.",
        ) from None


def _files(system: Any, path: str, shown: str) -> list[str]:
    """Return the files that a path of a file system names: itself, a pattern's or a folder's."""
    if "*" in path or "?" in path or "[" in path:
        found = [one for one in system.glob(path) if not system.isdir(one)]
        if not found and not system.exists(path):
            raise SourceError(f"No file matches {shown!r}.", "Check the pattern.")
        return sorted(found) or [path]
    if not system.isdir(path):
        return [path]
    root = path.rstrip("/")
    below = [(one, one.removeprefix(root).strip("/")) for one in system.find(path)]
    visible = [(one, name) for one, name in below if not any(map(paths.is_hidden, name.split("/")))]
    found = [one for one, name in visible if paths.is_data_file(name)]
    found = found or [one for one, name in visible if paths.is_csv(name)]
    if not found:
        raise SourceError(f"The folder {shown!r} holds no data files.", "Check the address.")
    paths.warn_of_skipped([name for one, name in visible if one not in found], shown)
    return sorted(found)
