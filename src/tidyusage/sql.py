"""How names and values reach SQL: through these functions and no other way."""

from collections.abc import Iterable


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | float | bool | None) -> str:
    """Write a value as SQL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def values(items: Iterable[str]) -> str:
    """Write strings as the inside of a list or of ``in (…)``."""
    return ", ".join(map(literal, items))


def clauses(items: Iterable[str], joint: str = ",") -> str:
    """Write one item a line, so that the SQL that users print can be read."""
    return f"{joint}\n    ".join(items)
