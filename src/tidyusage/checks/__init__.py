"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.checks.drift import drift
from tidyusage.checks.reconcile import reconcile

__all__ = ["drift", "reconcile"]
