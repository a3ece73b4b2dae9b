"""What is done to a frame before it is measured; each gives back a frame of the same library."""

from tidyusage.prepare.at_grain import at_grain
from tidyusage.prepare.grain import grains, overlaps

__all__ = ["at_grain", "grains", "overlaps"]
