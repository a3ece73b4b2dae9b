"""HTML for tables and explanations: escaped names, missing values, share bars."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


_TRACK: Final = "rgba(128,128,128,.25)"
_LONG: Final = 40
_WRAPPED: Final = "width:max-content;max-width:30em;white-space:pre-wrap;overflow-wrap:anywhere"
# A parser takes them for something else than they are.
_CONTROLS: Final = {ord("\r"): "&#13;", ord("{"): "&#123;", ord("}"): "&#125;", 0: "\ufffd"}


def escaped(text: str) -> str:
    """Return HTML that shows a text letter by letter; braces are marks of units elsewhere."""
    return html.escape(text).translate(_CONTROLS)


def name(text: str) -> str:
    """Return HTML of a name or a sentence: a long one wraps, also one without blanks."""
    if len(text) <= _LONG and "\n" not in text:
        return escaped(text)
    return f'<div style="{_WRAPPED}">{escaped(text)}</div>'


def quiet(words: str) -> str:
    """Return HTML of what is said in the place of a value."""
    return f'<i style="opacity:.7">{escaped(words)}</i>'


# An en dash.
MISSING: Final = quiet("\u2013")


def outline(lines: Iterable[str]) -> str:
    """Return HTML of lines of which those that begin with a dash are lists within lists."""
    made: list[str] = []
    depth = 0
    for line in lines:
        words = line.lstrip(" ").removeprefix("- ")
        level = (len(line) - len(words)) // 2
        made.append("<ul>" * (level - depth) + "</ul>" * (depth - level))
        made.append(f"<li>{escaped(words)}" if level else f"<div>{escaped(words)}</div>")
        depth = level
    return "".join((*made, "</ul>" * depth))


def bar(share: float, words: str, color: str) -> str:
    """Return HTML of a share with its bar, of 0 to 100 %; without styles its words are left."""
    width = min(max(share, 0.0), 1.0)
    return (
        '<span style="display:inline-flex;align-items:center;gap:.6em">'
        f'<span style="width:5em;height:.7em;background:{_TRACK}">'
        f'<span style="display:block;width:{width:.1%};height:100%;background:{color}"></span>'
        f'</span><span style="min-width:3.6em">{escaped(words)}</span></span>'
    )


# What would end a script, begin a comment in it, or be no JavaScript in old browsers.
_UNSAFE: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def json_text(value: Any) -> str:
    """Serialize a value as JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_UNSAFE)


def script_text(code: str) -> str:
    """Write a library's code so that no string in it ends its script element."""
    return code.replace("</script", "<\\/script").replace("<!--", "\\x3c!--")
