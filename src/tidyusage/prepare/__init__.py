"""What is done to a frame before it is measured; each gives back a frame of the same library."""

from tidyusage.prepare.complete import complete_until
from tidyusage.prepare.daily import daily
from tidyusage.prepare.restate import latest, restatements

__all__ = ["complete_until", "daily", "latest", "restatements"]
