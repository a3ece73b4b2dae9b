"""One id on several records, and keys that the schema does not know."""

import json

import polars as pl
import pytest

import tidyusage as tu
from conftest import BACKENDS, rows
from tidyusage.testing import sample_records


def versions():
    return [
        {
            "id": "a",
            "usage": {"quantity": 1},
            "updated_at": "2026-01-02",
            "created_at": "2026-01-09",
        },
        {"id": "b", "usage": {"quantity": 2}},
        {"id": "a", "usage": {"quantity": 3}, "updated_at": "2026-01-03"},
        {"id": "a", "usage": {"quantity": 4}},
        {"id": "c", "usage": {"quantity": 5}, "created_at": "2026-01-01"},
        {"id": "c", "usage": {"quantity": 6}, "created_at": "2026-01-01"},
        {"id": "c", "usage": {"quantity": 7}, "created_at": "2025-01-01"},
    ]


# a: the greatest updated_at is the third record's.  b: alone.  c: no updated_at, the greatest
# created_at stands on two, of which the last seen holds 6.
LATEST = [("b", 2.0), ("a", 3.0), ("c", 6.0)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_latest_keeps_the_newest_where_it_stands(backend):
    if backend == "duckdb":
        frame = tu.flatten_usage(versions(), backend=backend)
    else:
        with pytest.warns(tu.errors.DuplicateWarning, match="4 records dropped"):
            frame = tu.flatten_usage(versions(), backend=backend)
    assert [(row["id"], row["usage.quantity"]) for row in rows(frame)] == LATEST


@pytest.mark.parametrize("backend", BACKENDS)
def test_raise_names_the_ids(backend):
    with pytest.raises(tu.errors.RecordError, match=r"2 ids stand .*: 'a' \(3×\), 'c' \(3×\)"):
        tu.flatten_usage(versions(), duplicates="raise", backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_keep_tells_records_of_one_id_apart(backend):
    frame = tu.flatten_usage(versions(), duplicates="keep", layout="long", backend=backend)
    assert [(row["record"], row["id"], row["value"]) for row in rows(frame)] == [
        (place, record["id"], float(record["usage"]["quantity"]))
        for place, record in enumerate(versions())
    ]
    assert len(rows(tu.flatten_usage(versions(), duplicates="keep", backend=backend))) == 7


def test_long_of_repeated_ids_is_refused_unless_they_are_kept_apart():
    frame = tu.flatten_usage(versions(), duplicates="keep", backend="polars")
    with pytest.raises(tu.errors.FrameError, match="an id stands on several rows"):
        tu.to_long(frame)
    long = tu.to_long(frame, duplicates="keep")
    assert long["record"].to_list() == list(range(7))
    assert tu.to_wide(long)["usage.quantity"].to_list() == [1, 2, 3, 4, 5, 6, 7]


UNKNOWN = [
    {"id": "a", "usage": {"tokens": {"reasoning": 5, "input": 1}}, "cost": {"usd": 1}},
    {"id": "b"},
    {
        "id": "c",
        "charges": [{"amount": 1, "type": "net"}, {"note": "x"}],
        "resources": [{"workspace": {"zone": None}}],
    },
]


def test_unknown_keys_are_warned_of_with_their_paths():
    with pytest.warns(tu.errors.UnknownKeyWarning) as caught:
        tu.flatten_usage(UNKNOWN)
    (warning,) = caught
    for path in ("usage.tokens.reasoning", "cost", "charges[].note", "resources[].workspace.zone"):
        assert repr(path) in str(warning.message)
    assert "sample of 3 records" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize("backend", BACKENDS)
def test_unknown_raise_is_exact(backend):
    with pytest.raises(tu.errors.RecordError) as caught:
        tu.flatten_usage(UNKNOWN, unknown="raise", backend=backend)
    for path in ("usage.tokens.reasoning", "cost", "charges[].note", "resources[].workspace.zone"):
        assert f"{path!r} (1×)" in str(caught.value)


@pytest.mark.slow
def test_unknown_raise_finds_one_key_among_many():
    records = list(sample_records(20_000, seed=1))
    records[15_003]["usage"]["odd"] = 1
    with pytest.raises(tu.errors.RecordError, match=r"'usage.odd' \(1×\)"):
        tu.flatten_usage(records, unknown="raise")
    del records[15_003]["usage"]["odd"]
    assert len(tu.flatten_usage(records, unknown="raise")) == 20_000


@pytest.mark.parametrize("backend", BACKENDS)
def test_unknown_keep_has_them_as_json_by_path(backend):
    frame = tu.flatten_usage(UNKNOWN, unknown="keep", backend=backend)
    kept = [row["extra"] and json.loads(row["extra"]) for row in rows(frame)]
    assert kept == [
        {"usage.tokens.reasoning": 5, "cost": {"usd": 1}},
        None,
        {"charges[1].note": "x", "resources[0].workspace.zone": None},
    ]


@pytest.mark.filterwarnings("ignore::tidyusage.errors.RejectWarning")
@pytest.mark.filterwarnings("ignore::tidyusage.errors.DuplicateWarning")
def test_unknown_keep_stays_beside_its_record_when_others_are_rejected_or_dropped(tmp_path):
    records = [{"id": "x", "charges": 5}, *UNKNOWN, {"id": "b", "late": True}]
    frame = tu.flatten_usage(records, unknown="keep", rejects=tmp_path / "r", backend="polars")
    kept = dict(zip(frame["id"], frame["extra"], strict=True))
    assert json.loads(kept["b"]) == {"late": True}
    assert json.loads(kept["c"])["charges[1].note"] == "x"


def test_the_sample_reaches_into_a_large_file(tmp_path):
    path = tmp_path / "usage.ndjson"
    lines = [json.dumps(record) for record in sample_records(4_000, seed=1)]
    later = [json.dumps(record | {"late": 1}) for record in sample_records(4_000, seed=2)]
    path.write_text("\n".join(lines + later))
    with pytest.warns(tu.errors.UnknownKeyWarning, match="'late'"):
        tu.read_usage(path, duplicates="keep")


def test_ignore_is_silent():
    assert isinstance(tu.flatten_usage(UNKNOWN, unknown="ignore", backend="polars"), pl.DataFrame)
