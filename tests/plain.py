"""Wide, long and the child tables written plainly in Python, from the schema page alone.

It shares no code with the library: the fields are read from the page in `data/`.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent / "data" / "usage-object.md"
LINE = re.compile(r"^( *)- \*\*`(\w+)`\*\* _\((array<object>|\w+)(, required)?\)_", re.MULTILINE)
TYPES = [
    "total",
    "net",
    "on_demand",
    "committed",
    "included",
    "usage_based",
    "discount",
    "tax",
    "credit",
    "platform_fee",
]
DATES = ("start_date", "end_date", "created_at", "updated_at")
DIMENSIONS = [
    "product.id",
    "product.name",
    "metric_name",
    "organization.id",
    "organization.name",
    "user.id",
    "user.email",
    "user.name",
    "model.id",
    "model.provider",
    "surface",
]


def leaves():
    """Return path and type of every leaf of the page; a list's path ends with []."""
    found = []
    stack = []
    lines = LINE.findall(PAGE.read_text())
    for place, (indent, name, kind, required) in enumerate(lines):
        depth = len(indent) // 2
        stack = [*stack[:depth], name + ("[]" if kind == "array<object>" else "")]
        following = len(lines[place + 1][0]) // 2 if place + 1 < len(lines) else 0
        if following <= depth:
            found.append((".".join(stack), kind, bool(required)))
    return found


LEAVES = leaves()
NUMBERS = [path for path, kind, _ in LEAVES if kind == "number" and "[]" not in path]
FLAGS = [path for path, kind, _ in LEAVES if kind == "boolean"]
TEXTS = [
    path for path, kind, _ in LEAVES if kind == "string" and "[]" not in path and path not in DATES
]


def at(record, path):
    for key in path.split("."):
        record = (record or {}).get(key)
    return None if record == {} else record


def number(value):
    return None if value is None else float(value)


def instant(value):
    if value is None:
        return None
    read = datetime.fromisoformat(value)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def text(value):
    return None if value is None else str(value)


def charges(record):
    entries = [
        {
            "amount": number(entry.get("amount")),
            "currency": (entry.get("currency") or "").strip(" ").upper() or None,
            "type": text(entry.get("type")),
        }
        for entry in record.get("charges") or []
        if entry and any(entry.get(key) is not None for key in ("amount", "currency", "type"))
    ]
    return entries or None


def resources(record):
    entries = []
    for entry in record.get("resources") or []:
        workspace = (entry or {}).get("workspace") or {}
        inner = {key: workspace.get(key) for key in ("id", "name")}
        filled = {key: (entry or {}).get(key) for key in ("id", "name")}
        filled["workspace"] = inner if any(v is not None for v in inner.values()) else None
        if any(value is not None for value in filled.values()):
            entries.append(filled)
    return entries or None


def tool_actions(record):
    def walk(node, keys):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from walk(value, (*keys, key))
            elif value is not None:
                yield (*keys, key), float(value)

    renamed = {"accepted_count": "accepted", "rejected_count": "rejected"}
    entries = []
    for (tool, *rest), count in walk(at(record, "usage.code.tool_actions") or {}, ()):
        action = [*rest[:-1], renamed.get(rest[-1], rest[-1])] if rest else None
        entries.append({"tool": tool, "action": action and ".".join(action), "count": count})
    return entries or None


def total(amounts):
    amounts = [amount for amount in amounts if amount is not None]
    return sum(amounts) if amounts else None


def wide(record):
    row = {path: text(at(record, path)) for path in TEXTS}
    row |= {path: number(at(record, path)) for path in NUMBERS}
    row |= {path: at(record, path) for path in FLAGS}
    row |= {path: instant(at(record, path)) for path in DATES}
    entries = charges(record)
    for type_ in TYPES:
        amounts = [entry["amount"] for entry in entries or [] if entry["type"] == type_]
        row[f"charges.{type_}"] = total(amounts)
    known = {entry["currency"] for entry in entries or [] if entry["amount"] is not None}
    row["charges.currency"] = next(iter(known - {None}), None)
    row["resources"] = resources(record)
    row["charges"] = entries
    row["usage.code.tool_actions"] = tool_actions(record)
    return row


def long(record):
    """Return metric → value; units are the catalogue's."""
    row = wide(record)
    values = {path: row[path] for path in NUMBERS}
    values |= {path: None if row[path] is None else float(row[path]) for path in FLAGS}
    for entry in row["charges"] or []:
        metric = "charges" if entry["type"] is None else f"charges.{entry['type']}"
        values[metric] = total([values.get(metric), entry["amount"]])
    for entry in row["usage.code.tool_actions"] or []:
        names = [name for name in (entry["tool"], entry["action"]) if name is not None]
        metric = ".".join(["usage.code.tool_actions", *names])
        values[metric] = total([values.get(metric), entry["count"]])
    return {metric: value for metric, value in values.items() if value is not None}
