"""Charts of a frame: each returns an ordinary Altair chart."""

from tidyusage.plot.acceptance import acceptance_rate
from tidyusage.plot.concentration import pareto
from tidyusage.plot.costs import cost_by
from tidyusage.plot.heatmaps import heatmap
from tidyusage.plot.saving import save
from tidyusage.plot.tokens import tokens_by
from tidyusage.plot.trends import trend
from tidyusage.plot.users import active_users

__all__ = [
    "acceptance_rate",
    "active_users",
    "cost_by",
    "heatmap",
    "pareto",
    "save",
    "tokens_by",
    "trend",
]


def __dir__() -> list[str]:
    return [*__all__]
