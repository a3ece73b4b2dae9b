"""Helpers that know nothing about usage data."""
