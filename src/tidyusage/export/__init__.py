"""Frames on their way to BI tools: files, databases, a star schema, FOCUS."""
