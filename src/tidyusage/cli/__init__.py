"""The command line."""

from tidyusage.cli.main import app

__all__ = ["app"]
