"""Check whether a frame can be trusted: validation, findings, drift, reconciliation."""

from tidyusage.quality.drift import drift
from tidyusage.quality.findings.report import findings
from tidyusage.quality.reconcile import reconcile
from tidyusage.quality.validate import filter_usage, validate_usage

__all__ = ["drift", "filter_usage", "findings", "reconcile", "validate_usage"]
