"""Keys that the schema does not know: counted in a sample or exactly, or kept as a column."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import orjson

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, literal, values
from tidyusage.errors import RecordError, UnknownKeyWarning, named
from tidyusage.errors import warn as warn_of
from tidyusage.io import scan_sql
from tidyusage.io.json_text import LEVELS, is_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from tidyusage.catalogue import Tree
    from tidyusage.io.inputs import Text

SAMPLE: Final = 1_000
_SHOWN: Final = 10
# Of each of many files.
_LEAST: Final = 4
_BLOCKS: Final = 32
_BLOCK: Final = 1 << 16


def warn(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text]) -> None:
    """Warn of unknown keys in a sample of the records, spread over all texts from end to end."""
    sample = _sample(connection, texts)
    warn_over(sample, has_source=any(text.has_source for text in texts))


def warn_over(lines: Iterable[bytes], *, has_source: bool) -> None:
    """Warn of unknown keys in some records' texts."""
    keys: Counter[str] = Counter()
    known = _known(has_source)
    looked_at = 0
    for line in lines:
        looked_at += 1
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        known.tally_all(record, keys)
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


def _sample(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text]) -> Iterator[bytes]:
    """Yield about a thousand records from all over the texts."""
    share = max(_LEAST, SAMPLE // max(1, len(texts)))
    others = []
    for text in texts:
        if text.lines is not None:
            yield from text.lines.sample(share)
        elif text.shape == "lines" and text.compression == "none":
            yield from _spread(text, share)
        else:
            others.append(text)
    if others:
        yield from _drawn(connection, others, share * len(others))


def _spread(text: Text, share: int) -> Iterator[bytes]:
    """Yield whole lines from places all over a plain file, its end included."""
    blocks = min(_BLOCKS, share)
    with open(text.path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        if size <= _BLOCKS * _BLOCK:
            lines = list(filter(bytes.strip, stream))
            yield from lines[:: -(-len(lines) // share) or 1] if share < SAMPLE else lines
            return
        for block in range(blocks - 1):
            stream.seek(size // blocks * block)
            if block:
                stream.readline()
            lines = stream.readlines(_BLOCK)
            yield from lines[: share // blocks]
        yield from _last_lines(stream, size)[-(share // blocks) :]


def _last_lines(stream: IO[bytes], size: int) -> list[bytes]:
    """Return the whole lines at the end of a file."""
    length = _BLOCK
    while True:
        stream.seek(max(0, size - length))
        lines = stream.read().splitlines(keepends=True)
        if len(lines) > 1 or length >= size:
            return lines[1:] or lines
        length *= 2


def _drawn(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], count: int
) -> Iterator[bytes]:
    """Yield records drawn from texts that must be read from their beginning."""
    import duckdb

    rows = scan_sql.whole(texts)
    draw = (
        f"select cast(j as varchar) from {rows} using sample reservoir({count} rows) repeatable (1)"
    )
    try:
        found = connection.sql(draw).fetchall()
    except duckdb.Error:  # a text that is not JSON throughout
        yield from _thinned((line for text in texts for _, line in text.records()), count)
        return
    for (record,) in found:
        yield (record or "null").encode()


def _thinned(lines: Iterable[bytes], count: int) -> list[bytes]:
    """Return between one and two times as many lines as wanted, at equal distances."""
    kept: list[bytes] = []
    step = 1
    for place, line in enumerate(lines):
        if place % step:
            continue
        kept.append(line)
        if len(kept) >= 2 * count:
            kept, step = kept[::2], step * 2
    return kept


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

    def tally_all(self, value: object, strangers: Counter[str], level: int = 0) -> None:
        """Count the paths of the keys that are not known in a record, an array or a page."""
        found: Iterable[object] = ()
        if isinstance(value, list):
            found = value
        elif is_page(value):
            result = value["result"] or ()
            found = result.values() if isinstance(result, dict) else result
        else:
            self.tally(value, strangers)
        for inner in found if level < LEVELS else ():
            self.tally_all(inner, strangers, level + 1)

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
    rows = scan_sql.whole(texts)
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
