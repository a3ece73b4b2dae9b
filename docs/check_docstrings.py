"""Hold the docstring of every public name to numpydoc: ``python docs/check_docstrings.py``.

Which rules count is in pyproject.toml; numpydoc's own command looks at whole files only, in which
the SQL's fragments stand that a sentence says all of.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path

from numpydoc.validate import validate

import tidyusage as tu
from tidyusage import plot, schemas, testing

ROOT = Path(__file__).parents[1]
HOMES = ("tidyusage.plot.", "tidyusage.schemas", "tidyusage.testing")


def main() -> None:
    """Print what is wrong, and end with 1 if anything is."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ignored = set(config["tool"]["numpydoc_validation"]["checks"]) - {"all"}
    names = [f"tidyusage.{name}" for name in tu.__all__ if not inspect.ismodule(getattr(tu, name))]
    names += [
        f"{module.__name__}.{name}"
        for module in (plot, schemas, testing)
        for name, _ in inspect.getmembers(module, _is_public)
    ]
    wrong = [
        f"{name}: {code} {text}"
        for name in names
        for code, text in validate(name)["errors"]
        if code not in ignored
    ]
    if wrong:
        sys.exit("\n".join(wrong))


def _is_public(value: object) -> bool:
    return (
        inspect.isfunction(value)
        and value.__module__.startswith(HOMES)
        and value.__name__[0] != "_"
    )


if __name__ == "__main__":
    main()
