"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

from tidyusage.checks.findings.report import findings

__all__ = ["findings"]
