"""Additive measures and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import added, quote
from tidyusage.errors import OptionError, UnknownFieldError, nearest

if TYPE_CHECKING:
    from tidyusage.metrics._usage import Usage

_REQUESTS: Final = "usage.requests.total"


def _requests(partition: str) -> tuple[str, ...]:
    """Return the fields that split requests in one way."""
    return tuple(
        field.column
        for field in catalogue.MEASURES
        if field.part_of == _REQUESTS and field.partition == partition
    )


# What is counted: the first of these that a record has, several standing for their sum.
_COUNTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "commits": (("usage.code.commits",),),
    "pull_requests": (("usage.code.pull_requests",),),
    "accepted_lines": (("usage.code.lines_accepted_added",),),
    "sessions": (("usage.sessions.distinct",),),
    "conversations": (("usage.conversations.distinct",), ("usage.conversations.thread_count",)),
    "requests": ((_REQUESTS,), _requests("kind"), _requests("billing")),
}
NAMES: Final = tuple(_COUNTS)
# Counts of different ones within each record: right record by record, not over all of them.
_DISTINCT: Final = ("sessions", "conversations")
_FIELDS: Final = {field.column: field for field in (*catalogue.MEASURES, catalogue.TOOL_ACTIONS)}


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: its ``name`` in an answer, the ``fields`` it reads, its SQL of one record."""

    name: str
    fields: tuple[str, ...]
    sql: str


def additive(asked: Usage, name: str, *, others: tuple[str, ...] = ()) -> Measure:
    """Return a measure that may be added over all records; raise for what may not."""
    _check_name(name)
    if name in _DISTINCT:
        raise OptionError(
            f"A sum of {name} has no meaning: records count different ones, and one may be in two.",
            f"Ask cost_per({name!r}), which sets each record's cost against its own count.",
        )
    return countable(asked, name, others=others)


def countable(asked: Usage, name: str, *, others: tuple[str, ...] = ()) -> Measure:
    """Return a measure by its name or its field; raise for what has no sum or is not there."""
    _check_name(name)
    if name in _COUNTS:
        fields = tuple(field for group in _COUNTS[name] for field in group)
        sums = ", ".join(map(_sum, _COUNTS[name]))
        found = Measure(name, fields, f"coalesce({sums})" if len(_COUNTS[name]) > 1 else sums)
    else:
        path = _path(asked, name, others)
        found = Measure(schema.rename(path, asked.columns.sep), (path,), quote(path))
    asked.require(found.fields, repr(name))
    return found


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise OptionError(f"{name!r} is no name of a measure.", "Give it as text.")


def _path(asked: Usage, name: str, others: tuple[str, ...]) -> str:
    """Return the path of a measure that may be added up."""
    spelled = {column: path for path, column in asked.columns.known.items()}
    for path in (spelled.get(name, name), f"usage.{name}"):
        if path in catalogue.CHARGE_AMOUNTS:
            raise OptionError(
                f"{path} is money, which adds up within a currency alone.",
                f"Ask for the cost with charge={path.removeprefix('charges.')!r}.",
            )
        field = _FIELDS.get(path)
        if field is None:
            continue
        if field.addition == "sum" and field.dtype == "number":
            return path
        raise OptionError(*_refusal(path, field))
    known = (*others, *_COUNTS, *(p.removeprefix("usage.") for p, f in _FIELDS.items() if f.unit))
    raise UnknownFieldError(f"Unknown measure {name!r}.", nearest(str(name), known))


def _refusal(path: str, field: catalogue.Field) -> tuple[str, str]:
    """Return why a field has no sum, and what to ask instead."""
    fact = f"A sum of {path} has no meaning"
    if field.addition == "within":
        return (
            f"{fact}: quantities add up within one unit and metric_name alone.",
            "Ask totals(), which keeps them apart.",
        )
    if field.dtype == "boolean":
        return f"{fact}: it is a flag.", "Ask active_users() how many users were active."
    if field.dtype == "counts":
        return f"{fact}: it holds several counts.", "Ask totals(), or totals('tool')."
    return (
        f"{fact}: it counts different ones within a record, and one may be in two records.",
        "Ask active_users() how many users there were, or totals() for what may be added.",
    )


def _sum(fields: tuple[str, ...]) -> str:
    return quote(fields[0]) if len(fields) == 1 else added(map(quote, fields))
