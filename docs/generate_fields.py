"""Write `fields.md`, the table of fields, from the catalogue.

``python docs/generate_fields.py`` writes it; with ``--check`` nothing is written, and the exit
code is 1 if the page is not what the catalogue says.
"""

# ruff: noqa: INP001 - a script, not a package

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from tidyusage.catalogue import FIELDS, Field, Vendor

PAGE: Final = Path(__file__).with_name("fields.md")
HEADINGS: Final = (
    "path",
    "dtype",
    "kind",
    "unit",
    "addition",
    "part of",
    "vendors",
    "description",
)
INTRODUCTION: Final = """\
<!-- Made by docs/generate_fields.py from the catalogue. Change catalogue.py, then run it again. -->

# Fields

Every field of a record, in the schema's order: {count} of them.
A column of the wide frame is the field's path.
An asterisk marks a field that the object around it must have.
Fields of `charges[]` and `resources[]` are columns of the child tables of those names.

- **dtype**: `string`, `number` (Float64), `boolean` (nullable), `timestamp` (UTC, microseconds),
  `counts` (an open object whose numbers are counts), `json` (the vendor's object, kept as text).
- **addition**: `sum` may be added over records. `within` may be added within one unit, or within
  one currency and charge type. `never` must not be added: a distinct count, a flag, text.
- **part of**: the field that contains this one; adding both counts twice. Fields with the same word
  in brackets split it completely. `kind` and `billing` are two splits of the same requests.
- **vendors**: who reports the field.

"""


def page() -> str:
    """Return the page as the catalogue has it."""
    rows = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, FIELDS)]
    return INTRODUCTION.format(count=len(FIELDS)) + "".join(map(_row, rows))


def _cells(field: Field) -> list[str]:
    split = f" ({field.partition})" if field.partition else ""
    return [
        f"`{field.path}`" + (r"\*" if field.required else ""),
        field.dtype,
        field.kind,
        field.unit or "",
        field.addition,
        f"`{field.part_of}`{split}" if field.part_of else "",
        "all" if set(field.vendors) == set(get_args(Vendor)) else ", ".join(field.vendors),
        field.description + _values(field),
    ]


def _values(field: Field) -> str:
    return f" One of {', '.join(f'`{value}`' for value in field.values)}." if field.values else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Write the page, or check it, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/fields.md from the catalogue.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write("docs/fields.md is not what the catalogue says: run `just fields`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
