"""Sample records for tests, benchmarks and demonstrations, drawn from the catalogue."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from tidyusage.catalogue import FIELDS, Field, Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]

VENDORS: Final[tuple[Vendor, ...]] = ("claude", "codex", "cursor", "confluent", "datadog")
_NAMES: Final[dict[Vendor, str]] = {
    "claude": "Claude",
    "codex": "OpenAI Codex",
    "cursor": "Cursor",
    "confluent": "Confluent",
    "datadog": "Datadog",
}
_MODELS: Final[dict[Vendor, tuple[str, ...]]] = {
    "claude": ("claude-sonnet-4-6", "claude-opus-5", "claude-haiku-4-5"),
    "codex": ("gpt-5.5", "gpt-5.3-codex"),
    "cursor": ("claude-sonnet-4-6", "gpt-5.5", "default"),
}
_SURFACES: Final[dict[Vendor, tuple[str, ...]]] = {
    "claude": ("chat", "claude_code", "cowork", "api"),
    "codex": ("cli", "web"),
    "cursor": ("composer", "chat"),
}
_PROVIDERS: Final = {"claude": "anthropic", "gpt": "openai", "default": "cursor"}
_METERS: Final[dict[Vendor, tuple[tuple[str, str], ...]]] = {
    "confluent": (("KAFKA_STORAGE", "GB-hour"), ("KAFKA_NUM_CKUS", "CKU-hour")),
    "datadog": (("infra_host", "host"), ("logs_indexed", "event")),
}
# How large a day's count of a unit is.
_LARGEST: Final = {"tokens": 200_000, "lines": 800, "messages": 60, "suggestions": 300}
_TOOLS: Final = ("edit_tool", "multi_edit_tool", "write_tool", "notebook_edit_tool")
_USERS: Final = ("Ada Byron", "Alan Kay", "Grace Hill", "Joan Clark", "Karen Jones", "Radia Ray")


def sample_records(
    count: int,
    *,
    seed: int = 0,
    start: date = date(2026, 1, 1),
    days: int = 31,
    remote_data: bool = True,
) -> Iterator[Record]:
    """Yield records shaped as the five vendors' are, every field of the catalogue among them.

    They make sense: what is accepted was offered, and parts make their totals.

    Parameters
    ----------
    count
        How many records.
    seed
        The same seed gives the same records.
    start, days
        Windows are whole days from ``start`` on, ``days`` of them.
    remote_data
        Whether records carry the vendor's raw object.

    Yields
    ------
    dict
        One Usage record.

    Examples
    --------
    >>> from tidyusage.testing import sample_records
    >>> [record["product"]["id"] for record in sample_records(3)]
    ['claude', 'codex', 'cursor']
    """
    draw = random.Random(seed)
    for number in range(count):
        vendor = VENDORS[number % len(VENDORS)]
        day = start + timedelta(days=number // len(VENDORS) % days)
        yield _record(draw, vendor, number, day, remote_data)


def _record(
    draw: random.Random, vendor: Vendor, number: int, day: date, remote_data: bool
) -> Record:
    flat = _identity(draw, vendor, number) | _times(day)
    flat |= _measures(draw, vendor)
    if remote_data:
        flat["remote_data"] = {"tags": [vendor, {"raw": True}]}
    record: Record = {}
    for field in FIELDS:
        if field.column in flat:
            _put(record, field.keys, flat[field.column])
    record["charges"] = _charges(draw, vendor)
    if vendor in _METERS:
        record["resources"] = _resources(draw, vendor)
    return record


def _put(record: Record, keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        record = record.setdefault(key, {})
    record[keys[-1]] = value


def _identity(draw: random.Random, vendor: Vendor, number: int) -> Record:
    flat: Record = {
        "id": f"{vendor}-{number:08d}",
        "product.id": vendor,
        "product.name": _NAMES[vendor],
        "organization.id": "org_1",
    }
    if vendor in _METERS:
        flat["organization.name"] = "Example Ltd"
        flat["metric_name"], flat["usage.unit"] = draw.choice(_METERS[vendor])
        flat["usage.quantity"] = round(draw.uniform(1, 500), 3)
        return flat
    user = draw.randrange(len(_USERS))
    model = draw.choice(_MODELS[vendor])
    return flat | {
        "user.id": f"user_{user}",
        "user.email": f"{_USERS[user].split()[0].lower()}@example.com",
        "user.name": _USERS[user],
        "model.id": model,
        "model.provider": _PROVIDERS[model.split("-")[0]],
        "surface": draw.choice(_SURFACES[vendor]),
    }


def _times(day: date) -> Record:
    return {
        "start_date": f"{day}T00:00:00Z",
        "end_date": f"{day + timedelta(days=1)}T00:00:00Z",
        "created_at": f"{day + timedelta(days=1)}T06:00:00Z",
        "updated_at": f"{day + timedelta(days=2)}T06:30:00.000Z",
    }


def _measures(draw: random.Random, vendor: Vendor) -> Record:
    """Draw a value for each field of ``usage`` that the vendor reports, wholes before parts."""
    fields = [
        field
        for field in FIELDS
        if field.path.startswith("usage.") and vendor in field.vendors and vendor not in _METERS
    ]
    flat: Record = {}
    for field in sorted(fields, key=_depth):
        flat[field.column] = _value(draw, field, flat)
    _settle_partitions(draw, fields, flat)
    if vendor == "claude":
        flat["usage.code.tool_actions"] = {
            tool: {"accepted": draw.randrange(40), "rejected": draw.randrange(8)} for tool in _TOOLS
        }
    return flat


def _depth(field: Field) -> int:
    depth, whole = 0, field.part_of
    while whole:
        depth += 1
        whole = next(other.part_of for other in FIELDS if other.path == whole)
    return depth


def _value(draw: random.Random, field: Field, flat: Record) -> Any:
    if field.dtype == "boolean":
        return draw.randrange(5) > 0
    if field.dtype == "string":
        return draw.choice((".py", ".ts", ".go")) if "file_ext" in field.path else "1.7.2"
    if field.part_of in flat and field.partition is None:
        return draw.randrange(flat[field.part_of] // 2 + 1)
    return draw.randrange(_LARGEST.get(field.unit or "", 20) + 1)


def _settle_partitions(draw: random.Random, fields: list[Field], flat: Record) -> None:
    """Make the parts of each partition add up to their whole."""
    partitions: dict[tuple[str, str], list[str]] = {}
    for field in sorted(fields, key=_depth):
        if field.partition and field.part_of in flat:
            partitions.setdefault((field.part_of, field.partition), []).append(field.column)
    for (whole, _), parts in partitions.items():
        cuts = sorted(draw.randint(0, flat[whole]) for _ in parts[1:])
        bounds = [0, *cuts, flat[whole]]
        for part, low, high in zip(parts, bounds, bounds[1:], strict=False):
            flat[part] = high - low


def _charges(draw: random.Random, vendor: Vendor) -> list[Record]:
    amounts = _AMOUNTS[vendor](draw)
    return [
        {"amount": round(amount, 4), "currency": "USD", "type": type_}
        for type_, amount in amounts.items()
    ]


def _listed(draw: random.Random) -> dict[str, float]:
    total = round(draw.uniform(0.5, 40), 2)
    discount = round(total * 0.1, 2)
    return {"total": total, "discount": discount, "net": total - discount}


def _billed(draw: random.Random) -> dict[str, float]:
    return {"total": round(draw.uniform(0.5, 40), 2)}


def _taxed(draw: random.Random) -> dict[str, float]:
    amounts = _listed(draw)
    if draw.randrange(4):
        return {"total": amounts["total"], "net": amounts["total"]}  # nothing taken off
    return amounts | {
        "tax": round(amounts["net"] * 0.2, 2),
        "credit": -round(draw.uniform(0, 1), 2),
    }


def _subscribed(draw: random.Random) -> dict[str, float]:
    parts = {
        "usage_based": round(draw.uniform(0, 9), 2),
        "included": round(draw.uniform(0, 4), 2),
    }
    if not draw.randrange(3):
        parts["platform_fee"] = round(draw.uniform(0, 1), 2)
    return {"total": sum(parts.values())} | parts


def _committed(draw: random.Random) -> dict[str, float]:
    parts = {"committed": round(draw.uniform(0, 30), 2), "on_demand": round(draw.uniform(0, 9), 2)}
    return {"total": sum(parts.values())} | parts


_AMOUNTS: Final = {
    "claude": _taxed,
    "codex": _billed,
    "cursor": _subscribed,
    "confluent": _listed,
    "datadog": _committed,
}


def _resources(draw: random.Random, vendor: Vendor) -> list[Record]:
    workspace = {"id": f"env-{draw.randrange(3)}", "name": draw.choice(("production", "staging"))}
    return [
        {"id": f"{vendor}-r{number}", "name": f"resource {number}", "workspace": workspace}
        for number in sorted(draw.sample(range(9), draw.choice((1, 1, 1, 2))))
    ]
