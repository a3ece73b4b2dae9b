"""Answers as tables for a notebook or a page."""
