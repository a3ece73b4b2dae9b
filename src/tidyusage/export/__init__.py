"""Frames on their way to BI tools: files, databases, a star schema, FOCUS."""

from tidyusage.export.export import export_usage

__all__ = ["export_usage"]
