"""Bad input: each fault is named with place, id, path, expected and found; nothing else is lost."""

import gzip
import json
import os
import stat
import tempfile

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import rows
from strategies import draws, records
from tidyusage._utils import connections
from tidyusage.errors import OptionError
from tidyusage.io import diagnose, inputs, reader
from tidyusage.io.inputs import Batch, Place, Text
from tidyusage.io.options import Options

GOOD = '{"id": "good", "usage": {"tokens": {"input": 1}}}'
# line, path, a piece of what was expected, a piece of what was found
FAULTS = {
    "not JSON": ("oops", "$", "JSON", "oops"),
    "cut off": ('{"id": "x", "usage": {"tok', "$", "JSON", "Unterminated string"),
    "an array": ('[{"id": "x"}]', "$", "an object", "a list"),
    "a number": ("17", "$", "an object", "17"),
    "null": ("null", "$", "an object", "null"),
    "text": ('"x"', "$", "an object", "the text 'x'"),
    "two on a line": ('{"id": "x"} {"id": "y"}', "$", "JSON", "Extra data"),
    "bytes that are not UTF-8": (b'{"id": "\xe9"}', "$", "UTF-8", "0xe9 at byte 9"),
    "half a surrogate pair": ('{"id": "\\ud800"}', "$", "Unicode", "surrogate pair"),
    "list for object": (
        '{"id": "x", "usage": {"tokens": [1]}}',
        "usage.tokens",
        "an object",
        "a list",
    ),
    "number for object": ('{"id": "x", "user": 5}', "user", "an object", "5"),
    "text for object": ('{"id": "x", "model": "gpt-5"}', "model", "an object", "the text 'gpt-5'"),
    "object for list": ('{"id": "x", "charges": {}}', "charges", "a list", "an object"),
    "text for list": ('{"id": "x", "resources": "r"}', "resources", "a list", "the text 'r'"),
    "number in a list": ('{"id": "x", "charges": [{}, 5]}', "charges[1]", "an object", "5"),
    "object for text": ('{"id": "x", "surface": {"a": 1}}', "surface", "text", "an object"),
    "list for text": ('{"id": "x", "user": {"email": []}}', "user.email", "text", "a list"),
    "true for text": ('{"id": "x", "surface": true}', "surface", "text", "true"),
    "object for number": (
        '{"id": "x", "usage": {"quantity": {}}}',
        "usage.quantity",
        "a number",
        "an object",
    ),
    "text that is no number": (
        '{"id": "x", "usage": {"quantity": "many"}}',
        "usage.quantity",
        "a number",
        "'many'",
    ),
    "true for a number": (
        '{"id": "x", "usage": {"tokens": {"input": true}}}',
        "usage.tokens.input",
        "a number",
        "true",
    ),
    "empty text for a number": (
        '{"id": "x", "usage": {"quantity": ""}}',
        "usage.quantity",
        "a number",
        "''",
    ),
    "yes for a boolean": (
        '{"id": "x", "usage": {"activity": {"is_active": "yes"}}}',
        "usage.activity.is_active",
        "true or false",
        "'yes'",
    ),
    "1 for a boolean": (
        '{"id": "x", "usage": {"activity": {"max_mode": 1}}}',
        "usage.activity.max_mode",
        "true or false",
        "1",
    ),
    "true as text for a boolean": (
        '{"id": "x", "usage": {"activity": {"max_mode": "true"}}}',
        "usage.activity.max_mode",
        "true or false",
        "'true'",
    ),
    "NaN": ('{"id": "x", "usage": {"quantity": NaN}}', "usage.quantity", "a number", "NaN"),
    "an infinity": (
        '{"id": "x", "usage": {"quantity": -Infinity}}',
        "usage.quantity",
        "a number",
        "-Infinity",
    ),
    "a number too large": (
        '{"id": "x", "usage": {"quantity": 1e999}}',
        "usage.quantity",
        "a number",
        "Infinity",
    ),
    "NaN as text": (
        '{"id": "x", "usage": {"quantity": "nan"}}',
        "usage.quantity",
        "a number",
        "'nan'",
    ),
    "NaN in charges": (
        '{"id": "x", "charges": [{"amount": NaN}]}',
        "charges[0].amount",
        "a number",
        "NaN",
    ),
    "true in charges": (
        '{"id": "x", "charges": [{"amount": 1}, {"amount": true}]}',
        "charges[1].amount",
        "a number",
        "true",
    ),
    "amounts too large to add": (
        '{"id": "x", "charges": [{"amount": 1e308}, {"amount": 1e308}]}',
        "charges[].amount",
        "added",
        "infinite",
    ),
    "a date that is none": (
        '{"id": "x", "start_date": "yesterday"}',
        "start_date",
        "a date",
        "'yesterday'",
    ),
    "30 February": ('{"id": "x", "end_date": "2026-02-30"}', "end_date", "a date", "'2026-02-30'"),
    "a date without zeros": (
        '{"id": "x", "end_date": "2026-2-3"}',
        "end_date",
        "a date",
        "'2026-2-3'",
    ),
    "the date infinity": (
        '{"id": "x", "end_date": "infinity"}',
        "end_date",
        "a date",
        "'infinity'",
    ),
    "a number for a date": (
        '{"id": "x", "created_at": 1767225600}',
        "created_at",
        "a date",
        "1767225600",
    ),
    "no id": ('{"usage": {}}', "id", "not empty", "nothing"),
    "an id that is null": ('{"id": null}', "id", "not empty", "nothing"),
    "an empty id": ('{"id": " "}', "id", "not empty", "' '"),
    "an id that is an object": ('{"id": {"x": 1}}', "id", "text", "an object"),
    "two currencies": (
        '{"id": "x", "charges": [{"amount": 1, "currency": "USD"}, {"amount": 1, "currency": "eur"}]}',
        "charges[].currency",
        "one currency",
        "EUR and USD",
    ),
    "a key twice": (
        '{"id": "x", "usage": {"unit": "a", "unit": "b"}}',
        "usage.unit",
        "one value",
        "twice",
    ),
    "an id twice": ('{"id": "x", "id": "y"}', "id", "one value", "twice"),
    "a list below tool_actions": (
        '{"id": "x", "usage": {"code": {"tool_actions": {"edit": [1]}}}}',
        "usage.code.tool_actions.edit",
        "a number",
        "a list",
    ),
    "a flag below tool_actions": (
        '{"id": "x", "usage": {"code": {"tool_actions": {"edit": {"a": true}}}}}',
        "usage.code.tool_actions.edit.a",
        "a number",
        "true",
    ),
    "text for tool_actions": (
        '{"id": "x", "usage": {"code": {"tool_actions": "many"}}}',
        "usage.code.tool_actions",
        "an object",
        "'many'",
    ),
}


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_and_set_aside_whole(tmp_path, name):
    bad, path, expected, found = FAULTS[name]
    source, target = tmp_path / "usage.ndjson", tmp_path / "rejects.ndjson"
    source.write_bytes(b"\n".join(map(as_bytes, [GOOD, "", bad, GOOD.replace("good", "last")])))
    with pytest.warns(tu.errors.RejectWarning, match=r"1 record set aside in .*rejects.ndjson"):
        frame = tu.read_usage(source, rejects=target)
    assert list(frame["id"]) == ["good", "last"]
    (reject,) = [json.loads(line) for line in target.read_text().splitlines()]
    assert list(reject) == ["source", "line", "id", "path", "expected", "found", "raw"]
    assert (reject["source"], reject["line"], reject["path"]) == (str(source), 3, path)
    assert expected in reject["expected"]
    assert found in reject["found"]
    assert reject["raw"] == as_bytes(bad).decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("name", FAULTS)
def test_without_rejects_each_fault_raises_with_its_place(name):
    bad, path, _, found = FAULTS[name]
    with pytest.raises(tu.errors.RecordError) as caught:
        tu.flatten_usage(b"\n".join(map(as_bytes, [GOOD, bad])))
    assert "line 2" in str(caught.value)
    assert f"{path}: expected" in str(caught.value)
    assert found in str(caught.value)
    assert "rejects=PATH" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault[1] != "$"])
def test_python_objects_are_judged_as_their_text_is(tmp_path, name):
    bad, path, _, found = FAULTS[name]
    if "twice" in found:
        pytest.importorskip("json")  # a dict has no key twice
        return
    target = tmp_path / "rejects.ndjson"
    record = json.loads(bad)
    if "NaN" in name and "text" not in name:
        return  # in a Python object NaN is missing
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.flatten_usage([json.loads(GOOD), record], rejects=target)
    assert list(frame["id"]) == ["good"]
    reject = json.loads(target.read_text())
    assert (reject["source"], reject["line"], reject["path"]) == ("records[1]", None, path)


LEGAL = {
    "text that is a number": ('{"id": "x", "usage": {"quantity": "12.5"}}', "usage.quantity", 12.5),
    "a number where text belongs": ('{"id": 7}', "id", "7"),
    "a number for a name": ('{"id": "x", "user": {"name": 1.5}}', "user.name", "1.5"),
    "padded number": ('{"id": "x", "usage": {"quantity": " 7 "}}', "usage.quantity", 7.0),
    "a huge integer": (
        '{"id": "x", "usage": {"quantity": 123456789012345678901234567890}}',
        "usage.quantity",
        1.2345678901234568e29,
    ),
    "text that looks like an object": ('{"id": "x", "surface": "{a}"}', "surface", "{a}"),
    "the word true": ('{"id": "x", "surface": "true"}', "surface", "true"),
    "escapes": ('{"id": "x", "surface": "a\\"\\u00e9\\n\\ud83d\\ude00"}', "surface", 'a"é\n😀'),
    "a trailing comma": ('{"id": "x", "surface": "api",}', "surface", "api"),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_is_read_and_not_judged(monkeypatch, name):
    monkeypatch.setattr(diagnose, "judge", lambda *_, **__: pytest.fail("clean data was judged"))
    text, column, value = LEGAL[name]
    (row,) = rows(tu.flatten_usage(text))
    assert row[column] == value


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_is_legal_beside_a_fault_too(tmp_path, name):
    text, column, value = LEGAL[name]
    with pytest.warns(tu.errors.RejectWarning, match="1 record "):
        frame = tu.flatten_usage(f"{text}\noops", rejects=tmp_path / "r")
    assert rows(frame)[0][column] == value


SCALARS = st.sampled_from(
    [
        "true",
        "null",
        "0",
        "-1.5",
        "1e999",
        "NaN",
        "-Infinity",
        '""',
        '" "',
        '"x"',
        '"12"',
        '" 12 "',
        '"+5"',
        '"1_000"',
        '"1__0"',
        '".5"',
        '"5."',
        '"nan"',
        '"0x10"',
        '"\\u0661"',
        "{}",
        '{"a": 1}',
        '{"a": {"b": true}}',
        '{"a": {"b": {"c": {"d": {"e": 1}}}}}',
        '{"a": 1, "a": 2}',
        "[]",
        "[null]",
        "[{}]",
        "[1]",
        '[{"amount": "x"}]',
        '[{"amount": NaN}]',
        '[{"type": {}}]',
        '[{"workspace": []}]',
        '"2026-01-01"',
        '"2026-02-29"',
        '"2024-02-29T10:00"',
        '"2026-01-01T24:00:00Z"',
        '"0000-01-01"',
        '"2026-01-01T00:00:00.123456789Z"',
        '"2026-01-01T00:00:00+25:00"',
        "20260101",
        '"[x"',
        '"-x"',
    ]
)
PATHS = st.sampled_from(
    [
        "id",
        "product",
        "product.id",
        "charges",
        "resources",
        "usage",
        "usage.tokens",
        "usage.quantity",
        "usage.code.tool_actions",
        "usage.activity.is_active",
        "start_date",
        "surface",
        "remote_data",
        "zzz",
    ]
)


@settings(max_examples=draws(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PATHS, SCALARS)
def test_the_fast_path_and_the_judge_agree(path, value):
    text = value
    for key in reversed(path.split(".")):
        text = f'{{"{key}": {text}}}'
    line = (text if path.startswith("id") else f'{{"id": "r", {text[1:]}').encode()
    row = (Place("x", 1), line)
    with tempfile.TemporaryDirectory() as folder, connections.connect() as connection:
        judge = reader._Judge(connection, Options(), os.path.join(folder, "one"))
        reading, _ = judge.attempt(Batch(Text("x", "x"), found=[row]))
    accepted = reading is not None and not reading.rejects
    assert (diagnose.judge(*row) is None) == accepted


@settings(max_examples=draws(15), deadline=None)
@given(st.lists(records(), min_size=1, max_size=4, unique_by=lambda r: r["id"]), st.data())
@pytest.mark.filterwarnings("ignore::tidyusage.errors.UsageWarning")
def test_bad_records_change_nothing_for_the_good_ones(good, data):
    lines = [json.dumps(record).encode() for record in good]
    mixed = list(lines)
    for name in data.draw(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=4)):
        mixed.insert(data.draw(st.integers(0, len(mixed))), as_bytes(FAULTS[name][0]))
    with tempfile.TemporaryDirectory() as folder:
        frame = tu.flatten_usage(
            b"\n".join(mixed),
            rejects=os.path.join(folder, "r"),
            backend="polars",
            duplicates="keep",
        )
    assert frame.equals(tu.flatten_usage(b"\n".join(lines), backend="polars", duplicates="keep"))


def test_the_first_five_are_shown_and_all_are_counted():
    with pytest.raises(tu.errors.RecordError, match="12 records cannot be read") as caught:
        tu.flatten_usage("oops\n" * 12)
    assert str(caught.value).count("oops") == 5
    assert "and 7 more" in str(caught.value)


def test_positions_in_arrays_pages_and_packed_files(tmp_path):
    array = json.dumps([{"id": "a"}, {"id": "b", "surface": []}], indent=1)
    page = json.dumps({"result": [{"id": "a"}, {"id": "b", "surface": []}]})
    for name, text, line in (("array", array, 5), ("page", page, 1)):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(
            tu.errors.RecordError, match=rf"{name}\[1\], line {line} \(id 'b'\): surface"
        ):
            tu.read_usage(path)


def test_a_cut_off_array_keeps_the_records_before_the_cut(tmp_path):
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.flatten_usage('[{"id": "a"}, {"id": "b"}, {"id": "c', rejects=tmp_path / "r")
    assert list(frame["id"]) == ["a", "b"]
    assert json.loads((tmp_path / "r").read_text())["raw"] == '{"id": "c'


def test_a_cut_off_gzip_file_keeps_the_records_before_the_cut(tmp_path):
    path = tmp_path / "usage.ndjson.gz"
    lines = b"".join(
        b'{"id": "%d", "surface": "%s"}\n' % (n, os.urandom(64).hex().encode()) for n in range(3000)
    )
    path.write_bytes(gzip.compress(lines)[:-2000])
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.read_usage(path, rejects=tmp_path / "r")
    assert 0 < len(frame) < 3000
    assert "cut off" in (tmp_path / "r").read_text()


def test_rejects_of_frames_name_the_row(tmp_path):
    frame = pl.DataFrame({"id": ["a", "b"], "usage": [{"quantity": "1"}, {"quantity": "many"}]})
    with pytest.warns(tu.errors.RejectWarning):
        flat = tu.flatten_usage(frame, rejects=tmp_path / "r")
    assert flat["id"].to_list() == ["a"]
    assert json.loads((tmp_path / "r").read_text())["source"] == "rows[1]"


def test_infinities_and_strange_objects_in_python_are_refused_not_lost():
    loop = {"id": "loop"}
    loop["usage"] = loop
    strange = [
        {"id": "inf", "usage": {"quantity": float("inf")}},
        {"id": "obj", "usage": {"quantity": object()}},
        {"id": "bytes", "surface": b"x"},
        {"id": "sur", "surface": "\ud800"},
        loop,
        None,
    ]
    for record in strange:
        with pytest.raises(tu.errors.RecordError, match="1 record cannot be read"):
            tu.flatten_usage([{"id": "good"}, record])


def test_what_is_no_ordinary_file_is_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in (GOOD, "oops"):
        with pytest.raises(OptionError, match="a device or a pipe"):
            tu.flatten_usage(text, rejects=pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_rejects_file_of_an_earlier_run_is_replaced_or_gone(tmp_path):
    target = tmp_path / "r"
    with pytest.warns(tu.errors.RejectWarning):
        tu.flatten_usage("oops", rejects=target)
    with pytest.warns(tu.errors.RejectWarning):
        tu.flatten_usage("other", rejects=target)
    assert "oops" not in target.read_text()
    tu.flatten_usage(GOOD, rejects=target)
    assert not target.exists()


def test_an_interrupted_write_leaves_no_half_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    target = tmp_path / "r"
    with pytest.warns(tu.errors.RejectWarning):
        tu.flatten_usage("before", rejects=target)
    earlier = target.read_text()
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tu.flatten_usage("oops", rejects=target)
    assert target.read_text() == earlier
    assert os.listdir(tmp_path) == ["r"]


def test_a_lazy_relation_raises_when_it_is_asked_and_names_id_and_path():
    relation = tu.flatten_usage('{"id": "x", "usage": {"quantity": true}}', backend="duckdb")
    with pytest.raises(Exception, match=r"record with id x cannot be read: see usage\.quantity"):
        relation.aggregate("count(*)").fetchall()


def test_a_relation_with_rejects_is_verified_at_once(tmp_path):
    with pytest.warns(tu.errors.RejectWarning, match="1 record "):
        relation = tu.flatten_usage(f"{GOOD}\noops", backend="duckdb", rejects=tmp_path / "r")
    assert [row["id"] for row in rows(relation)] == ["good"]


def test_a_relation_of_rows_refuses_lists_for_objects():
    import duckdb

    relation = duckdb.sql("select 'a' as id, {tokens: [1]} as usage")
    with pytest.raises(duckdb.Error, match="where an object belongs"):
        tu.flatten_usage(relation).fetchall()


@pytest.mark.parametrize(
    "text",
    [
        '[{"id":"a"},{"id":"b"},',
        '[\n{"id":"a"},\n{"id":"b"},\n',
        '{"result":[{"id":"a"}]}\n{"result":[{"id":"b"},',
    ],
)
def test_a_text_cut_off_between_records_is_not_read_as_whole(tmp_path, text):
    for backend in ("polars", "duckdb"):
        with pytest.raises(Exception, match=r"the end of the text within|end of data"):
            rows(tu.flatten_usage(text, backend=backend))
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.flatten_usage(text, rejects=tmp_path / "r")
    assert list(frame["id"]) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["{", "[", '{"result":[', "\0", '{"id": "a"}\n{', '{"id": "a"}\n[']
)
def test_a_text_that_only_begins_is_not_an_empty_one(text):
    with pytest.raises(tu.errors.RecordError):
        tu.flatten_usage(text)


def test_what_stands_among_pages_is_read_or_refused(tmp_path):
    page = '{"result":[{"id":"a"}]}'
    assert list(tu.flatten_usage(f'{page}\n{{"id":"b"}}')["id"]) == ["a", "b"]
    assert list(tu.flatten_usage(f'{page}\n{{"result":{{"x":{{"id":"b"}}}}}}')["id"]) == ["a", "b"]
    assert list(tu.flatten_usage(f'{page}\n{{"result":null}}')["id"]) == ["a"]
    for other in ('{"error":"x"}', '{"result":"oops"}', "null"):
        with pytest.raises(tu.errors.RecordError, match="1 record cannot"):
            tu.flatten_usage(f"{page}\n{other}", unknown="ignore")
        with pytest.raises(Exception, match=r"no result|Expected"):
            tu.flatten_usage(f"{page}\n{other}", backend="duckdb").fetchall()


def test_rejects_never_replace_what_is_no_file_of_rejects(tmp_path):
    source = tmp_path / "usage.ndjson"
    source.write_text(GOOD)
    for target in (source, tmp_path):
        with pytest.raises(tu.errors.OptionError, match="rejects="):
            tu.read_usage(source, rejects=target)
    assert source.read_text() == GOOD


def test_a_rejects_file_among_the_sources_is_no_source(tmp_path):
    (tmp_path / "a.ndjson").write_text(f'{GOOD}\n{{"id": "b", "usage": 5}}')
    for _ in range(2):
        with pytest.warns(tu.errors.RejectWarning, match="1 record "):
            frame = tu.read_usage(tmp_path, rejects=tmp_path / "bad.ndjson")
        assert list(frame["id"]) == ["good"]


def test_a_fault_in_the_first_line_costs_that_line_alone(tmp_path):
    for first in ('{"id":"a"} junk', '{"id":"a"},', '{"id":"a"'):
        with pytest.warns(tu.errors.RejectWarning, match="1 record "):
            frame = tu.flatten_usage(f'{first}\n{{"id":"b"}}\n{{"id":"c"}}', rejects=tmp_path / "r")
        assert list(frame["id"]) == ["b", "c"]


def test_nan_is_judged_by_where_it_comes_from(tmp_path):
    nan = tmp_path / "nan.ndjson"
    nan.write_text('{"id":"q","usage":{"quantity":NaN}}')
    frame = pl.DataFrame({"id": ["p"], "usage": [{"quantity": float("nan"), "unit": "GB"}]})
    frame.write_parquet(tmp_path / "p.parquet")
    with pytest.warns(tu.errors.RejectWarning, match="1 record "):
        read = tu.read_usage([nan, tmp_path / "p.parquet"], rejects=tmp_path / "r")
    assert list(read["id"]) == ["p"]
    counts = {"code": {"tool_actions": {"edit": {"accepted": float("nan"), "rejected": 1.0}}}}
    for made in ([{"id": "a", "usage": counts}], pl.DataFrame({"id": ["a"], "usage": [counts]})):
        (row,) = rows(tu.flatten_usage(made, layout="tool_actions"))
        assert (row["action"], row["count"]) == ("rejected", 1.0)


def test_deep_nesting_is_read():
    deep = "[" * 5000 + "]" * 5000
    assert len(tu.flatten_usage(f'{{"id":"a","remote_data":{deep}}}')) == 1


def test_a_default_currency_that_meets_another_is_named():
    record = {"id": "a", "charges": [{"amount": 1}, {"amount": 2, "currency": "USD"}]}
    with pytest.raises(tu.errors.RecordError, match="found EUR and USD"):
        tu.flatten_usage([record], currency="eur")


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_counted_on_from_block_to_block(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(inputs, "_LINES", 1)  # a batch is then one block of 64 kB
    lines = [json.dumps({"id": f"r{number}", "surface": "x" * 50}) for number in range(9_000)]
    lines[3_000] = "oops"
    lines[6_000] = ""
    lines[8_765] = '{"id": "bad", "usage": {"quantity": true}}'
    source = tmp_path / "usage.ndjson"
    data = "\n".join(lines).encode()
    source.write_bytes(gzip.compress(data) if packed else data)
    with pytest.warns(tu.errors.RejectWarning, match="2 records"):
        frame = tu.read_usage(source, rejects=tmp_path / "r")
    rejected = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert [(one["line"], one["path"]) for one in rejected] == [
        (3_001, "$"),
        (8_766, "usage.quantity"),
    ]
    assert list(frame["id"]) == [f"r{n}" for n in range(9_000) if n not in {3_000, 6_000, 8_765}]


def test_an_interrupted_query_is_an_interruption():
    with pytest.raises(KeyboardInterrupt), connections.connect():
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="other"), connections.connect():
        raise RuntimeError("other")


def test_a_list_among_records_is_no_record_wherever_it_comes_from():
    for listed in ([[{"id": "1"}]], iter([[{"id": "1"}]]), iter([[{"id": "1"}], {"id": "2"}])):
        with pytest.raises(tu.errors.RecordError, match=r"records\[0\].*expected an object"):
            tu.flatten_usage(listed)
