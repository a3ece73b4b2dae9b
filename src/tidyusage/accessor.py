"""The `.usage` accessor for pandas and Polars frames, and `usage(frame)` for all other frames."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import polars as pl

from tidyusage import export, metrics, plot, prepare, quality, reporting
from tidyusage._utils.foreign import unwrapped
from tidyusage.engines import frames, pandas_dtypes
from tidyusage.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidyusage.typing import Frame

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    name.removesuffix("_usage"): getattr(package, name)
    for package in (export, metrics, prepare, quality, reporting)
    for name in package.__all__
}


CHARTS: Final[dict[str, Callable[..., Any]]] = {
    name: getattr(plot, name) for name in plot.__all__ if name != "save"
}


class UsagePlots:
    """The charts of a frame: `df.usage.plot.cost_by("model.id")` is `tu.plot.cost_by(df, …)`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    if TYPE_CHECKING:  # the methods are made of the functions, below

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __repr__(self) -> str:
        return f"<charts of a {type(self._frame).__name__}: {', '.join(CHARTS)}>"


class UsageAccessor:
    """The functions of a frame: `df.usage.cost_by("model.id")` is `tu.cost_by(df, "model.id")`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def plot(self) -> UsagePlots:
        """The charts of the frame."""
        return UsagePlots(self._frame)

    if TYPE_CHECKING:  # the methods are made of the functions, below

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __repr__(self) -> str:
        return f"<usage of a {type(self._frame).__name__}: {', '.join(sorted(FUNCTIONS))}>"


def usage(frame: Frame) -> UsageAccessor:
    """Return the functions of a frame as methods, where the frame's library takes no `.usage`.

    Parameters
    ----------
    frame
        A frame of any library: Arrow, a DuckDB relation, Spark; pandas and Polars too, whose
        `df.usage` is the same.

    Returns
    -------
    UsageAccessor
        Its methods are the functions that take a frame, under their names, without `_usage`:
        `usage(df).cost_by("model.id")` is `tu.cost_by(df, "model.id")`.

    Raises
    ------
    FrameError
        For what is no frame.

    Examples
    --------
    >>> import tidyusage as tu
    >>> table = tu.load_example(backend="pyarrow", sep="_")
    >>> tu.usage(table).cost_by("product_id").column_names
    ['product_id', 'currency', 'cost', 'share', 'records', 'priced']
    """
    frame = unwrapped(frame)
    if frames.backend_of(frame) is None:
        raise FrameError(
            f"{type(frame).__name__} is no frame that tidyusage knows.",
            "Make one of records with flatten_usage() or read_usage().",
        )
    return UsageAccessor(frame)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a frame as a method."""

    @functools.wraps(function)
    def method(self: UsageAccessor | UsagePlots, *by: Any, **options: Any) -> Any:
        return function(self._frame, *by, **options)

    first, *rest = inspect.signature(function).parameters.values()
    of_self = first.replace(name="self", annotation=inspect.Parameter.empty)
    setattr(method, "__signature__", inspect.Signature([of_self, *rest]))  # noqa: B010 - no attribute to mypy
    return method


for _name, _function in FUNCTIONS.items():
    setattr(UsageAccessor, _name, _method(_function))
for _name, _function in CHARTS.items():
    setattr(UsagePlots, _name, _method(_function))


def register() -> None:
    """Put the accessor on pandas and Polars frames; doing so again replaces it."""
    pandas_dtypes.register_lists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of what stands there from the last time
        pd.api.extensions.register_dataframe_accessor("usage")(UsageAccessor)
        pl.api.register_dataframe_namespace("usage")(UsageAccessor)
        pl.api.register_lazyframe_namespace("usage")(UsageAccessor)
