"""What is done to a frame before it is measured; each gives back a frame of the same library."""

from tidyusage.prepare.models import model_names, rename_models

__all__ = ["model_names", "rename_models"]
