"""`.usage` on pandas and Polars frames: every function of a frame as a method."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import polars as pl

from tidyusage import checks, export, metrics, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    name.removesuffix("_usage"): getattr(package, name)
    for package in (checks, export, metrics, prepare)
    for name in package.__all__
}


class UsageAccessor:
    """The functions of a frame: `df.usage.cost_by("model.id")` is `tu.cost_by(df, "model.id")`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        return f"<usage of a {type(self._frame).__name__}: {', '.join(sorted(FUNCTIONS))}>"


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a frame as a method."""

    @functools.wraps(function)
    def method(self: UsageAccessor, *by: Any, **options: Any) -> Any:
        return function(self._frame, *by, **options)

    first, *rest = inspect.signature(function).parameters.values()
    of_self = first.replace(name="self", annotation=inspect.Parameter.empty)
    setattr(method, "__signature__", inspect.Signature([of_self, *rest]))  # noqa: B010 - no attribute to mypy
    return method


for _name, _function in FUNCTIONS.items():
    setattr(UsageAccessor, _name, _method(_function))


def register() -> None:
    """Put the accessor on pandas and Polars frames; doing so again replaces it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of what stands there from the last time
        pd.api.extensions.register_dataframe_accessor("usage")(UsageAccessor)
        pl.api.register_dataframe_namespace("usage")(UsageAccessor)
        pl.api.register_lazyframe_namespace("usage")(UsageAccessor)
