"""Metrics, each a single SQL query."""

from tidyusage.metrics.acceptance import acceptance_rate
from tidyusage.metrics.cost import cost_by
from tidyusage.metrics.cost_per import cost_per
from tidyusage.metrics.cost_per_token import cost_per_token
from tidyusage.metrics.estimates import cache_savings, estimate_cost
from tidyusage.metrics.explain import explain
from tidyusage.metrics.ranking import top, trend
from tidyusage.metrics.stickiness import stickiness
from tidyusage.metrics.summary import summary
from tidyusage.metrics.tokens import cache_hit_rate, tokens_by
from tidyusage.metrics.totals import totals
from tidyusage.metrics.users import active_users

__all__ = [
    "acceptance_rate",
    "active_users",
    "cache_hit_rate",
    "cache_savings",
    "cost_by",
    "cost_per",
    "cost_per_token",
    "estimate_cost",
    "explain",
    "stickiness",
    "summary",
    "tokens_by",
    "top",
    "totals",
    "trend",
]
