"""The files that a path, a folder, a pattern, or several of them name."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tidyusage.errors import OptionError, SourceError

SUFFIXES: Final = (".json", ".ndjson", ".jsonl", ".parquet")


def files(source: Any) -> Iterator[str]:
    """Yield the files that a path, a folder, a pattern, or several of them name."""
    if isinstance(source, str | os.PathLike):
        yield from _of_place(os.fspath(source))
    elif isinstance(source, Iterable):
        places = list(source)
        if not places:
            raise SourceError("The list of files is empty.", "Name at least one file.")
        for place in places:
            if not isinstance(place, str | os.PathLike):
                raise OptionError(
                    f"read_usage() cannot read a list of {type(place).__name__}.",
                    "flatten_usage() takes records; read_usage() takes paths.",
                )
            yield from _of_place(os.fspath(place))
    else:
        raise OptionError(
            f"read_usage() cannot read a {type(source).__name__}.",
            "Give a path, a glob, a list of them, or an open binary file; "
            "flatten_usage() takes records.",
        )


def _of_place(place: str) -> Iterator[str]:
    if os.path.isdir(place):
        yield from _data_files(place)
    elif os.path.exists(place):
        yield place
    elif glob.has_magic(place):
        found = sorted(path for path in glob.glob(place, recursive=True) if os.path.isfile(path))
        if not found:
            raise SourceError(f"No file matches {place!r}.", _here(place))
        yield from found
    else:
        raise SourceError(f"There is no file {place!r}.", _here(place))


def _data_files(folder: str) -> Iterator[str]:
    found = sorted(
        os.path.join(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if name[0] not in "._" and name.removesuffix(".gz").removesuffix(".zst").endswith(SUFFIXES)
    )
    if not found:
        endings = ", ".join(SUFFIXES)
        raise SourceError(
            f"The folder {folder!r} holds no data files.",
            f"Data files end with {endings}, or with one of those and .gz or .zst.",
        )
    yield from found


def _here(place: str) -> str:
    folder = os.path.dirname(place) or "."
    if glob.has_magic(folder):
        return "Check the pattern; ** looks into folders below."
    if not os.path.isdir(folder):
        return f"There is no folder {folder!r} either; relative paths begin at {os.getcwd()!r}."
    return f"The folder {folder!r} exists: check the file's name."
