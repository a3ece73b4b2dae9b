"""One export: its tables, its target, and what to do with existing tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidyusage._utils.whole import Files
    from tidyusage.export.manifest import Manifest
    from tidyusage.export.table import Table
    from tidyusage.export.target import Target
    from tidyusage.typing import Mode


@dataclass(frozen=True, slots=True)
class Job:
    """One export; its manifest learns from who writes it how many rows the target has then.

    Files that it writes take their places together.
    """

    tables: Sequence[Table]
    target: Target
    mode: Mode
    partition_by: Sequence[str]
    told: Manifest
    files: Files

    def mode_of(self, table: Table) -> Mode:
        """Return what is to become of a table's old rows: what exports share is never doubled."""
        return "upsert" if self.mode == "append" and table.shared else self.mode

    @property
    def adds(self) -> bool:
        """Whether what is there stays, or some of it."""
        return self.mode in {"append", "upsert"}
