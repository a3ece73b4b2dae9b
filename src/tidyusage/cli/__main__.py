"""`python -m tidyusage.cli` is the command `tidyusage`."""

from tidyusage.cli import app

app()
