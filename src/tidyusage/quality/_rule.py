"""What a validation rule is, and SQL that finds rows which break it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidyusage._utils.sql import quote
from tidyusage.catalogue import SOURCE_COLUMNS


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a column in every row.

    ``broken`` is the SQL of a row that does not keep it; it is not broken where null.  Where rows
    break it together, ``keys`` are the columns that they are known by, ``having`` is the SQL of a
    group that does, ``among`` that of the rows to look at.  ``reads`` are the columns that it is
    made of, ``value`` the SQL of what is reported.  Polars' SQL can run what is ``portable``.
    """

    name: str
    column: str
    sentence: str
    broken: str
    reads: tuple[str, ...]
    value: str = ""
    portable: bool = True
    keys: tuple[str, ...] = ()
    having: str = ""
    among: str = "true"

    @property
    def groups(self) -> str:
        """The query of the keys of rows that break it together, if that is how it is broken."""
        return (
            f"select {self._listed} from usage where {self.among} group by {self._listed} "
            f"having {self.having}"
            if self.keys
            else ""
        )

    @property
    def breaks(self) -> str:
        """The SQL of whether a row breaks it."""
        return f"{self.broken}({self._listed}) in ({self.groups})" if self.keys else self.broken

    @property
    def _listed(self) -> str:
        # Within a list null is a value like others: records without a mark are compared too.
        return ", ".join(
            f"[{quote(key)}]" if key in SOURCE_COLUMNS else quote(key) for key in self.keys
        )

    @property
    def reported(self) -> str:
        """The SQL of the value that breaks it, as text."""
        return self.value or f"cast({quote(self.column)} as varchar)"


def marked(rule: Rule) -> Rule:
    """Return a rule for frames of fetched records, of whose ids each is one of its report's."""
    if not rule.keys:
        return rule
    marks = SOURCE_COLUMNS
    return replace(rule, reads=(*marks, *rule.reads), keys=(*marks, *rule.keys))
