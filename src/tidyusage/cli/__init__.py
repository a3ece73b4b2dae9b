"""The command line: what the functions do, from the shell."""

from tidyusage.cli.main import app

__all__ = ["app"]
