"""Nested Usage records become tidy pandas and Polars frames."""

# pandas and Polars are imported plainly, so that `.usage` is there in any order of imports.
from tidyusage import accessor as _accessor
from tidyusage import errors
from tidyusage.checks import findings
from tidyusage.layouts import charges, resources, to_long, to_wide, tool_actions
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
from tidyusage.read import flatten_usage, load_example, read_usage
from tidyusage.restore import restore
from tidyusage.warehouse import sql

_accessor.register()

__all__ = [
    "acceptance_rate",
    "active_users",
    "cache_hit_rate",
    "cache_savings",
    "charges",
    "cost_by",
    "cost_per",
    "cost_per_token",
    "errors",
    "estimate_cost",
    "explain",
    "findings",
    "flatten_usage",
    "load_example",
    "read_usage",
    "resources",
    "restore",
    "sql",
    "stickiness",
    "summary",
    "to_long",
    "to_wide",
    "tokens_by",
    "tool_actions",
    "top",
    "totals",
    "trend",
]
