"""Build HTML in which all text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """Return a text as HTML."""
    return escape(str(value))


def items(lines: Iterable[str]) -> str:
    """Return lines as a list."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def table(
    name: str, heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]], empty: str = ""
) -> str:
    """Return a table that can be scrolled and sorted, with a name.

    A head is its words, and what the column holds: "text" or "number".  A cell is its text, or
    that and the value to sort by.
    """
    rows = list(rows)
    if not rows:
        return f'<p class="empty">{text(empty)}</p>'
    titles = "".join(f'<th scope="col" class="{kind}">{text(words)}</th>' for words, kind in heads)
    lines = "".join(_line(row, [kind for _, kind in heads]) for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(name)}">'
        f'<table data-sortable><caption class="hidden">{text(name)}</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _line(row: Sequence[Any], kinds: Sequence[str]) -> str:
    cells = []
    for place, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
        words, value = cell if isinstance(cell, tuple) else (cell, cell)
        sort = "" if value is None else f' data-sort="{text(value)}"'
        tag = "th" if place == 0 else "td"
        scope = ' scope="row"' if place == 0 else ""
        cells.append(f'<{tag}{scope} class="{kind}"{sort} dir="auto">{text(words)}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"
