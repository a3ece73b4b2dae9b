"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.quality.drift import drift
from tidyusage.quality.findings.report import findings
from tidyusage.quality.reconcile import reconcile
from tidyusage.quality.validate import filter_usage, validate_usage

__all__ = ["drift", "filter_usage", "findings", "reconcile", "validate_usage"]
