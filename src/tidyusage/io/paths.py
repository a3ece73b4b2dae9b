"""Find the files that a path, folder, pattern or list of them names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

from tidyusage.errors import OptionError, SkippedFileWarning, SourceError, warn
from tidyusage.io import compression

SUFFIXES: Final = (".json", ".ndjson", ".jsonl", ".parquet", ".zip")
STANDARD_INPUT: Final = "-"
_SHOWN: Final = 5


def expand(path: str | os.PathLike[str]) -> str:
    """Return a path as text, with `~` as the home folder."""
    return os.path.expanduser(os.fspath(path))


def files(source: Any) -> Iterator[str]:
    """Yield the files that a path, a folder, a pattern, or several of them name."""
    if isinstance(source, str | os.PathLike):
        yield from _of_place(expand(source))
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
            yield from _of_place(expand(place))
    else:
        raise OptionError(
            f"read_usage() cannot read a {type(source).__name__}.",
            "Give a path, a glob, a list of them, or an open binary file; "
            "flatten_usage() takes records.",
        )


def is_data_file(name: str) -> bool:
    """Tell whether a name is that of a data file, compressed or not, in capitals or not."""
    name = name.lower()
    ending = next(filter(name.endswith, compression.SUFFIXES), "")
    return name.removesuffix(ending).endswith(SUFFIXES)


def is_csv(name: str) -> bool:
    """Tell whether a name is that of a CSV file, compressed or not."""
    return name.lower().endswith(tuple(f".csv{end}" for end in ("", *compression.SUFFIXES)))


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is passed over, such as `.ipynb_checkpoints`, `_temporary`."""
    return name.startswith((".", "_"))


def warn_of_skipped(skipped: list[str], place: str) -> None:
    """Warn of the files in a folder or archive that are not read."""
    if not skipped:
        return
    shown = ", ".join(map(repr, skipped[:_SHOWN]))
    more = f" and {len(skipped) - _SHOWN:,} more" if len(skipped) > _SHOWN else ""
    files_ = "file is" if len(skipped) == 1 else "files are"
    warn(
        f"{len(skipped):,} {files_} skipped in {place!r}, since their names are not those of data "
        f"files: {shown}{more}. Data files end with {_endings()}. Name a file itself to read it.",
        SkippedFileWarning,
    )


def _of_place(place: str) -> Iterator[str]:
    if place == STANDARD_INPUT:
        yield place
    elif os.path.isdir(place):
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
    found, skipped = list[str](), list[str]()
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            path = os.path.join(root, name)
            if is_hidden(name):
                continue
            is_read = is_data_file(name) and os.path.isfile(path)
            (found if is_read else skipped).append(path)
    if not found:  # beside other data, CSV files are rarely what a folder is read for
        found = [path for path in skipped if is_csv(path)]
        skipped = [path for path in skipped if path not in found]
    skipped = [os.path.relpath(path, folder) for path in sorted(skipped)]
    if not found:
        there = f", only {skipped[0]!r}" if len(skipped) == 1 else ""
        there = f", only {len(skipped):,} others such as {skipped[0]!r}" if skipped[1:] else there
        raise SourceError(
            f"The folder {folder!r} holds no data files{there}.",
            f"Data files end with {_endings()}.  Names that begin with . or _ are not read.",
        )
    warn_of_skipped(skipped, folder)
    yield from sorted(found)


def _endings() -> str:
    return f"{', '.join(SUFFIXES)}, also compressed ({', '.join(compression.SUFFIXES)})"


def _here(place: str) -> str:
    folder = os.path.dirname(place) or "."
    if glob.has_magic(folder):
        return "Check the pattern; ** looks into folders below."
    if not os.path.isdir(folder):
        return f"There is no folder {folder!r} either; relative paths begin at {os.getcwd()!r}."
    return f"The folder {folder!r} exists: check the file's name."
