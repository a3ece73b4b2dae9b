"""The List Usage endpoint of the unified usage-metering API."""

from tidyusage.api.fetch import fetch_usage
from tidyusage.api.stream import iter_usage

__all__ = ["fetch_usage", "iter_usage"]
