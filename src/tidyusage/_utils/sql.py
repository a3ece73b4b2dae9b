"""Quote identifiers and values for SQL; nothing else may put them into a query."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tidyusage.errors import FrameError, OptionError

# A name that no table of the caller's has: within a relation's query it would hide theirs.
FRAME: Final = "tidyusage_frame"


def quote(name: str) -> str:
    """Quote an identifier; raise for a name that SQL cannot hold."""
    if not name or "\0" in name or not _is_unicode(name):
        raise FrameError(
            f"A column is named {name!r}, which SQL cannot hold.", "Rename or drop the column."
        )
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool | None) -> str:
    """Write a value as SQL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if not _is_unicode(value):
            raise OptionError(f"{value!r} holds half a surrogate pair.", "Remove or replace it.")
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be encoded: half a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def values(items: Iterable[str]) -> str:
    """Write strings as the inside of a list or of ``in (…)``."""
    return ", ".join(map(literal, items))


def given(columns: Mapping[str, str], rows: Sequence[Iterable[str | float | None]]) -> str:
    """Write rows as a query, of columns by their quoted names with their types."""
    casts = (f"cast({name} as {type_}) as {name}" for name, type_ in columns.items())
    lines = [f"({', '.join(map(literal, row))})" for row in rows]
    nothing = f"({', '.join('null' for _ in columns)})"
    return f"""select {", ".join(casts)}
  from (values
    {clauses(lines or [nothing])}
  ) as tu__rows({", ".join(columns)})
  where {"true" if rows else "false"}"""


def clauses(items: Iterable[str], joint: str = ",") -> str:
    """Write one item a line, so that the SQL that users print can be read."""
    return f"{joint}\n    ".join(items)


def trimmed(text: str) -> str:
    """Write a text without the spaces around it; what else is blank, engines trim differently."""
    return f"trim(both ' ' from {text})"


def is_about(parts: str, total: str) -> str:
    """Write the test of parts that make a total, but for a float's noise."""
    return f"abs({parts} - {total}) <= 1e-6 * abs({total})"


def share(part: str, whole: str) -> str:
    """Write a part's share of a whole, null of a whole of zero.

    Of an infinite sum the share is NaN, not 0, so that it is seen not to be finite.
    """
    return f"{part} / nullif({whole}, 0) + 0e0 * {whole}"


def listed(*columns: str) -> str:
    """Write columns that more follow in a list; quoted ones, which may be none."""
    return "".join(f"{column}, " for column in columns)


def partition(*columns: str) -> str:
    """Write the inside of a window over groups."""
    return f"partition by {', '.join(columns)}" if columns else ""


def ordered(*terms: str) -> str:
    """Write an order in which nulls come last, whatever a session's default is."""
    directed = (term if term.endswith(" desc") else f"{term} asc" for term in terms)
    return ", ".join(f"{term} nulls last" for term in directed)


def grouped(*columns: str) -> str:
    """Write the clause that groups by columns; without any, all rows are one group, if there."""
    return f"group by {', '.join(columns)}" if columns else "having count(*) > 0"


def added(parts: Iterable[str]) -> str:
    """Write a sum of what is there; null where nothing is."""
    parts = list(parts)
    sums = " + ".join(f"coalesce({part}, 0)" for part in parts)
    return f"case when coalesce({', '.join(parts)}) is not null then {sums} end"


def prefixed(step: str, *columns: str) -> str:
    """Write a list of a step's columns."""
    return ", ".join(f"{step}.{column}" for column in columns)


def same(left: str, right: str, *columns: str) -> str:
    """Write the test of two steps' rows that have the same in columns, null and null too."""
    tests = (f"{left}.{name} is not distinct from {right}.{name}" for name in columns)
    return "\n    and ".join(tests) or "true"


def identity(id_: str, email: str) -> str:
    """Write who a user is: the id, else the e-mail; spelled alike."""
    return f"coalesce(nullif({trimmed(id_)}, ''), nullif(lower({trimmed(email)}), ''))"
