"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.checks.validate import filter_usage, validate_usage

__all__ = ["filter_usage", "validate_usage"]
