"""Embed text and JSON in HTML pages so that browsers never read it as markup."""

from __future__ import annotations

import json
from typing import Any, Final

# What would end a script, begin a comment in it, or be no JavaScript in old browsers.
_UNSAFE: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def json_text(value: Any) -> str:
    """Write a value as JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_UNSAFE)


def script_text(code: str) -> str:
    """Write a library's code so that no string in it ends its script element."""
    return code.replace("</script", "<\\/script").replace("<!--", "\\x3c!--")
