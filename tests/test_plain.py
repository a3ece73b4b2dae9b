"""The quick query: a row that it does not mark is exactly the row that the exact query makes."""

import json
from itertools import product

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

import tidyusage as tu
from strategies import batches, draws
from tidyusage import catalogue
from tidyusage._utils import connections
from tidyusage.engines import frames
from tidyusage.io import inputs, reader, scan_sql, spool
from tidyusage.io.options import Options
from tidyusage.io.parse_sql import FAULT, Exact
from tidyusage.io.quick_sql import Plain
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
            *[
                "a\nb",
                "a\0b",
                "-x",
                "USD",
                "usd",
                " USD ",
                "US D",
                "total",
                "2026-01-01",
                "infinity",
            ],
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


def read_by(manner, lines, tmp_path, connection, **options):
    path = tmp_path / "usage.ndjson"
    path.write_text("\n".join(lines))
    texts = [inputs.text(str(path))]
    query = reader.query(texts, Options("wide", "polars", **options), manner=manner)
    table = frames.rows(connection, query, few=len(lines) < connections.FEW)
    whole = pa.schema(  # a faulty date may be none that Python has
        field.with_type(pa.int64()) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    )
    return table.cast(whole).to_pylist()


def read_quickly(lines, *rest, **options):
    """Return the row of each line, None where the query is ended by it."""
    try:
        return read_by(Plain, lines, *rest, **options)
    except duckdb.ConversionException:
        if len(lines) == 1:
            return [None]
        half = len(lines) // 2
        return [
            row
            for part in (lines[:half], lines[half:])
            for row in read_quickly(part, *rest, **options)
        ]


def compared(tmp_path, lines, **options):
    """Hold the quick query to the exact one; return how many lines it asks a closer look at."""
    with connections.connect() as connection:
        exact = read_by(Exact, lines, tmp_path, connection, **options)
        # Good ones first: of those few end the query, so that few must be read one by one.
        order = sorted(range(len(lines)), key=lambda place: exact[place][FAULT])
        lines, exact = [lines[place] for place in order], [exact[place] for place in order]
        plain = read_quickly(lines, tmp_path, connection, **options)
    assert len(plain) == len(exact) == len(lines)
    unusual = 0
    for line, one, other in zip(lines, plain, exact, strict=True):
        if one is None or one[FAULT]:
            unusual += 1
            continue
        differing = {name for name in one if repr(one[name]) != repr(other[name])}
        assert not differing, (line, differing)
    return unusual


# A leaf of each kind, of the record and of each list, and one deep within.
LEAVES = [
    catalogue.BY_PATH[path]
    for path in (
        *["id", "user.email", "usage.unit", "usage.tokens.input"],
        *["usage.activity.is_active", "start_date", "charges[].amount", "charges[].currency"],
        *[
            "charges[].type",
            "resources[].id",
            "resources[].workspace.name",
            "usage.code.tool_actions",
        ],
    )
]


@pytest.mark.slow
def test_every_value_at_every_kind_of_leaf(tmp_path):
    lines = [
        holding(field, value)
        for field, value in product(LEAVES, VALUES)
        if field.dtype != "counts"
        or value == "null"
        or value.startswith("{")  # DuckDB raises over what is no object
    ]
    assert 0 < compared(tmp_path, lines) < len(lines)


def test_every_character_at_every_place_of_a_date():
    signs = [chr(code) for code in range(32, 127)] + ["\0", "٣", "é", ""]
    dates = {
        f"{date[:place]}{sign}{date[place + 1 :]}"
        for date in DATES
        for place in range(len(date) + 1)
        for sign in signs
    }
    exact, plain = (manner(False, None, nan_is_missing=False) for manner in (Exact, Plain))
    field = catalogue.BY_PATH["start_date"]
    quick = plain.typed(field, "x").replace("cast(", "try_cast(", 1)
    query = f"""
    select x, epoch_us({quick}), {plain.wrong_date("x")},
        epoch_us({exact.typed(field, "x")}), {exact.wrong_date("x")}
    from texts"""
    with connections.connect() as connection:
        connection.register("texts", pa.table({"x": sorted(dates)}))
        rows = connection.sql(query).fetchall()
    usual = [row for row in rows if row[1] is not None and not row[2]]
    for text, ours, _, theirs, is_wrong in usual:
        assert not is_wrong, text
        assert ours == theirs, text
    assert 100 < len(usual) < len(rows) - 1000


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
    max_examples=draws(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches())
def test_any_records(tmp_path, drawn):
    compared(tmp_path, [json.dumps(record) for record in drawn] or ['{"id": "x"}'])


def test_ordinary_records_are_not_marked(tmp_path):
    lines = [json.dumps(record) for record in sample_records(500, seed=3)]
    assert compared(tmp_path, lines) == 0


# For what is no object or list DuckDB's from_json gives an empty one, or nothing.
OBJECTS = [path for path, _, is_list in catalogue.objects() if not is_list and "[]" not in path]


def read_from_memory(records, folder):
    texts = [spool.in_memory(records, str(folder))]
    with connections.connect() as connection:
        scan_sql.attach(connection, texts)
        return reader.read_plain(connection, texts, Options("wide", "polars"))


def was_plain(records, folder):
    return isinstance(read_from_memory(records, folder), pa.Table)


def at(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return {"id": "x", **value}


@pytest.mark.parametrize("path", OBJECTS)
def test_what_is_no_object_in_memory_is_looked_at_closely(tmp_path, path):
    for wrong in (5, "x", True, [], [1], {}):
        assert not was_plain([at(path, wrong)], tmp_path), wrong


@pytest.mark.parametrize("name", catalogue.LISTS)
def test_what_is_no_list_in_memory_is_looked_at_closely(tmp_path, name):
    for wrong in (5, "x", True, {}, {"amount": 1}, [5], ["x"], [[]], [{}], [None]):
        assert not was_plain([{"id": "x"}, at(name, wrong)], tmp_path), wrong
    assert len(read_from_memory([at(name, None), at(name, ()), at(name, [])], tmp_path)) == 3


def test_records_in_memory_are_read_where_they_are(tmp_path):
    records = list(sample_records(5_000, seed=4))
    assert read_from_memory(records, tmp_path)["id"].to_pylist() == [r["id"] for r in records]
    assert not list(tmp_path.iterdir())


class Pressed(list):
    """Records over which the user presses Ctrl-C."""

    def __getitem__(self, _):
        raise KeyboardInterrupt


def test_an_interruption_comes_through():
    with pytest.raises(KeyboardInterrupt):
        tu.flatten_usage(Pressed([{"id": "x"}]))
