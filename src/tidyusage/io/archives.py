"""Unpack the data files of zip archives into a temporary folder."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from tidyusage.errors import RecordError, SourceError
from tidyusage.io.paths import is_data_file, is_hidden, warn_of_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENCRYPTED: Final = 0x1
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError)


def is_zip(path: str) -> bool:
    """Tell whether a file is a zip archive, whole or not, by its first bytes."""
    with open(path, "rb") as stream:
        return stream.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def members(path: str, label: str, folder: str) -> Iterator[tuple[str, str]]:
    """Unpack the data files of an archive; yield the path and the name of each.

    The only file in an archive is read whatever its name is; of several, those that have a data
    file's name, as in a folder.

    Raises
    ------
    SourceError
        If the archive holds no data file, is encrypted, or is of a kind that Python cannot read.
    RecordError
        If a file in it is damaged or cut off.
    """
    with _opened(path, label) as archive:
        for member in _chosen(archive, label):
            name = f"{label}/{member.filename}"
            if member.flag_bits & _ENCRYPTED:
                raise SourceError(f"{name!r} is encrypted.", "Unpack it with its password first.")
            target = os.path.join(folder, f"{uuid4().hex}.member")
            _unpack(archive, member, name, target)
            yield target, name


def _opened(path: str, label: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _BROKEN as error:
        raise _damaged(label, error) from error


def _chosen(archive: zipfile.ZipFile, label: str) -> list[zipfile.ZipInfo]:
    found = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not any(map(is_hidden, member.filename.split("/")))
    ]
    if any(member.filename == "[Content_Types].xml" for member in found):
        raise SourceError(
            f"{label!r} is an Office document, such as an Excel workbook.",
            "Save its sheet as CSV, or read it with pandas.read_excel and restore() the frame.",
        )
    chosen = [member for member in found if is_data_file(member.filename)]
    if len(found) == 1:
        return found
    if not chosen:
        raise SourceError(f"The zip archive {label!r} holds no data files.", "Check its contents.")
    warn_of_skipped([one.filename for one in found if one not in chosen], label)
    return chosen


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, target: str) -> None:
    with open(target, "wb") as copy:
        try:
            with archive.open(member) as stream:
                shutil.copyfileobj(stream, copy)
        except (NotImplementedError, RuntimeError) as error:
            raise SourceError(
                f"{name!r} cannot be unpacked: {error}.", "Unpack it with another tool first."
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> RecordError:
    return RecordError(
        f"{name!r} is damaged: its zip data cannot be unpacked ({error}).",
        "Copy or download the file again.",
    )
