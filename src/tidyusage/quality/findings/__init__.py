"""Findings: data that is legal but suspicious, a module for each subject."""
