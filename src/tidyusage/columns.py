"""Which of a frame's columns is which field, whatever separator spells it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args

from tidyusage import catalogue, engines, schema
from tidyusage.errors import FrameError, UnknownFieldError, nearest
from tidyusage.sql import literal, quote
from tidyusage.typing import Layout, Separator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

LAYOUTS: Final = get_args(Layout)
_MARKS: Final[dict[str, tuple[str, ...]]] = {
    "long": ("metric", "value"),
    "charges": ("charges.amount",),
    "tool_actions": ("tool", "count"),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """A frame's columns: ``known`` maps dotted names to the frame's own, ``own`` are the rest."""

    layout: Layout
    sep: Separator
    known: Mapping[str, str]
    own: tuple[str, ...]

    def find(self, name: str) -> str:
        """Return the dotted column that a name means, with or without its leading ``usage.``."""
        dotted = {schema.rename(column, sep): column for column in self.known for sep in "._"}
        for spelling in (name, f"usage.{name}", f"usage_{name}"):
            if spelling in dotted:
                return dotted[spelling]
        raise UnknownFieldError(
            f"The frame has no column {name!r}.", nearest(name, [*self.known.values(), *self.own])
        )


@cache
def types() -> dict[str, pa.DataType]:
    """Return every column of every layout with its type."""
    extra = schema.layout_types("wide", remote_data=True, extra=True)
    marked = schema.layout_types("long", record=True)
    children = (schema.layout_types(name, record=True) for name in LAYOUTS[2:])
    return extra | marked | {name: type_ for child in children for name, type_ in child.items()}


def columns(frame: Any) -> Columns:
    """Look at a frame's columns; raise if it holds no usage."""
    names = engines.columns(frame)
    sep = _separator(names)
    spelled = {schema.rename(name, sep): name for name in types()}
    known = {spelled[name]: name for name in names if name in spelled}
    own = tuple(name for name in names if name not in spelled)
    if set(known) <= {"id"} or "id" not in known:
        raise FrameError(
            f"This is no usage frame: of its columns {names[:5]} "
            f"{'none but id is' if 'id' in known else 'id is not'} one of the schema's.",
            "Make one with flatten_usage() or read_usage().",
        )
    return Columns(_layout(known), sep, known, own)


def _separator(names: Iterable[str]) -> Separator:
    names = set(names)
    underscored = {schema.rename(name, "_") for name in types() if "." in name}
    dotted = {name for name in types() if "." in name}
    return "_" if len(names & underscored) > len(names & dotted) else "."


def _layout(known: Mapping[str, str]) -> Layout:
    for layout, marks in _MARKS.items():
        if all(mark in known for mark in marks):
            return layout  # type: ignore[return-value]
    if "position" in known and any(name.startswith("resources.") for name in known):
        return "resources"
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
    return f"nullif(list_filter([{entries}], lambda e: e.amount is not null), [])"


def with_own(types_: engines.Types, found: Columns) -> engines.Types:
    """Add the caller's own columns, in whatever type they have."""
    own = dict.fromkeys(name for name in found.own if name != "record")
    return {**types_, **own}
