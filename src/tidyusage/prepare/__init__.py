"""What is done to a frame before it is measured; each gives back a frame of the same library."""

from tidyusage.prepare.allocate import allocate
from tidyusage.prepare.at_grain import at_grain
from tidyusage.prepare.complete import complete_until
from tidyusage.prepare.grain import grains, overlaps
from tidyusage.prepare.models import model_names, rename_models
from tidyusage.prepare.persons import with_person
from tidyusage.prepare.restate import latest, restatements
from tidyusage.prepare.shared import allocate_shared
from tidyusage.prepare.windows import between, daily

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
