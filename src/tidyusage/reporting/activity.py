"""Activity per user and day without names, so that the page can count distinct users."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import literal, quote
from tidyusage.engines import frames
from tidyusage.errors import UnknownFieldError
from tidyusage.metrics._usage import INTEGER, NUMBER, TEXT
from tidyusage.metrics.users import active_users, active_users_query
from tidyusage.plot.periods import WORDS
from tidyusage.reporting.asked import fact
from tidyusage.reporting.cubes import PRODUCT
from tidyusage.reporting.members import USERS, folded

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.metrics._usage import Usage
    from tidyusage.reporting.asked import Row
    from tidyusage.reporting.cubes import Cubes

# Periods whose bits add up to a whole number that a float holds.
_CHUNK: Final = 50
# How long all patterns may be when they are written.
LONGEST: Final = 4_000_000
_SPLIT: Final = "crosses a bound of freq="
_CROSSING: Final = (
    "Some records of active users begin in one {0} and end in another, so that they do not say in "
    "which somebody was active."
)


@dataclass(frozen=True, slots=True)
class Activity:
    """Active users, as patterns of products and periods, and how many people have each.

    ``counts`` are by period and product, null where nobody is named; ``all_`` by period.  The
    place after the last period stands for the whole frame.  ``missing`` says why there is nothing
    at all, ``crossing`` why there is nothing by period, ``bounded`` why there are no patterns.
    """

    patterns: list[list[Any]]
    counts: list[list[int | None]]
    all_: list[int | None]
    missing: str = ""
    crossing: str = ""
    bounded: str = ""


def activity(cubes: Cubes) -> Activity:
    """Return who was active when; say why, where that cannot be told."""
    try:
        whole = _bits(cubes, None)
    except UnknownFieldError as error:
        return Activity([], [], [], missing=fact(error))
    crossing, dated = "", []
    try:
        dated = _bits(cubes, cubes.asked.freq) if cubes.periods else []
    except Exception as error:
        if _SPLIT not in frames.message(error):
            raise
        crossing = _CROSSING.format(WORDS[cubes.asked.freq])
    is_dated = bool(cubes.periods) and not crossing
    counts = _counts(cubes, dated=is_dated)
    everyone = _everyone(cubes, dated=is_dated)
    patterns = _patterns(cubes, whole, dated)
    if sum(map(_length, patterns)) > LONGEST:
        words = (
            f"There are too many different users ({sum(p[0] for p in patterns):,}) for this page"
        )
        return Activity([], counts, everyone, crossing=crossing, bounded=f"{words} to count them.")
    return Activity(patterns, counts, everyone, crossing=crossing)


def _bits(cubes: Cubes, freq: Any) -> list[Row]:
    """Return in which periods each person was active with each product: a bit a period."""
    usage = cubes.asked.usage(PRODUCT, *USERS.fields[:1], whole=True, freq=freq)
    query = active_users_query(usage)
    keys: dict[str, tuple[str, Any]] = {
        "person": (USERS.member(usage, after=1), TEXT),
        "product": (cubes.products.place(f"cast({usage.dimensions[0]} as varchar)"), INTEGER),
    }
    found = folded(query, keys | _chunks(cubes, freq), ("active_users",))
    return cubes.asked.run(_distinct(found))


def _chunks(cubes: Cubes, freq: Any) -> dict[str, tuple[str, Any]]:
    """Return the keys of a period: in which chunk of periods it is, and its bit there."""
    if freq is None:
        place = len(cubes.periods)
        places = {"": place}
    else:
        places = {period.start.isoformat(): n for n, period in enumerate(cubes.periods)}

    def of(values: dict[str, int]) -> str:
        if freq is None:
            return str(values[""])
        cases = (f"when cast({literal(k)} as date) then {v}" for k, v in values.items())
        return f"case period {' '.join(cases)} end"

    chunks = {key: place // _CHUNK for key, place in places.items()}
    bits = {key: 1 << place % _CHUNK for key, place in places.items()}
    return {"chunk": (of(chunks), INTEGER), "bit": (of(bits), INTEGER)}


def _distinct(query: Query) -> Query:
    """Return a query of the bits of each person, product and chunk, added up once each."""
    from tidyusage.engines.query import GUARD

    guard = f", max({GUARD}) as {GUARD}" if GUARD in query.sql else ""
    keys = ", ".join(map(quote, ("person", "product", "chunk")))
    sql = f"""with bits as (
{query.sql}
)
select {keys}, sum(cast("bit" as double)) as bits{guard}
from bits
where active_users > 0 and person is not null
group by {keys}
order by {keys}"""
    types = {"person": TEXT, "product": INTEGER, "chunk": INTEGER, "bits": NUMBER}
    return replace(query, sql=sql, types=types)


def _patterns(cubes: Cubes, *found: list[Row]) -> list[list[Any]]:
    """Return how many people have each pattern: their number, then products with their bits."""
    people: dict[str, dict[int, int]] = {}
    for row in (row for rows in found for row in rows):
        of = people.setdefault(row["person"], {})
        product = cubes.products.index(row["product"])
        bits = int(row["bits"]) << (row["chunk"] * _CHUNK)
        of[product] = of.get(product, 0) | bits
    counted = Counter(tuple(sorted(of.items())) for of in people.values())
    return [
        [count, *(part for product, bits in pattern for part in (product, f"{bits:x}"))]
        for pattern, count in counted.items()
    ]


def _length(pattern: list[Any]) -> int:
    return sum(len(str(part)) + 3 for part in pattern)


def _counts(cubes: Cubes, *, dated: bool) -> list[list[int | None]]:
    """Return period, product and active users, also of products alone."""
    found: list[list[int | None]] = []
    for freq in (None, cubes.asked.freq) if dated else (None,):
        usage = cubes.asked.usage(PRODUCT, whole=True, freq=freq)
        found += _placed(cubes, usage, freq)
    return found


def _placed(cubes: Cubes, usage: Usage, freq: Any) -> list[list[int | None]]:
    """Return counts that tell whether anybody is named; of products that are folded, the most."""
    most: dict[tuple[int, int], int] = {}
    key = usage.by[0].name
    indexes = {name: place for place, name in enumerate(cubes.products.keys)}
    for row in cubes.asked.ask(active_users, PRODUCT, freq=freq):
        if row["active_users"] is None:
            continue
        period = cubes.places([row["period"]])[0] if freq else len(cubes.periods)
        name = row[key]
        place = len(indexes) if name is None else indexes.get(str(name), len(indexes) + 1)
        most[period, place] = max(most.get((period, place), 0), int(row["active_users"]))
    return [[period, place, count] for (period, place), count in most.items()]


def _everyone(cubes: Cubes, *, dated: bool) -> list[int | None]:
    """Return the active users of each period, and at the end those of the whole frame."""
    found: list[int | None] = [None] * (len(cubes.periods) + 1)
    rows: list[Row] = cubes.asked.ask(active_users)
    if rows:
        found[-1] = _whole(rows[0]["active_users"])
    for row in cubes.asked.ask(active_users, freq=cubes.asked.freq) if dated else ():
        found[cubes.places([row["period"]])[0]] = _whole(row["active_users"])
    return found


def _whole(count: Any) -> int | None:
    return None if count is None else int(count)
