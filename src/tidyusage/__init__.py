"""Nested Usage records become tidy pandas and Polars frames."""

# pandas and Polars are imported plainly, so that `.usage` is there in any order of imports.
from tidyusage import accessor as _accessor
from tidyusage import errors
from tidyusage.layouts import charges, resources, to_long, to_wide, tool_actions
from tidyusage.metrics import (
    acceptance_rate,
    active_users,
    cache_hit_rate,
    cost_by,
    cost_per,
    cost_per_token,
    stickiness,
    tokens_by,
    top,
    totals,
    trend,
)
from tidyusage.read import flatten_usage, load_example, read_usage
from tidyusage.restore import restore
from tidyusage.warehouse import sql

_accessor.register()

__all__ = [
    "acceptance_rate",
    "active_users",
    "cache_hit_rate",
    "charges",
    "cost_by",
    "cost_per",
    "cost_per_token",
    "errors",
    "flatten_usage",
    "load_example",
    "read_usage",
    "resources",
    "restore",
    "sql",
    "stickiness",
    "to_long",
    "to_wide",
    "tokens_by",
    "tool_actions",
    "top",
    "totals",
    "trend",
]
