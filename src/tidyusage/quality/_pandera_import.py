"""pandera, imported without what its import does beside.

It tries to import ``pyspark.pandas``: that warns, loads a hundred modules, and where PySpark lacks
a package of its own, ends the interpreter with status 0.  It also sets variables of the
environment that Spark reads.  Seen with pandera 0.35 and PySpark 4.3; try without at pandera 1.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

# The last two look for Spark too, when a model is built and when a frame is first checked.
_MODULES: Final = (
    "pandera.pandas",
    "pandera.polars",
    "pandera.typing.pyspark",
    "pandera.backends.pandas.builtin_checks",
)
_SPARK: Final = "pyspark.pandas"
_SET: Final = ("SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE")


def load() -> None:
    """Import pandera for pandas and Polars, unless it is there."""
    if all(name in sys.modules for name in _MODULES):
        return
    with warnings.catch_warnings(), _hidden(), _environment():
        warnings.simplefilter("ignore")
        for name in _MODULES:
            importlib.import_module(name)


@contextmanager
def _hidden() -> Iterator[None]:
    """Have pandera find no ``pyspark.pandas``, unless somebody has imported it."""
    if _SPARK in sys.modules:
        yield
        return
    modules = cast("dict[str, Any]", sys.modules)
    modules[_SPARK] = None
    try:
        yield
    finally:
        del modules[_SPARK]


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SET}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
