"""Write the pictures of charts in `_static/`: ``python docs/make_pictures.py``.

``tests/test_pictures.py`` holds what they say to what the charts say now.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import tidyusage as tu

FOLDER: Final = Path(__file__).with_name("_static")


def charts() -> dict[str, Any]:
    """Return the charts by the names of their pictures: those that docs/charts.md shows."""
    df = tu.load_example()
    plot = df.usage.plot
    return {
        "cost_by_week": plot.cost_by("product.id", freq="1w"),
        "cost_by_model": plot.cost_by("model.id", freq="1w"),
        "cost_by_product": plot.cost_by("product.id"),
        "tokens_by_model": plot.tokens_by("model.id"),
        "active_users": plot.active_users("product.id", rolling=7),
        "acceptance_rate": plot.acceptance_rate(),
        "trend": plot.trend(freq="1w"),
        "heatmap": plot.heatmap(measure="tokens"),
        "pareto": plot.pareto("model.id"),
    }


if __name__ == "__main__":
    for name, chart in charts().items():
        tu.plot.save(chart, FOLDER / f"{name}.svg")
