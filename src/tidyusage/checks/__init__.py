"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.checks.drift import drift

__all__ = ["drift"]
