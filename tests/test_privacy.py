"""Pseudonyms: the same person everywhere, and nothing that names one anywhere."""

import hashlib
import hmac
import json
import logging
import os
import pickle
import traceback
from pathlib import Path

import polars as pl
import pytest

import tidyusage as tu
from export_targets import ALL, SEVERAL
from servers import postgres
from tidyusage.errors import OptionError, UnknownFieldError
from tidyusage.export.pseudonyms import Key

KEY = "a key that nobody knows"
ADA = {"id": "u-4711", "email": "ada@example.com", "name": "Ada Byron"}
RECORDS = [
    {
        "id": "claude-ada@example.com-1",
        "product": {"id": "claude", "name": "asked by ADA@example.com"},
        "organization": {"id": "o", "name": "Example Ltd"},
        "user": ADA,
        "metric_name": "mail to bob.b+x@sub.example.co.uk, and u-4711",
        "resources": [
            {"id": "r", "name": "box of Ada Byron", "workspace": {"name": "a@b.example"}}
        ],
        "usage": {"requests": {"total": 3}},
        "charges": [{"amount": 1.0, "currency": "USD", "type": "net"}],
        "start_date": "2026-01-01",
        "end_date": "2026-01-02",
        "remote_data": {"who": "Ada Byron"},
    },
    {
        "id": "cursor-2",
        "product": {"id": "cursor"},
        "organization": {"id": "o"},
        "user": {"email": "  Ada@Example.com "},
        "usage": {"requests": {"total": 1}},
        "charges": [{"amount": 2.0, "currency": "USD", "type": "net"}],
        "start_date": "2026-01-01",
        "end_date": "2026-01-02",
    },
]
NAMES = ("ada@", "Ada@", "ADA@", "Ada", "Byron", "u-4711", "bob.b", "a@b")


def of(text):
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def frame(**options):
    options = {"remote_data": "json", "backend": "polars", **options}
    return tu.flatten_usage(RECORDS, **options)


def read(path):
    return sorted(pl.read_parquet(path).to_dicts(), key=lambda row: row["product_id"])


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


def test_keyed_hashes_stand_for_ids_e_mails_and_names(tmp_path):
    tu.export_usage(frame(), tmp_path / "a.parquet", anonymise=["user"], anonymise_key=KEY)
    first, second = read(tmp_path / "a.parquet")
    assert first["user_id"] == of("u-4711")
    assert first["user_email"] == of("ada@example.com")
    assert first["user_name"] == of("Ada Byron")
    assert second["user_id"] is None
    assert second["user_email"] == first["user_email"]  # however it is written


def test_text_that_names_users_does_so_no_more(tmp_path):
    own = frame().with_columns(pl.lit("cc: ada%40example.com").alias("note"))
    tu.export_usage(own, tmp_path / "a.parquet", anonymise="user", anonymise_key=KEY)
    first, _ = read(tmp_path / "a.parquet")
    ada, bob = of("ada@example.com"), of("bob.b+x@sub.example.co.uk")
    assert first["id"] == f"claude-{ada}-1"
    assert first["product_name"] == f"asked by {ada}"
    assert first["metric_name"] == f"mail to {bob}, and {of('u-4711')}"
    assert first["note"] == f"cc: {ada}"
    (resource,) = first["resources"]
    assert resource["name"] == f"box of {of('Ada Byron')}"
    assert resource["workspace"]["name"] == of("a@b.example")
    assert first["organization_name"] == "Example Ltd"
    assert "remote_data" not in first


@pytest.mark.parametrize("tables", ["wide", "long", "star", "focus"])
@pytest.mark.parametrize("kind", SEVERAL)
def test_nothing_that_is_written_names_anybody(tmp_path, monkeypatch, request, kind, tables):
    monkeypatch.chdir(tmp_path)
    target, reader = ALL[kind]
    if not target:
        target = f"{request.getfixturevalue('server')}?schema={tmp_path.name}"
    told = tu.export_usage(frame(), target, tables=tables, anonymise="user", anonymise_key=KEY)
    rows = [row for name in told["tables"] for row in reader(target, name)]
    text = json.dumps([told, rows], default=str)
    assert of("ada@example.com") in text
    assert not [name for name in (*NAMES, KEY) if name in text]
    if kind in {"folder", "delta"}:
        for path in Path("usage").rglob("*.json"):
            assert not [name for name in (*NAMES, KEY) if name in path.read_text()]


def test_a_person_is_the_same_in_every_table_and_export(tmp_path):
    for place, records in (("a", RECORDS), ("b", RECORDS[::-1]), ("c", RECORDS[:1])):
        rows = tu.flatten_usage(records, backend="polars")
        for tables in ("wide", "star", "focus"):
            tu.export_usage(
                rows,
                tmp_path / f"{place}{tables}",
                tables=tables,
                anonymise="user",
                anonymise_key=KEY,
            )

    def users(place, name, column):
        folder = tmp_path / place / name
        return set(pl.read_parquet(f"{folder}/")[column].drop_nulls()) - {"Unknown"}

    for place in "abc":
        assert users(f"{place}wide", "usage_wide", "user_id") == {of("u-4711")}
        assert users(f"{place}star", "dim_user", "user_id") == {of("u-4711")}
        assert users(f"{place}focus", "focus", "x_UserId") == {of("u-4711")}
        assert users(f"{place}star", "dim_user", "user_email") == {of("ada@example.com")}
    assert users("astar", "dim_user", "user_key") >= users("cstar", "dim_user", "user_key")


def test_as_many_users_are_active_as_before(tmp_path):
    example = tu.load_example(backend="polars")
    tu.export_usage(example, tmp_path / "a.parquet", anonymise="user", anonymise_key=KEY)
    hidden = pl.read_parquet(tmp_path / "a.parquet")
    for by in ((), ("product.id",), ("surface",)):
        before, after = tu.active_users(example, *by), tu.active_users(hidden, *by)
        assert before["active_users"].to_list() == after["active_users"].to_list()
    cost = tu.cost_by(example)["cost"].item()
    assert tu.cost_by(hidden)["cost"].item() == pytest.approx(cost, rel=1e-12)


def test_another_key_gives_other_pseudonyms(tmp_path):
    for name, key in (("a", KEY), ("b", "another"), ("c", KEY.encode())):
        path = tmp_path / f"{name}.parquet"
        tu.export_usage(frame(), path, anonymise="user", anonymise_key=key)
    ids = {name: read(tmp_path / f"{name}.parquet")[0]["user_id"] for name in "abc"}
    assert ids["a"] == ids["c"] != ids["b"]


def test_the_key_may_be_the_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDYUSAGE_KEY", KEY)
    tu.export_usage(frame(), tmp_path / "a.parquet", anonymise="user")
    assert read(tmp_path / "a.parquet")[0]["user_id"] == of("u-4711")


@pytest.mark.parametrize("key", [None, "", b"", "  ", 3])
def test_without_a_key_nothing_is_written(tmp_path, monkeypatch, key):
    monkeypatch.delenv("TIDYUSAGE_KEY", raising=False)
    with pytest.raises(OptionError, match="key"):
        tu.export_usage(frame(), tmp_path / "a.parquet", anonymise="user", anonymise_key=key)
    assert os.listdir(tmp_path) == []


def test_the_key_is_shown_nowhere(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    assert KEY not in repr(Key.of(KEY))
    with pytest.raises(TypeError):
        pickle.dumps(Key.of(KEY))
    for target, options in (
        ("a.json", {}),
        ("a.csv", {"anonymise": ["user", "nobody"]}),
        ("a.csv", {"anonymise": ["user"], "mode": "replace"}),
        ("postgresql://127.0.0.1:1/none", {"anonymise": ["user"]}),
    ):
        with pytest.raises(tu.errors.UsageError) as found:
            tu.export_usage(frame(), target, anonymise_key=KEY, **options)
        told = traceback.TracebackException.from_exception(found.value, capture_locals=True)
        inside = [frame for frame in told.stack if "tidyusage" in frame.filename]
        shown = [str(value) for frame in inside for value in (frame.locals or {}).values()]
        assert not [text for text in (*shown, str(found.value), caplog.text) if KEY in text]


@pytest.mark.parametrize("tables", ["wide", "long", "star", "focus"])
def test_what_is_dropped_is_left_out(tmp_path, tables):
    told = tu.export_usage(
        frame(), tmp_path / "a", tables=tables, drop=["user", "surface"], anonymise_key=KEY
    )
    rows = [
        row
        for name in told["tables"]
        for row in pl.read_parquet(f"{tmp_path}/a/{name}/").to_dicts()
    ]
    assert not [name for name in NAMES if name in json.dumps(rows, default=str)]
    if tables in {"wide", "long"}:
        columns = set(rows[0])
        assert not columns & {"user_id", "user_email", "user_name", "surface", "remote_data"}


def test_ids_that_name_users_need_a_key_to_tell_records_apart(tmp_path, monkeypatch):
    monkeypatch.delenv("TIDYUSAGE_KEY", raising=False)
    with pytest.raises(OptionError, match="Ids of records name their users"):
        tu.export_usage(frame(), tmp_path / "a.csv", drop="user")
    plain = frame().with_columns(pl.Series("id", ["1", "2"]))
    tu.export_usage(plain, tmp_path / "a.parquet", drop="user")
    first, _ = read(tmp_path / "a.parquet")
    assert first["metric_name"] == "mail to [removed], and [removed]"


def test_fields_and_own_columns_can_be_hidden_one_by_one(tmp_path):
    own = frame().with_columns(pl.lit(7).alias("team"))
    tu.export_usage(
        own,
        tmp_path / "a.parquet",
        anonymise=["organization.name", "team"],
        drop=["tokens.input", "model"],
        anonymise_key=KEY,
    )
    first, second = read(tmp_path / "a.parquet")
    assert first["organization_name"] == of("Example Ltd")
    assert second["organization_name"] is None
    assert first["team"] == of("7")
    assert first["user_email"] == "ada@example.com"
    assert not set(first) & {"usage_tokens_input", "model_id", "model_provider"}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"anonymise": "usr"}, UnknownFieldError, "Did you mean 'user'"),
        ({"anonymise": "tokens.input"}, OptionError, "holds no text"),
        ({"anonymise": 3}, OptionError, "anonymise=3 names no fields"),
        ({"drop": "id"}, OptionError, "The id cannot be dropped"),
        ({"drop": "user.id", "anonymise": "user"}, OptionError, "anonymised and dropped"),
    ],
)
def test_what_cannot_be_hidden_is_said(tmp_path, options, error, said):
    with pytest.raises(error, match=said):
        tu.export_usage(frame(), tmp_path / "a.csv", anonymise_key=KEY, **options)


def test_nothing_changes_where_nothing_is_to_be_hidden(tmp_path):
    tu.export_usage(frame(), tmp_path / "a.parquet", anonymise_key=KEY)
    first, _ = read(tmp_path / "a.parquet")
    assert first["user_email"] == "ada@example.com"
    assert json.loads(first["remote_data"]) == {"who": "Ada Byron"}
