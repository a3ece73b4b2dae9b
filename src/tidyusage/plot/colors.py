"""Colors for groups: the same name has the same color in every chart of a frame."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# Found by a search for twelve colours, and the two greys, that stay as far apart as they can: to
# full sight and to simulated protanopia, deuteranopia and tritanopia, each with a contrast of 3 to
# white and to a dark page. tests/test_colors.py measures it.
PALETTE: Final = (
    "#6f6eff",
    "#b44800",
    "#1b7933",
    "#938712",
    "#9b3fb8",
    "#e76462",
    "#6979a0",
    "#d670c6",
    "#5394f4",
    "#6053e2",
    "#d43084",
    "#bc5bca",
)
# Who is in many frames keeps one colour in all of them: the products of the schema's vendors, and
# the models and kinds that are met most.  A name that is not here has the colour of its hash.
_PINNED: Final = {
    name: color
    for names in (
        ("claude", "codex", "cursor", "confluent", "datadog"),
        (
            *("claude-sonnet-4-6", "claude-opus-5", "claude-haiku-4-5", "gpt-5.5", "gpt-5.3-codex"),
            *("gpt-5.4", "claude-sonnet-5", "default", "claude-sonnet-4-5", "auto", "composer-2"),
        ),
        ("tab", "edit", "line", "tool"),
    )
    for name, color in zip(names, PALETTE, strict=False)
}
_FIRST: Final = PALETTE[:8]  # are furthest apart to full sight, and are given before the rest
OTHER: Final = "#949494"  # groups that are folded into one
NONE: Final = "#6a6a6a"  # records that name no group


def assign(
    names: Iterable[str],
    fixed: Mapping[str, str] | None = None,
    shown: Iterable[Collection[str]] | None = None,
) -> dict[str, str]:
    """Return the colour of each name.

    Names that are met everywhere have a colour of their own.  Any other wants the same colours, in
    the same order, wherever it stands, and of two that want one the same gives way.  So the charts
    of a frame agree, and mostly those of other frames.  Where there are more names than colours,
    names that one panel shows together still differ, as long as they are no more than twelve.

    Parameters
    ----------
    names
        All names of a dimension in a frame.
    fixed
        Colours that are given, by name; no other name gets them.
    shown
        The names that each panel of a chart shows, if it does not show all names.

    Returns
    -------
    dict
        Colours as `#rrggbb`, by name: of those shown.

    Raises
    ------
    OptionError
        For a given colour that is none of the form `#rrggbb`.
    """
    fixed = _checked(fixed or {})
    every = set(names)
    panels = [every] if shown is None else [set(names) for names in shown]
    # Only the names that have a colour to themselves: the others give way to what is shown.
    owners = _given({}, every, fixed, only_owners=True)
    visible: set[str] = set().union(*panels)
    if len(visible) <= len(PALETTE):  # enough for every name of the chart to differ
        panels = [visible]
    found = {name: owners[name] for name in _unlike(owners) if name in visible}
    for panel in panels:
        found |= _given({name: found[name] for name in panel & set(found)}, panel, fixed)
    return found


def _checked(fixed: Mapping[str, str]) -> dict[str, str]:
    for name, color in fixed.items():
        if not isinstance(color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", color):
            raise OptionError(
                f"colors= gives {name!r} the colour {color!r}.", "Write it as '#6f6eff'."
            )
    return dict(fixed)


def _given(
    taken: dict[str, str],
    names: Iterable[str],
    fixed: Mapping[str, str],
    *,
    only_owners: bool = False,
) -> dict[str, str]:
    """Give each name the first colour it wants that is free; its favourite where none is free.

    With ``only_owners``, names that find no free colour are left out.
    """
    found = dict(taken)
    free = set(PALETTE) - {*found.values(), *fixed.values()}
    for name in sorted(set(names) - set(found), key=lambda name: (name not in _PINNED, name)):
        if name in fixed:
            found[name] = fixed[name]
        elif free or not only_owners:
            found[name] = min(free or PALETTE, key=lambda color: _wish(color, name))
            free.discard(found[name])
    return found


def _wish(color: str, name: str) -> tuple[bool, bool, bytes]:
    """Return how much a name wants a colour: the least first."""
    return _PINNED.get(name) != color, color not in _FIRST, _hash(color + name)


def _unlike(colors: Mapping[str, str]) -> list[str]:
    """Return the names of which none before has the same colour."""
    first: dict[str, str] = {}
    for name, color in colors.items():
        first.setdefault(color, name)
    return list(first.values())


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
