"""Prepare a frame before it is measured; each function returns a frame of the same library."""

from tidyusage.prepare.allocate import allocate
from tidyusage.prepare.allocate_shared import allocate_shared
from tidyusage.prepare.at_grain import at_grain
from tidyusage.prepare.complete_until import complete_until
from tidyusage.prepare.grains import grains, overlaps
from tidyusage.prepare.model_names import model_names, rename_models
from tidyusage.prepare.restatements import latest, restatements
from tidyusage.prepare.windows import between, daily
from tidyusage.prepare.with_person import with_person

__all__ = [
    "allocate",
    "allocate_shared",
    "at_grain",
    "between",
    "complete_until",
    "daily",
    "grains",
    "latest",
    "model_names",
    "overlaps",
    "rename_models",
    "restatements",
    "with_person",
]
