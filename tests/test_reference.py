"""The reference: every public name is in it, with what its reader needs."""

import inspect
import re
from pathlib import Path

import pytest

import tidyusage as tu
import tidyusage.metrics
from tidyusage import errors, plot, schemas, testing

PAGE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
MODULES = (plot, schemas, testing)
# Whose formula or rule it is, or which metric has it.
SOURCES = r"FOCUS|FinOps|OpenTelemetry|Anthropic|Cursor|OpenAI|active users|catalogue|`cost_by`"


def own(module):
    """Return the public functions of a module that are its own, by name."""
    names = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
    found = {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in found.items()
        if inspect.isfunction(value) and value.__module__.startswith(module.__name__)
    }


FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in (tu, *MODULES)
    for name, function in own(module).items()
}
every = pytest.mark.parametrize("name", FUNCTIONS)


def sections(name):
    return re.findall(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(FUNCTIONS[name]), flags=re.MULTILINE)


def documented():
    """Return what the directives of the page name."""
    names = set(re.findall(r"^\.\. autofunction:: (\S+)", PAGE, flags=re.MULTILINE))
    for module, members in re.findall(r"automodule:: (\S+)\n\s+:members: (.+)", PAGE):
        names |= {f"{module}.{member}" for member in members.split(", ")}
    return names


@every
def test_every_function_stands_there(name):
    assert name in documented()


def test_so_does_every_error_and_warning():
    classes = {
        f"tidyusage.errors.{name}"
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if value.__module__ == errors.__name__
    }
    assert classes <= documented()


def test_so_does_every_schema_to_extend():
    assert all(f"`{name}`" in PAGE for name in schemas.__all__ if name[0].isupper())


def test_nothing_else_stands_there():
    modules = {name.rpartition(".")[0] for name in documented()}
    assert modules == {"tidyusage", "tidyusage.errors", *(module.__name__ for module in MODULES)}


@every
def test_a_docstring_says_all(name):
    wanted = {"Parameters", "Raises", "Examples"}
    if name.startswith("tidyusage.testing."):
        wanted -= {"Raises"}  # a generator of samples has nothing to refuse
    assert wanted <= set(sections(name))
    assert {"Returns", "Yields"} & set(sections(name))


@pytest.mark.parametrize(
    "name", sorted({*tu.metrics.__all__} - {"explain"})
)  # it tells of the others
def test_a_metric_says_where_its_formula_comes_from(name):
    notes = re.search(
        r"^Notes\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$)",
        inspect.getdoc(getattr(tu, name)),
        flags=re.DOTALL | re.MULTILINE,
    )
    assert notes
    assert re.search(SOURCES, notes[1])
