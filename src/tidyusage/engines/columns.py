"""Map a frame's columns to fields, in either spelling of their names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args

from tidyusage import catalogue, schema
from tidyusage._utils.sql import literal, quote
from tidyusage.engines import frames
from tidyusage.errors import FrameError
from tidyusage.typing import Layout, Separator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

LAYOUTS: Final = get_args(Layout)
# The schema's nested objects: a frame with such a column was not flattened.
_OBJECTS: Final = frozenset(field.keys[0] for field in catalogue.SCALARS if len(field.keys) > 1)
# Columns by which a layout is known; wide has none that it must have.
_MARKS: Final[dict[Layout, tuple[str, ...]]] = {
    "long": ("metric", "value"),
    "charges": ("position", "charges.amount"),
    "resources": ("position", "resources.id"),
    "tool_actions": ("position", "tool", "count"),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """A frame's columns: ``known`` maps dotted names to the frame's own, ``own`` are the rest."""

    layout: Layout
    sep: Separator
    known: Mapping[str, str]
    own: tuple[str, ...]

    @property
    def marks(self) -> tuple[str, ...]:
        """The dotted columns that say what records were fetched for, if the frame has one."""
        marks = catalogue.SOURCE_COLUMNS
        return marks if any(name in self.known for name in marks) else ()

    @property
    def lacks_currency(self) -> bool:
        """Whether the frame has amounts, and no column that says in which currency they are.

        A long frame may hold an amount in any row.
        """
        if self.layout == "long":
            return "unit" not in self.known
        has_amounts = any(name in self.known for name in catalogue.CHARGE_AMOUNTS)
        return has_amounts and "charges.currency" not in self.known


@cache
def types() -> dict[str, pa.DataType]:
    """Return every column of every layout with its type."""
    extra = schema.layout_types("wide", remote_data=True, extra=True, source=True)
    marked = schema.layout_types("long", record=True)
    children = (schema.layout_types(name, record=True) for name in LAYOUTS[2:])
    return extra | marked | {name: type_ for child in children for name, type_ in child.items()}


def columns(frame: Any) -> Columns:
    """Look at a frame's columns; raise if it holds no usage."""
    names = frames.columns(frame)
    _require_plain(names)
    sep = _separator(names)
    layout = _layout(set(names), sep)
    spelled = {schema.rename(name, sep): name for name in layout_types(layout)}
    known = {spelled[name]: name for name in names if name in spelled}
    own = tuple(name for name in names if name not in spelled)
    nested = [name for name in own if name in _OBJECTS]
    if nested and not any("." in path for path in known):
        raise FrameError(
            f"The column {nested[0]!r} holds nested records: "
            "the frame was made from them without being flattened.",
            "Flatten it first: tu.flatten_usage(df), or tu.flatten_usage(records).",
        )
    if set(known) <= {"id"} or "id" not in known:
        raise FrameError(
            f"This is no usage frame: of its columns {names[:5]} "
            f"{'none but id is' if 'id' in known else 'id is not'} one of the schema's.",
            "Make one with flatten_usage() or read_usage().",
        )
    return Columns(layout, sep, known, own)


def _require_plain(names: list[Any]) -> None:
    """Refuse names that are no text, stand twice, or differ from another in case alone."""
    for name in names:
        if not isinstance(name, str):
            raise FrameError(f"A column is named {name!r}.", "Names of columns must be text.")
    folded = Counter(name.lower() for name in names)
    twice = [name for name in names if folded[name.lower()] > 1]
    if twice:
        raise FrameError(
            f"The frame has the columns {twice}, which SQL cannot tell apart.",
            "Rename or drop all but one.",
        )
    both = [
        name for name in types() if "." in name and {name, schema.rename(name, "_")} <= set(names)
    ]
    if both:
        raise FrameError(
            f"The frame has the column {both[0]!r} under both of its spellings.", "Drop one."
        )


@cache
def layout_types(layout: Layout) -> dict[str, pa.DataType]:
    """Return every column that a layout can have, with its type."""
    if layout == "wide":
        return schema.layout_types("wide", remote_data=True, extra=True, source=True)
    return schema.layout_types(layout, record=True, source=True)


def _separator(names: Iterable[str]) -> Separator:
    names = set(names)
    dotted = {name for name in types() if "." in name}
    underscored = {schema.rename(name, "_") for name in dotted} & names
    if underscored and dotted & names:
        raise FrameError(
            f"The frame mixes spellings: {min(dotted & names)!r} and {min(underscored)!r}.",
            "Spell all its columns with '.' or all with '_'.",
        )
    return "_" if underscored else "."


def _layout(names: set[str], sep: str) -> Layout:
    for layout, marks in _MARKS.items():
        if {schema.rename(mark, sep) for mark in marks} <= names:
            return layout
    return "wide"


def typed(source: str, columns: Columns, wanted: Iterable[str], own: Iterable[str] = ()) -> str:
    """Return the SQL of a frame under dotted names, with null for columns that are absent."""
    parts = []
    for name in wanted:
        type_ = types()[name]
        if name not in columns.known:
            parts.append(f"cast(null as {schema.duckdb_type(type_)}) as {quote(name)}")
        elif type_ == schema.ARROW["timestamp"]:
            parts.append(f"{quote(columns.known[name])} as {quote(name)}")
        else:
            actual = quote(columns.known[name])
            parts.append(f"cast({actual} as {schema.duckdb_type(type_)}) as {quote(name)}")
    parts += map(quote, own)
    return f"(select {', '.join(parts)} from {source})"


def rebuilt_charges() -> str:
    """Return the SQL of the list of charges as the typed columns hold them."""
    entries = ", ".join(
        f'{{amount: {quote(f"charges.{type_}")}, currency: "charges.currency", '
        f"type: {literal(type_)}}}"
        for type_ in catalogue.CHARGE_TYPES
    )
    return f"nullif(list_filter([{entries}], lambda tu__e: tu__e.amount is not null), [])"


def with_own(types_: frames.Types, found: Columns) -> frames.Types:
    """Add the caller's own columns, in whatever type they have; one must not meet an answer's."""
    spelled = {schema.rename(name, found.sep) for name in types_}
    if meeting := [name for name in found.own if name in spelled]:
        raise FrameError(
            f"The frame's own column {meeting[0]!r} is called like a column of the answer.",
            "Rename it.",
        )
    return {**types_, **dict.fromkeys(found.own)}
