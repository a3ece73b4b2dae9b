"""Turn nested Usage records into tidy pandas and Polars frames."""

from importlib.metadata import version as _version
from sys import modules as _modules
from types import ModuleType as _ModuleType
from typing import Any as _Any

# pandas and Polars are imported plainly, so that `.usage` is there in any order of imports.
from tidyusage import accessor as _accessor
from tidyusage import errors, plot, schemas
from tidyusage.accessor import usage
from tidyusage.api import fetch_usage, iter_usage
from tidyusage.export import export_usage
from tidyusage.io.read import load_example, read_usage
from tidyusage.io.records import flatten_usage
from tidyusage.layouts.convert import charges, resources, to_long, to_wide, tool_actions
from tidyusage.layouts.restore import restore
from tidyusage.metrics import (
    acceptance_rate,
    active_users,
    cache_hit_rate,
    cache_savings,
    cost_by,
    cost_per,
    cost_per_token,
    estimate_cost,
    explain,
    stickiness,
    summary,
    tokens_by,
    top,
    totals,
    trend,
)
from tidyusage.metrics.sql import sql
from tidyusage.prepare import (
    allocate,
    allocate_shared,
    at_grain,
    between,
    complete_until,
    daily,
    grains,
    latest,
    model_names,
    overlaps,
    rename_models,
    restatements,
    with_person,
)
from tidyusage.quality import drift, filter_usage, findings, reconcile, validate_usage
from tidyusage.reporting import report
from tidyusage.tables.build import table

_accessor.register()

__version__ = _version("tidyusage")

__all__ = [
    "acceptance_rate",
    "active_users",
    "allocate",
    "allocate_shared",
    "at_grain",
    "between",
    "cache_hit_rate",
    "cache_savings",
    "charges",
    "complete_until",
    "cost_by",
    "cost_per",
    "cost_per_token",
    "daily",
    "drift",
    "errors",
    "estimate_cost",
    "explain",
    "export_usage",
    "fetch_usage",
    "filter_usage",
    "findings",
    "flatten_usage",
    "grains",
    "iter_usage",
    "latest",
    "load_example",
    "model_names",
    "overlaps",
    "plot",
    "read_usage",
    "reconcile",
    "rename_models",
    "report",
    "resources",
    "restatements",
    "restore",
    "schemas",
    "sql",
    "stickiness",
    "summary",
    "table",
    "to_long",
    "to_wide",
    "tokens_by",
    "tool_actions",
    "top",
    "totals",
    "trend",
    "usage",
    "validate_usage",
    "with_person",
]


def __dir__() -> list[str]:
    """List the public names, for completion; submodules are an implementation detail."""
    return [*__all__]


def __getattr__(name: str) -> _Any:
    """Suggest the nearest public name for one that does not exist."""
    if name.startswith("_"):  # Python and its tools look for dunder names
        raise AttributeError(f"module 'tidyusage' has no attribute {name!r}")
    hint = errors.nearest(name, __all__)
    raise AttributeError(f"module 'tidyusage' has no attribute {name!r}. {hint}")


class _Uncallable(_ModuleType):
    """A submodule that is easily taken for a function, as in `tu.export(frame)`."""

    def __call__(self, *_args: object, **_options: object) -> _Any:
        name = self.__name__.rpartition(".")[2]
        raise TypeError(
            f"tidyusage.{name} is a module, not a function. {errors.nearest(name, __all__)}"
        )


_modules["tidyusage.export"].__class__ = _Uncallable
