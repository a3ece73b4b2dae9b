"""Display tables for notebooks and pages."""
