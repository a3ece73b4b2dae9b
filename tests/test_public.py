"""The public surface: what completion lists, what `help()` shows, and what a wrong name is told."""

import pydoc
from importlib.metadata import version

import pytest

import tidyusage as tu

MODULES = {"tidyusage": tu, "errors": tu.errors, "plot": tu.plot, "schemas": tu.schemas}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_completion_lists_the_public_names_and_nothing_else(module):
    assert sorted(module.__all__) == dir(module)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_help_works_on_every_public_name(module):
    for name in module.__all__:
        assert name in pydoc.render_doc(getattr(module, name), renderer=pydoc.plaintext)


def test_the_version_is_that_of_the_package():
    assert tu.__version__ == version("tidyusage")


def test_a_module_that_is_called_names_the_function():
    with pytest.raises(TypeError, match="Did you mean 'export_usage'"):
        tu.export([])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("flatten", "flatten_usage"),
        ("read", "read_usage"),
        ("cost", "cost_by"),
        ("activ_users", "active_users"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name, meant):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'. Did you mean '{meant}'"):
        getattr(tu, name)


def test_every_error_and_warning_is_public():
    defined = {
        name
        for name, value in vars(tu.errors).items()
        if isinstance(value, type)
        and issubclass(value, (tu.errors.UsageError, tu.errors.UsageWarning))
    }
    assert defined == set(tu.errors.__all__)
