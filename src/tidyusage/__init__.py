"""Nested Usage records become tidy pandas and Polars frames."""

import pandas as _pandas  # noqa: F401 - imported plainly, so that it is there in any order
import polars as _polars  # noqa: F401 - likewise

from tidyusage import errors
from tidyusage.layouts import (
    charges,
    resources,
    restore,
    to_long,
    to_wide,
    tool_actions,
)
from tidyusage.read import flatten_usage, load_example, read_usage

__all__ = [
    "charges",
    "errors",
    "flatten_usage",
    "load_example",
    "read_usage",
    "resources",
    "restore",
    "to_long",
    "to_wide",
    "tool_actions",
]
