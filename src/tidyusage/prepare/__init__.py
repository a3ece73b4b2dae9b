"""What is done to a frame before it is measured; each gives back a frame of the same library."""

from tidyusage.prepare.allocate import allocate

__all__ = ["allocate"]
