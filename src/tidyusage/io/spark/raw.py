"""Parse JSON lines into raw records in Spark; their leaves stay text.

A line is parsed twice: into the record's keys, and whole with every value's type, which tells what
the first passes over: keys that stand twice, half a surrogate pair, what follows the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue
from tidyusage.catalogue import FIELDS, LISTS, SOURCE, Field
from tidyusage.engines.spark import quoted, text
from tidyusage.io.parse_sql import member
from tidyusage.io.spark import new_keys
from tidyusage.io.spark.typed_sql import BROKEN, EXTRA, LINE, LOOK

if TYPE_CHECKING:
    from collections.abc import Iterable

_RAW: Final = "tu__raw"
_JSON: Final = "tu__json"
_CORRUPT: Final = "tu__corrupt"
_OPTIONS: Final = (
    f"map('mode', 'PERMISSIVE', 'columnNameOfCorruptRecord', '{_CORRUPT}', "
    "'allowNonNumericNumbers', 'false', 'allowSingleQuotes', 'false')"
)
_TYPES: Final = {"boolean": "boolean", "counts": "map<string, string>"}
# A list that ends with a sign of ours is what was meant only if the line is one whole value.
WHOLE: Final = f"concat('[', {LINE}, ',0]')"
_IS_WHOLE: Final = (
    f"try_variant_get({_JSON}, '$[1]', 'int') = 0 and variant_get({_JSON}, '$[2]') is null"
)


def records(
    lines: Any,
    *,
    remote_data: bool = False,
    source: bool = False,
    unknown: bool = False,
    kept: Iterable[str] = (),
) -> Any:
    """Return the raw records of lines, a row each, beside the columns that are kept of the lines.

    A record that is broken comes marked, and what may be no text is looked at with its type.
    """
    fields = (*(f for f in FIELDS if f.dtype != "json"), *(SOURCE if source else ()))
    schema = f"{_members(catalogue.tree(fields), _TYPES)}, `{_CORRUPT}`: string"
    parsed = lines.selectExpr(
        *map(quoted, {LINE: None, **dict.fromkeys(kept)}),
        f"from_json({LINE}, {text(f'struct<{schema}>')}, {_OPTIONS}) as {_RAW}",
        f"try_parse_json({WHOLE}) as {_JSON}",
    )
    is_broken = (
        f"{_RAW}.{_CORRUPT} is not null or not is_valid_utf8({LINE}) "
        f"or not coalesce({_IS_WHOLE}, false)"
    )
    keys = [f"{_RAW}.{quoted(key)}" for key in catalogue.tree(fields)]
    return parsed.selectExpr(
        *map(quoted, kept),
        *keys,
        *([_remote_data()] if remote_data else []),
        *([f"{new_keys.query(_JSON, source=source)} as {EXTRA}"] if unknown else []),
        f"{is_broken} as {BROKEN}",
        f"{_look(fields)} as {LOOK}",
    )


def _members(tree: Any, types: dict[str, str]) -> str:
    return ", ".join(f"{quoted(key)}: {_type(child, types)}" for key, child in tree.items())


def _type(child: Any, types: dict[str, str]) -> str:
    if isinstance(child, Field):
        return types.get(child.dtype, "string")
    if isinstance(child, list):
        return f"array<{_type(child[0], types)}>"
    return f"struct<{_members(child, types)}>"


def _look(fields: tuple[Field, ...]) -> str:
    """Return the texts of a record with their types, where one of them may have been none."""
    texts = tuple(field for field in fields if field.dtype == "string")
    struct = f"struct<{_members(catalogue.tree(texts), {'string': 'variant'})}>"
    doubts = [_doubt(member(f, _RAW).replace('"', "`")) for f in texts if not f.parent_list]
    for name in LISTS:
        entries = (member(f, "e").replace('"', "`") for f in texts if f.parent_list == name)
        doubts.append(f"exists({_RAW}.{name}, e -> {' or '.join(map(_doubt, entries))})")
    is_doubtful = " or ".join(doubts)
    return f"case when {is_doubtful} then try_variant_get({_JSON}, '$[0]', {text(struct)}) end"


def _doubt(x: str) -> str:
    return f"left({x}, 1) in ('{{', '[') or {x} in ('true', 'false')"


def _remote_data() -> str:
    """Return the vendor's own object as JSON: as it came, but for the spaces."""
    key = catalogue.REMOTE_DATA.path
    as_text = f"from_json({LINE}, '{key} string', {_OPTIONS}).{key}"
    any_other = f"to_json(variant_get({_JSON}, '$[0].{key}'))"
    return (
        f"case when left({as_text}, 1) in ('{{', '[') then {as_text} else {any_other} end as {key}"
    )
