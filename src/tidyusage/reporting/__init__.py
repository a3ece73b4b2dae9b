"""A page for a manager: what usage cost, who used what, and how far the figures can be trusted."""

from tidyusage.reporting.report import report

__all__ = ["report"]
