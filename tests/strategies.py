"""Records drawn from the catalogue: any subset of fields, nulls anywhere, odd text, huge numbers."""

import os

from hypothesis import settings
from hypothesis import strategies as st

from tidyusage.catalogue import CHARGE_TYPES, Field, tree

# The short run draws a few examples for each law, the long one, in CI, as many as the law names.
settings.register_profile("short", max_examples=4)
if not os.environ.get("CI"):
    settings.load_profile("short")


def draws(count):
    """How many examples to draw: `count` in the long run, a few in the short one."""
    return count if os.environ.get("CI") else min(count, settings.default.max_examples)


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(
    ["true", "[x]", "{x}", "NaN", "null", "a.b", '"', "\\", "é", "\u2028", "😀", "12"]
)
NUMBER = (
    st.integers(-(10**6), 10**6)
    | st.floats(-1e100, 1e100, allow_nan=False)
    | st.sampled_from([0, -0.0, 2**53 + 1, 2**64, -(2**70), 0.1, 1e-300, "12.5", " 7 ", "-3"])
)
DATE = st.datetimes().map(
    lambda when: when.isoformat(timespec="microseconds") + "Z"
) | st.dates().map(str)
KEY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=6)
COUNTS = st.dictionaries(
    KEY | st.sampled_from(["edit_tool", "accepted_count"]),
    st.dictionaries(
        KEY | st.sampled_from(["accepted_count", "accepted"]), NUMBER | st.none(), max_size=3
    )
    | NUMBER,
    max_size=3,
)


def _value(child, path=""):
    if isinstance(child, Field):
        return {
            "string": TEXT,
            "number": NUMBER,
            "boolean": st.booleans(),
            "timestamp": DATE,
            "counts": COUNTS,
            "json": st.dictionaries(KEY, TEXT | st.lists(NUMBER, max_size=2), max_size=2),
        }[child.dtype]
    if isinstance(child, list):
        return st.lists(_object(child[0]) | st.none(), max_size=4)
    return _object(child)


def _object(node):
    return st.fixed_dictionaries(
        {}, optional={key: st.none() | _value(child) for key, child in node.items()}
    )


def _charges():
    type_ = st.sampled_from(CHARGE_TYPES) | st.none() | st.sampled_from(["bonus", "a.b"])
    entry = st.fixed_dictionaries(
        {},
        optional={
            "amount": st.none() | NUMBER,
            "currency": st.none() | st.sampled_from(["USD", "usd", " usd ", ""]),
            "type": type_,
        },
    )
    return st.none() | st.lists(entry, max_size=5)


@st.composite
def records(draw):
    record = draw(
        _object({key: child for key, child in tree().items() if key not in {"id", "charges"}})
    )
    record["id"] = draw(KEY.filter(lambda text: text.strip(" ")))
    if draw(st.booleans()):
        record["charges"] = draw(_charges())
    return record


def batches(max_size=6):
    """Draw lists of records whose ids differ."""
    return st.lists(records(), max_size=max_size, unique_by=lambda record: record["id"])
