"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.checks.drift import drift
from tidyusage.checks.findings.report import findings
from tidyusage.checks.reconcile import reconcile
from tidyusage.checks.validate import filter_usage, validate_usage

__all__ = ["drift", "filter_usage", "findings", "reconcile", "validate_usage"]
