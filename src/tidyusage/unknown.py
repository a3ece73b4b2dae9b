"""Keys that the schema does not know: found in a sample, or exactly, or kept as a column."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from tidyusage import catalogue, scan
from tidyusage.errors import RecordError, UnknownKeyWarning, named
from tidyusage.errors import warn as warn_of
from tidyusage.sqltext import clauses, literal, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from tidyusage.catalogue import Tree
    from tidyusage.sources import Text

SAMPLE: Final = 1_000
_SHOWN: Final = 10
_BLOCKS: Final = 16
_BLOCK: Final = 1 << 16


def warn(texts: Sequence[Text]) -> None:
    """Warn of unknown keys in a sample of the records: spread over one file, or the first ones."""
    warn_over(_sample(texts), has_source=any(text.has_source for text in texts))


def warn_over(lines: Iterable[bytes], *, has_source: bool) -> None:
    """Warn of unknown keys in the first of some records' texts."""
    keys: Counter[str] = Counter()
    known = _known(has_source)
    looked_at = 0
    for line in islice(lines, SAMPLE):
        looked_at += 1
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        known.tally(record, keys)
    if keys:
        message = (
            f"The schema does not know {named(keys.most_common(), _SHOWN)}, seen in a sample of "
            f"{looked_at:,} records; they are dropped. unknown='keep' keeps such keys, 'raise' "
            "and 'keep' are exact, 'ignore' is silent."
        )
        warn_of(message, UnknownKeyWarning)


def refuse(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text]) -> None:
    """Raise if any record holds a key that the schema does not know."""
    keys = f"select unnest(json_keys(cast(extra as json))) as key from ({query(texts)})"
    pattern = r"'\[\d+\]'"
    counted = f"""
select regexp_replace(key, {pattern}, '[]', 'g') as path, count(*) as seen
from ({keys})
group by path
order by seen desc, path
"""
    if found := connection.sql(counted).fetchall():
        raise refusal(found)


def refusal(found: Sequence[tuple[object, int]]) -> RecordError:
    """Return the error over keys that the schema does not know."""
    return RecordError(
        f"The schema does not know {named(found, _SHOWN)}.",
        "unknown='keep' keeps such keys in a column, 'ignore' drops them.",
    )


def _sample(texts: Sequence[Text]) -> Iterator[bytes]:
    share = max(1, SAMPLE // max(1, len(texts)))
    for text in texts:
        if text.lines is not None:
            yield from text.lines.sample(share)
        elif text.shape == "lines" and text.compression == "none":
            yield from islice(_spread(text), share)
        else:
            yield from islice((line for _, line in text.records()), share)


def _spread(text: Text) -> Iterator[bytes]:
    """Yield whole lines from places all over a plain file."""
    with open(text.path, "rb") as stream:
        size = stream.seek(0, 2)
        if size <= _BLOCKS * _BLOCK:
            stream.seek(0)
            yield from stream
            return
        most = SAMPLE // _BLOCKS
        for block in range(_BLOCKS):
            stream.seek(size // _BLOCKS * block)
            lines = stream.read(_BLOCK).split(b"\n")
            yield from lines[min(block, 1) : -1][:most]


class _Known(NamedTuple):
    """The keys of an object of the schema, and of the objects and lists within it."""

    prefix: str
    keys: frozenset[str]
    objects: dict[str, _Known]
    lists: dict[str, _Known]

    @classmethod
    def of(cls, tree: Tree, prefix: str = "") -> _Known:
        """Return the keys of a tree of fields."""
        objects, lists = {}, {}
        for key, node in tree.items():
            if isinstance(node, list):
                lists[key] = cls.of(node[0], f"{prefix}{key}[].")
            elif isinstance(node, dict):
                objects[key] = cls.of(node, f"{prefix}{key}.")
        return cls(prefix, frozenset(tree), objects, lists)

    def tally(self, node: object, strangers: Counter[str]) -> None:
        """Count the paths of the keys that are not known."""
        if not isinstance(node, dict):
            return
        if not self.keys.issuperset(node):
            strangers.update(f"{self.prefix}{key}" for key in node if key not in self.keys)
        for key, known in self.objects.items():
            if key in node:
                known.tally(node[key], strangers)
        for key, known in self.lists.items():
            for entry in node[key] if isinstance(node.get(key), list) else ():
                known.tally(entry, strangers)


@cache
def _known(has_source: bool) -> _Known:
    return _Known.of(known_tree(has_source))


def known_tree(has_source: bool) -> Tree:
    """Return the fields that a record may have, nested."""
    return catalogue.tree((*catalogue.FIELDS, *(catalogue.SOURCE if has_source else ())))


def query(texts: Iterable[Text]) -> str:
    """Return the query of every record's unknown keys: JSON text of path and value, or null.

    The keys of each object are compared with the catalogue's; nothing is sampled.
    """
    texts = list(texts)
    known = known_tree(any(text.has_source for text in texts))
    rows = scan.whole(texts)
    found = [_entries("j", known, "''")]
    for path, tree, is_list in catalogue.objects(known):
        if "[]." in path:
            continue  # objects within a list's entries come with the list
        found.append(_listed(path, tree) if is_list else _nested(path, tree))
    members = "list_transform(entries, lambda e: to_json(e.path) || ':' || e.value)"
    return f"""
with found as not materialized (
  select flatten([
    {clauses(found)}
  ]) as entries
  from {rows}
)
select case when len(entries) > 0 then '{{' || array_to_string({members}, ',') || '}}' end as extra
from found
"""


def _nested(path: str, tree: Tree) -> str:
    return _entries(f"json_extract(j, {_pointer(path)})", tree, literal(f"{path}."))


def _pointer(path: str) -> str:
    return literal("/" + path.replace(".", "/"))


def _entries(node: str, tree: Tree, prefix: str, entry: str = "k") -> str:
    """Return an object's entries whose keys the catalogue does not have."""
    is_object = f"json_type({node}) = 'OBJECT'"
    pairs = f"map_entries(case when {is_object} then cast({node} as map(varchar, json)) end)"
    strange = f"list_filter({pairs}, lambda {entry}: {entry}.key not in ({values(tree)}))"
    value = f"coalesce(cast({entry}.value as varchar), 'null')"
    made = f"{{path: {prefix} || {entry}.key, value: {value}}}"
    return f"coalesce(list_transform({strange}, lambda {entry}: {made}), [])"


def _listed(path: str, tree: Tree) -> str:
    """Return the unknown entries of a list's objects, and of the objects within those."""
    items = f"cast(json_extract(j, {_pointer(path)}) as json[])"
    prefix = f"{literal(path + '[')} || (i - 1) || '].'"
    found = [_entries("item", tree, prefix)]
    for key, inner, _ in catalogue.objects(tree):
        inner_prefix = f"{prefix} || {literal(key + '.')}"
        found.append(_entries(f"json_extract(item, {_pointer(key)})", inner, inner_prefix))
    made = f"list_transform({items}, lambda item, i: flatten([{', '.join(found)}]))"
    return f"coalesce(flatten({made}), [])"
