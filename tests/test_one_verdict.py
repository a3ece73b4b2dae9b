"""A verdict on a record depends on the record alone: not on its neighbours or its container."""

import json
import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from time import perf_counter

import numpy as np
import pytest

import tidyusage as tu
from tidyusage._utils import json_lines
from tidyusage.io import diagnose, inputs, json_text

NUMBERS = {
    # Text that is a number: blanks around it, a sign, digits, a point, an exponent.
    **dict.fromkeys(
        ["3", " 3 ", "\t3\n", "+3", "-3", "3.", ".5", "-.5", "1e5", "1E-5", "007"], True
    ),
    **dict.fromkeys(
        ["+-3", "-+3", "--3", "1e", "1e+", "1_000", "1e1_0", "0x1F", "1,5", "1d"], False
    ),
    **dict.fromkeys(
        ["\uff11\uff12", "\u0663", "\u00a03", "NaN", "Infinity", "-inf", "1e400", "", "-", "."],
        False,
    ),
    "1" * 400: False,  # a float of it is infinite
}
NUMBER_FIELDS = {
    "charges[0].amount": '"charges": [{{"type": "net", "amount": {}}}]',
    "usage.quantity": '"usage": {{"quantity": {}}}',
    "usage.code.tool_actions.edit.seen": '"usage": {{"code": {{"tool_actions": {{"edit": {{"seen": {}}}}}}}}}',
}
DATES = {
    "0001-01-01": True,
    "9999-12-31T23:59:59.999999Z": True,
    "9999-12-31T23:59:59+01:00": True,
    "0001-01-01T01:00:00+01:00": True,
    "9999-12-31T23:59:59-01:00": False,  # the year 10000 in UTC
    "0001-01-01T00:59:59+01:00": False,  # the year 0
    "0001-01-01T00:00:00+00:01": False,
    "2026-01-01T00:00:00+01:00:30": False,  # RFC 3339 has no seconds in an offset
    "\u0662026-01-01": False,
}
IDS = {  # numbers where text belongs
    "1e5": True,
    "1.50": True,
    "-0": True,
    "1E-7": True,
    "1" * 400: True,
    "1" * 5_000: True,
    "1E400": False,
    "-1e400": False,
    "1" * 400 + ".5": False,
    "NaN": False,
    "Infinity": False,
}
REMOTE = {  # the vendor's raw object may be any JSON
    "1" * 4_300: True,
    "1" * 5_000: True,
    "[" * 1_000 + "]" * 1_000: True,
    '{"a": ' * 20_000 + "1" + "}" * 20_000: True,
    '"\\ud83d\\ude00"': True,
    '"\\\\ud800"': True,
    '"\\ud800"': False,
    '"\\ud800\\u0041"': False,
    '"\\udc00\\ud800"': False,
}


def cases():
    """Return the texts of records by id, with whether each can be read."""
    found = {}

    def add(members, is_good):
        id_ = f"r{len(found)}"
        found[id_] = (f'{{"id": "{id_}", {members}}}', is_good)

    for template in NUMBER_FIELDS.values():
        for text, is_good in NUMBERS.items():
            add(template.format(json.dumps(text)), is_good)
    for text, is_good in DATES.items():
        add(f'"start_date": {json.dumps(text)}', is_good)
    for text, is_good in IDS.items():
        add(f'"user": {{"id": {text}}}', is_good)
    for text, is_good in REMOTE.items():
        add(f'"remote_data": {text}', is_good)
    return found


CASES = cases()
TEXTS = [text for text, _ in CASES.values()]


def read(records, tmp_path, **options):
    """Return the ids that are read, and the rejects by id."""
    target = tmp_path / "rejects.ndjson"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tu.errors.UsageWarning)
        frame = tu.flatten_usage(records, rejects=target, unknown="ignore", **options)
    rejected = map(json.loads, target.read_text().splitlines()) if target.exists() else ()
    return list(frame["id"]), {reject["id"]: reject for reject in rejected}


CONTAINERS = {
    "lines": "\n".join(TEXTS),
    "beside a line that is not JSON": "\n".join(["oops", *TEXTS, '{"id": ']),
    "array": f"[{', '.join(TEXTS)}]",
    "page": f'{{"result": [{", ".join(TEXTS)}]}}',
    "dicts": [
        json.loads(text)
        for text in TEXTS
        if len(text) < 2_000 and not any(word in text for word in (": NaN", "Infinity}"))
    ],
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_verdict_is_the_same_in_each_container(tmp_path, container):
    records = CONTAINERS[container]
    given = CASES
    if container == "dicts":
        given = {record["id"]: CASES[record["id"]] for record in records}
    backend = "pandas" if container == "array" else "polars"
    good, rejected = read(records, tmp_path, backend=backend)
    assert good == [id_ for id_, (_, is_good) in given.items() if is_good]
    assert set(rejected) - {None} == {id_ for id_, (_, is_good) in given.items() if not is_good}


def test_within_a_limit_of_memory_the_verdict_is_the_same(tmp_path):
    records = CONTAINERS["beside a line that is not JSON"]
    target = tmp_path / "rejects.ndjson"
    with pytest.warns(tu.errors.RejectWarning):
        relation = tu.flatten_usage(
            records, rejects=target, backend="duckdb", memory_limit="500MB", unknown="ignore"
        )
    ids = [id_ for (id_,) in relation.select('"id"').fetchall()]
    assert ids == [id_ for id_, (_, is_good) in CASES.items() if is_good]


@pytest.mark.parametrize("path", NUMBER_FIELDS)
def test_a_bad_number_is_rejected_with_its_reason(tmp_path, path):
    line = f'{{"id": "x", {NUMBER_FIELDS[path].format(json.dumps("+-3"))}}}'
    _, rejected = read(f"{line}\noops", tmp_path)
    reject = rejected["x"]
    assert (reject["path"], reject["expected"]) == (path, "a number")
    assert reject["found"] == "the text '+-3'"


def test_a_date_at_the_edge_is_rejected_with_its_reason(tmp_path):
    _, rejected = read('{"id": "x", "end_date": "9999-12-31T23:59:59-01:00"}', tmp_path)
    assert rejected["x"]["expected"] == "a date within the years 1 to 9999 in UTC"


def test_the_seconds_of_an_offset_count():
    # 10:00:30 at +01:00:30 is 09:00:00 UTC; Amsterdam was 0:19:32 ahead in 1900.
    amsterdam = timezone(timedelta(minutes=19, seconds=32))
    records = [
        {"id": "a", "start_date": datetime(2026, 1, 1, 10, 0, 30, tzinfo=_ahead(3630))},
        {"id": "b", "start_date": datetime(1900, 1, 1, 0, 19, 32, tzinfo=amsterdam)},
        {"id": "c", "start_date": datetime(2026, 1, 1, 10, tzinfo=_ahead(3600))},
        {"id": "d", "start_date": date(2026, 1, 1)},
        {"id": "e", "start_date": datetime(2026, 1, 1, 10)},  # noqa: DTZ001
        {"id": "f", "start_date": np.datetime64("2026-01-01T10:00:00.000000000")},
    ]
    expected = [
        datetime(2026, 1, 1, 9, tzinfo=UTC),
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 9, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 10, tzinfo=UTC),
        datetime(2026, 1, 1, 10, tzinfo=UTC),
    ]
    frame = tu.flatten_usage(records, backend="polars")
    assert frame["start_date"].to_list() == expected


def _ahead(seconds):
    return timezone(timedelta(seconds=seconds))


def test_an_object_beside_others_is_written_as_alone():
    class Unknown:
        pass

    odd = [{"id": Unknown()}, {"id": 2**70}, {1: 2}]  # what orjson does not write
    plain = [
        {"id": np.float32(0.1)},
        {"id": np.datetime64("2026-01-01T00:00:00.000")},
        {"id": 1e16},
        {"id": datetime(2026, 1, 1, tzinfo=UTC)},
    ]
    alone = [json_lines.lines([record])[0] for record in plain]
    assert json_lines.lines([*odd, *plain])[len(odd) :] == alone


def test_dicts_may_nest_as_deep_as_text(tmp_path):
    deep = {"id": "deep"}
    inner = deep
    for _ in range(1_200):
        inner["remote_data"] = {"list": [1, None, "é"]}
        inner = inner["remote_data"]
    loop = {"id": "loop"}
    loop["user"] = loop
    twice = {"id": "twice", "remote_data": {"a": deep, "b": deep}}
    good, rejected = read([deep, loop, twice], tmp_path, backend="polars")
    assert good == ["deep", "twice"]
    (reject,) = rejected.values()
    assert (reject["source"], reject["path"]) == ("records[1]", "$")
    assert "contains itself" in reject["found"]


A, B = '{"id": "a"}', '{"id": "b"}'
# Whatever stands around them: the records a and b.
AROUND = {
    "pages in an array": f'[{{"result": [{A}]}}, {{"result": [{B}]}}]',
    "arrays on lines": f"[{A}]\n[{B}]",
    "arrays over lines": f"[\n{A}\n]\n[\n{B}\n]",
    "a page with a request's id": f'{{"id": "req_1", "result": [{A}, {B}]}}',
    "an id after the result": f'{{"result": [{A}, {B}], "id": "req_1", "next_cursor": null}}',
    "a record, then a page": f'{A}\n{{"result": [{B}], "id": "req_1"}}',
    "a record, then a page in an array": f'[{A}, {{"result": {{"k": {B}}}}}]',
    "a page, then a record": f'{{"result": [{A}]}}\n{B}',
    "a result far behind": f'{{"warning": "{"w" * 1_100_000}", "result": [{A}, {B}]}}',
    "pages that are keyed": f'[{{"result": {{"x": {A}}}}}, {{"result": null}}, {{"result": [{B}]}}]',
}


@pytest.mark.parametrize("name", AROUND)
def test_pages_are_unpacked_wherever_they_are_and_arrays_one_after_another(tmp_path, name):
    text = AROUND[name]
    assert read(text, tmp_path) == (["a", "b"], {})
    if "\n" not in text:
        assert read(json.loads(text), tmp_path) == (["a", "b"], {})
    elif "arrays" not in name:
        assert read(list(map(json.loads, text.split("\n"))), tmp_path) == (["a", "b"], {})


def test_a_fault_costs_one_array_of_those_on_lines(tmp_path):
    good, rejected = read(
        f'[{A}]\n[{{"id": "c", "user": 5}}, {{"id": "d"}}]\n[{B}, oops]\n', tmp_path
    )
    assert good == ["a", "d", "b"]
    assert {(r["id"], r["line"]) for r in rejected.values()} == {("c", 2), (None, 3)}


@pytest.mark.parametrize("records", [f"[[{A}]]", [[json.loads(A)]], f'[{{"result": [[{A}]]}}]'])
def test_an_array_in_an_array_is_rejected(tmp_path, records):
    good, rejected = read(records, tmp_path)
    assert good == []
    assert rejected[None]["found"] == "a list"


@pytest.mark.parametrize("text", ['{"id": "a", "result": null}', '{"id": "a", "result": "ok"}'])
def test_a_record_may_have_a_result_of_its_own(tmp_path, text):
    assert read(text, tmp_path) == read(json.loads(text), tmp_path) == (["a"], {})


def test_an_object_with_keys_of_a_record_is_not_a_page(tmp_path):
    text = f'{{"result": [{A}], "charges": []}}'
    for records in (text, json.loads(text), f"{text}\n{text}", f"[{text}]"):
        good, rejected = read(records, tmp_path)
        assert good == []
        assert rejected[None]["path"] == "id"


def test_what_is_wrong_within_a_page_is_named_with_its_line(tmp_path):
    text = f'{B}\n{{"id": "req", "result": [{A}, {{"id": "c", "user": 5}}, 7]}}'
    good, rejected = read(text, tmp_path)
    assert good == ["b", "a"]
    assert {(r["id"], r["line"], r["path"]) for r in rejected.values()} == {
        ("c", 2, "user"),
        (None, 2, "$"),
    }


@pytest.mark.parametrize("as_text", [True, False])
def test_pages_that_are_not_all_are_told_of_in_an_array_too(as_text):
    pages = [{"result": [{"id": "a"}], "next_cursor": "x"}, {"result": [], "next_cursor": "y"}]
    with pytest.warns(tu.errors.PartialWarning, match="No page of 2"):
        tu.flatten_usage(json.dumps(pages) if as_text else pages)


def long(bytes_):
    return f'{{"id": "long", "remote_data": "{"x" * bytes_}"}}'


@pytest.mark.slow
@pytest.mark.parametrize(("size", "is_good"), [(30_000_000, True), (34_000_000, False)])
def test_the_limit_of_a_record_is_the_same_in_each_container(tmp_path, size, is_good):
    text = long(size)
    good = '{"id": "good"}'
    containers = (
        f"{text}\n{good}",
        f"[{text}, {good}]",
        f'{{"result": [{text}, {good}]}}',
        [json.loads(text), {"id": "good"}],
    )
    for records in containers:
        ids, rejected = read(records, tmp_path, backend="polars")
        assert ids == (["long", "good"] if is_good else ["good"])
        if not is_good:
            (reject,) = rejected.values()
            assert reject["path"] == "$"
            assert reject["expected"] == "a record of at most 32.0 MiB"
            assert reject["found"] == "32.4 MiB"


MEGA = 1_000_000
SLOW = {
    "blank lines": b"\n" * MEGA,
    "blanks": b" " * MEGA,
    "digits and a letter": b'{"id": "x", "usage": {"quantity": "' + b"1" * MEGA + b'x"}}',
    "blanks in a number": b'{"id": "x", "usage": {"quantity": "1' + b" " * MEGA + b'x"}}',
    "an exponent": b'{"id": "x", "usage": {"quantity": "1e' + b"1" * MEGA + b'x"}}',
    "a fraction of a second": b'{"id": "x", "start_date": "2026-01-01T00:00:00.'
    + b"1" * MEGA
    + b'x"}',
    "commas": b'{"id": "x",' + b", " * MEGA + b"}",
    "blanks before the end": b'{"id": "x"' + b" " * MEGA,
    "escapes": b'{"id": "' + b"\\" * MEGA,
    "open brackets": b"[" * (MEGA // 10),
}


@pytest.mark.parametrize("name", SLOW)
def test_judging_takes_linear_time(name):
    text = SLOW[name]
    start = perf_counter()
    inputs.SOURCE.match(text)
    json_text.shape(text.decode())
    list(json_text.records(text.decode()))
    assert diagnose.judge(inputs.Place("x", 1), text) is not None
    assert perf_counter() - start < 60  # quadratic time would be days


def test_blank_lines_are_no_records():
    assert len(tu.flatten_usage("\n" * MEGA)) == 0
    assert len(tu.flatten_usage("\v\f \r\n" * 3 + '\v{"id": "a"}\f\r\n\x0b')) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("spark")
@pytest.mark.filterwarnings("ignore:PySpark does not yet", "ignore:The copy keyword")
def test_on_spark_the_verdict_is_the_same(spark, tmp_path):
    # Its JSON reader has limits of its own, and reads an infinite number as text (docs/spark.md).
    cases = {
        id_: case
        for id_, case in CASES.items()
        if '"user"' not in case[0] and not (case[1] and '"remote_data"' in case[0])
    }
    source, target = tmp_path / "usage.ndjson", tmp_path / "rejects.ndjson"
    source.write_text("\n".join(text for text, _ in cases.values()))
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.read_usage(
            source, rejects=target, backend="pyspark", session=spark, unknown="ignore"
        )
    good = {row[0] for row in frame.select("id").collect()}
    assert good == {id_ for id_, (_, is_good) in cases.items() if is_good}
