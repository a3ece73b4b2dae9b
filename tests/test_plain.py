"""The quick query: a row that it does not mark is exactly the row that the exact query makes."""

import json
from itertools import product

import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings

from strategies import batches
from tidyusage import catalogue, engines, sources, wide
from tidyusage.flatten import FAULT, Exact
from tidyusage.options import Options
from tidyusage.plain import Plain
from tidyusage.testing import sample_records

# Written as JSON: what may stand where a leaf belongs, rightly or wrongly.
VALUES = [
    *["null", "true", "false", "NaN", "Infinity", "-Infinity", "nan", "1e999", "-0", "0", "7"],
    *["-1.50", "1e5", "12345678901234567890123", "0.1", "1E-7", "{}", '{"a": 1}', "[]", "[null]"],
    *["[{}]", '["x"]', '{"a": {"b": 2}}', '{"a": {"b": {"c": 3}}}', '{"a": {"b": null}}'],
    *['{"a": null}', '{"a": {}}', '{"a": {"b": "4"}}', '{"a": {"b": "x"}}', '{"a": {"b": true}}'],
    *['{"a": {"b": [1]}}', '{"a": {"b": NaN}}', '{"a": [1]}', '{"a": "5"}', '{"a": {"b": 1e999}}'],
    *['{"a": {"accepted_count": 1, "rejected": 2}}', '{"a": {"b": 1}, "c": 2}'],
    *[
        json.dumps(text)
        for text in (
            *["", " ", "x", "12", " 12 ", "+5", "1_000", "nan", "inf", "Infinity", "NaN", "true"],
            *["True", "null", "{", "{a}", "[", "[a]", "|", "}", "~", "\\", "é", "😀", '"', '"x"'],
            *["a\nb", "a\0b", "-x", "USD", "usd", " USD ", "US D", "total", "2026-01-01", "infinity"],
            *["2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "epoch"],
            *["2026-01-01T00:00:00.000+02:00", "2026-01-01t00:00:00z", "2026-01-01 00:00:00Z"],
            *["2026-01-01T24:00:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00.123456789Z"],
        )
    ],
]
DATES = ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z")
# Entries of the lists as they come, and as they should not.
ENTRIES = {
    "charges": [
        *["{}", "null", '{"amount": 1}', '{"amount": 1, "currency": "USD"}'],
        *['{"amount": 1, "type": "net"}', '{"currency": "USD", "type": "net"}'],
        *['{"amount": "1", "currency": "usd", "type": "net"}'],
        *['{"amount": 2, "currency": "USD", "type": "new"}'],
        *['{"amount": 3, "currency": "EUR", "type": "net"}'],
        *['{"amount": -1e308, "currency": "USD", "type": "total"}'],
        *['{"amount": 1e308, "currency": "USD", "type": "total"}'],
    ],
    "resources": [
        *["{}", "null", '{"id": null, "workspace": {}}', '{"workspace": {"id": null}}'],
        *['{"id": "r", "workspace": {}}', '{"id": "r", "workspace": null}'],
        *['{"id": "r"}', '{"workspace": {"name": "w"}}', '{"name": "[n]"}', '{"id": 5}'],
    ],
}


def holding(field, value):
    """Return the text of a record with a value, already JSON, at a field."""
    path = field.path if field.kind == "key" else f"id\0{field.path}"
    text = value
    for step in reversed(path.rpartition("\0")[2].split(".")):
        text = f'{{"{step[:-2]}": [{text}]}}' if step.endswith("[]") else f'{{"{step}": {text}}}'
    return text if field.kind == "key" else f'{{"id": "x", {text[1:]}'


def compared(tmp_path, lines, **options):
    """Read lines by both queries; return how many rows the quick one marks, and how many differ."""
    path = tmp_path / "usage.ndjson"
    path.write_text("\n".join(lines))
    chosen = Options("wide", "polars", **options)
    texts = [sources.text(str(path))]
    with engines.connect() as connection:
        plain, exact = (
            connection.sql(wide.query(texts, chosen, manner=manner)).to_arrow_table()
            for manner in (Plain, Exact)
        )
    assert len(plain) == len(exact) == len(lines)
    clean = pc.invert(plain[FAULT])
    ours, theirs = plain.filter(clean).to_pylist(), exact.filter(clean).to_pylist()
    good = [line for line, is_clean in zip(lines, clean.to_pylist(), strict=True) if is_clean]
    for line, one, other in zip(good, ours, theirs, strict=True):
        differing = {name for name in one if repr(one[name]) != repr(other[name])}
        assert not differing, (line, differing)
    return len(plain) - len(ours)


LEAVES = [field for field in catalogue.FIELDS if field.dtype != "json"]


@pytest.mark.parametrize("options", [{}, {"currency": "USD"}, {"remote_data": "json"}])
def test_every_value_at_every_leaf(tmp_path, options):
    lines = [
        holding(field, value)
        for field, value in product(LEAVES, VALUES)
        if field.dtype != "counts" or value == "null" or value.startswith("{")  # DuckDB raises over what is no object
    ]
    marked = compared(tmp_path, lines, **options)
    assert 0 < marked < len(lines)


def test_every_character_at_every_place_of_a_date(tmp_path):
    signs = [chr(code) for code in range(32, 127)] + ["\0", "٣", "é", ""]
    dates = [
        f"{date[:place]}{sign}{date[place + 1 :]}"
        for date in DATES
        for place in range(len(date) + 1)
        for sign in signs
    ]
    lines = [json.dumps({"id": "x", "start_date": date}) for date in dates]
    assert 0 < compared(tmp_path, lines) < len(lines)


@pytest.mark.parametrize("options", [{}, {"currency": "USD"}])
def test_every_pair_of_entries(tmp_path, options):
    lines = [
        f'{{"id": "x", "{name}": [{", ".join(entries)}]}}'
        for name, found in ENTRIES.items()
        for count in (1, 2, 3)
        for entries in product(found, repeat=count)
    ]
    assert 0 < compared(tmp_path, lines, **options) < len(lines)


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches())
def test_any_records(tmp_path, drawn):
    compared(tmp_path, [json.dumps(record) for record in drawn] or ['{"id": "x"}'])


def test_ordinary_records_are_not_marked(tmp_path):
    lines = [json.dumps(record) for record in sample_records(500, seed=3)]
    assert compared(tmp_path, lines) == 0
