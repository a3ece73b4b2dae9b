"""The house: who may import whom, what an import costs, and what README and CI agree on."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import tidyusage as tu

ROOT = Path(__file__).parents[1]
SOURCE = Path(tu.__file__).parent
# A package imports only from itself and from lines above its own.
PACKAGES = [
    "catalogue schema errors typing testing _utils",
    "engines",
    "layouts",
    "io",
    "metrics",
    "prepare",
    "quality",
    "schemas",
    "export plot api",
    "tables reporting",
    "accessor",
    "__init__",
    "cli",
]


@functools.cache
def modules():
    paths = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    names = (".".join(path.parts) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in names)


def path_of(name):
    path = SOURCE / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(name):
    tree = ast.parse(path_of(name).read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        assert not node.level, "relative import"
        home, _, module = (node.module or "").partition(".")
        if home != "tidyusage":
            continue
        inner = [f"{module}.{alias.name}".removeprefix(".") for alias in node.names]
        yield from {m if m in modules() else module for m in inner} - {""}


def level(name):
    package = name.partition(".")[0]
    return next(place for place, names in enumerate(PACKAGES) if package in names.split())


@pytest.mark.parametrize("name", modules())
def test_packages_import_only_from_those_above_them(name):
    package = name.partition(".")[0]
    for other in imported(name):
        is_below = level(other) < level(name) or level(name) == 0
        assert is_below or other.partition(".")[0] == package, f"{name} imports {other}"


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_brings_pandas_and_polars_and_nothing_else_that_is_heavy():
    heavy = (
        "pandera",
        "duckdb",
        "sqlglot",
        "pyspark",
        "altair",
        "vl_convert",
        "great_tables",
        "typer",
        "rich",
        "httpx",
        "anyio",
    )
    loaded = fresh(
        f"import sys, tidyusage; print([m for m in {(*heavy, 'pandas', 'polars')!r} if m in sys.modules])"
    )
    assert loaded == "['pandas', 'polars']"


def test_help_loads_no_engine():
    code = (
        "import sys\nsys.argv = ['tidyusage', '--help']\nfrom tidyusage.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'duckdb', 'pandera', 'sqlglot', 'pyspark'} & set(sys.modules)"
    )
    assert "flatten" in fresh(code)


def test_public_names_are_complete_sorted_and_documented():
    assert tu.__all__ == sorted(tu.__all__)
    public = {name for name in vars(tu) if not name.startswith("_")}
    assert public - set(tu.__all__) <= set(modules())
    for name in tu.__all__:
        assert getattr(tu, name).__doc__, name


def test_ci_runs_the_second_command_of_readme():
    command = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if "/pytest" in line
    )
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_errors_are_also_the_builtins_they_stand_for():
    pairs = {
        "OptionError": ValueError,
        "UnknownOptionError": TypeError,
        "UnknownFieldError": KeyError,
        "FrameError": TypeError,
        "SourceError": FileNotFoundError,
        "RecordError": ValueError,
        "MissingExtraError": ImportError,
        "OverlapError": ValueError,
        "MemoryLimitError": MemoryError,
        "ApiError": OSError,
    }
    for name, builtin in pairs.items():
        error = getattr(tu.errors, name)
        assert issubclass(error, tu.errors.UsageError)
        assert issubclass(error, builtin)
        assert str(error("the fact", "what to do")) == "the fact\n\nwhat to do"
