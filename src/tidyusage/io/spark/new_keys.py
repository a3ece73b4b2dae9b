"""Find keys that the schema does not know, in Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue
from tidyusage.engines.spark import text
from tidyusage.io import unknown_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidyusage.catalogue import Tree


_ENTRIES: Final = "array<struct<path: string, value: string>>"


def query(json: str, *, source: bool) -> str:
    """Return a record's unknown keys, JSON text of path and value, or null.

    ``json`` is a VARIANT of a list that begins with the record.
    """
    known = unknown_keys.known_tree(source)
    found = [_entries("'$[0]'", json, known, "''")]
    for path, tree, is_list in catalogue.objects(known):
        if "[]." in path:
            continue  # objects within a list's entries come with the list
        place = text(f"$[0].{path}")
        found.append(
            _listed(place, json, path, tree)
            if is_list
            else _entries(place, json, tree, text(f"{path}."))
        )
    pair = "concat(to_json(cast(e.path as variant)), ':', e.value)"
    joined = f"array_join(transform(entries, e -> {pair}), ',')"
    return _let(
        "entries", f"concat({', '.join(found)})", f"nullif('{{' || {joined} || '}}', '{{}}')"
    )


def of_type(type_: Any, tree: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the members of a frame's nested type that the schema does not know."""
    for member in type_.fields:
        path, child = f"{prefix}{member.name}", tree.get(member.name)
        if child is None:
            yield path
        elif isinstance(child, list) and hasattr(member.dataType, "elementType"):
            inner = member.dataType.elementType
            yield from of_type(inner, child[0], f"{path}[].") if hasattr(inner, "fields") else ()
        elif isinstance(child, dict) and hasattr(member.dataType, "fields"):
            yield from of_type(member.dataType, child, f"{path}.")


def _let(name: str, value: str, inner: str) -> str:
    """Return an expression over a value that is worked out once."""
    return f"transform(array({value}), {name} -> {inner})[0]"


def _entries(place: str, json: str, tree: Tree, prefix: str) -> str:
    """Return an object's entries whose keys the catalogue does not have."""
    members = f"map_entries(try_variant_get({json}, {place}, 'map<string, variant>'))"
    known = ", ".join(map(text, tree))
    strange = f"filter({members}, m -> m.key not in ({known}))"
    made = f"struct(concat({prefix}, m.key) as path, coalesce(to_json(m.value), 'null') as value)"
    return f"coalesce(transform({strange}, m -> {made}), cast(array() as {_ENTRIES}))"


def _listed(place: str, json: str, path: str, tree: Tree) -> str:
    """Return the unknown entries of a list's objects, and of the objects within those."""
    prefix = f"{text(path + '[')} || i || '].'"
    found = [_entries("'$'", "item", tree, prefix)]
    for key, inner, _ in catalogue.objects(tree):
        found.append(_entries(text(f"$.{key}"), "item", inner, f"{prefix} || {text(key + '.')}"))
    items = f"try_variant_get({json}, {place}, 'array<variant>')"
    made = f"flatten(transform({items}, (item, i) -> concat({', '.join(found)})))"
    return f"coalesce({made}, cast(array() as {_ENTRIES}))"
