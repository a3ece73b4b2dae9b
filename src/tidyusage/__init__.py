"""Nested Usage records become tidy pandas and Polars frames."""

# Imported plainly, so that what registers on them is there in any order of imports.
import pandas as _pandas  # noqa: F401, ICN001
import polars as _polars  # noqa: F401, ICN001

from tidyusage import errors
from tidyusage.layouts import charges, resources, to_long, to_wide, tool_actions
from tidyusage.read import flatten_usage, load_example, read_usage
from tidyusage.restore import restore

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
