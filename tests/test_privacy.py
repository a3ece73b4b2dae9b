"""Pseudonyms: the same person everywhere, and nothing that names one anywhere."""

import datetime as dt
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
from export_targets import ADDING, REPLACING, SEVERAL
from flavours import flattened
from tidyusage.errors import ExportError, FrameError, OptionError, UnknownFieldError
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
    return flattened(RECORDS, **options)


def read(path):
    return sorted(pl.read_parquet(path).to_dicts(), key=lambda row: row["product_id"])


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
def test_nothing_that_is_written_names_anybody(at, kind, tables):
    target, reader = at(kind)
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


def one(user, folder, own=(), anonymise="user", **record):
    """Return the row that is exported of one record, with columns of the caller's own."""
    base = {
        "id": "r1",
        "product": {"id": "claude"},
        "organization": {"id": "o"},
        "charges": [{"amount": 1500.0, "currency": "USD", "type": "net"}],
        "start_date": "2026-01-01",
        "end_date": "2026-01-02",
    }
    rows = tu.flatten_usage([{**base, **record, "user": user}], backend="polars")
    path = folder / "a.parquet"
    tu.export_usage(rows.with_columns(own), path, anonymise=anonymise, anonymise_key=KEY)
    (row,) = read(path)
    return row


WORDS = (
    "cursor CURSOR production total amount credits sonnet-9 hour chat editor accept acme monthly"
)


@pytest.mark.parametrize("word", WORDS.split())
def test_codes_and_keys_stay_whatever_a_user_is_called(tmp_path, word):
    row = one(
        {"id": word, "name": "production"},
        tmp_path,
        [pl.lit("acme").alias("source.account"), pl.lit("monthly").alias("source.report_type")],
        product={"id": "cursor", "name": "Cursor production"},
        organization={"id": "acme"},
        model={"id": "sonnet-9", "provider": "acme"},
        usage={"unit": "hour", "code": {"tool_actions": {"editor": {"accept": 2}}}},
        charges=[{"amount": 0.1, "currency": "CREDITS", "type": "total"}],
        surface="chat",
    )
    assert (row["product_id"], row["product_name"]) == ("cursor", "Cursor production")
    assert (row["model_id"], row["model_provider"]) == ("sonnet-9", "acme")
    assert (row["usage_unit"], row["surface"], row["organization_id"]) == ("hour", "chat", "acme")
    assert (row["source_account"], row["source_report_type"]) == ("acme", "monthly")
    assert row["charges"] == [{"amount": 0.1, "currency": "CREDITS", "type": "total"}]
    action = {"tool": "editor", "action": "accept", "count": 2.0}
    assert row["usage_code_tool_actions"] == [action]


def test_e_mails_are_found_in_codes_too(tmp_path):
    row = one(
        {"id": "u-4711"},
        tmp_path,
        model={"id": "gpt of ada@example.com"},
        usage={"code": {"tool_actions": {"ada@example.com": {"accept": 2}}}},
    )
    ada = of("ada@example.com")
    assert row["model_id"] == f"gpt of {ada}"
    assert row["usage_code_tool_actions"] == [{"tool": ada, "action": "accept", "count": 2.0}]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("of lee-77", "of {}"),
        ("LEE-77_2026", "{}_2026"),
        ("lee-778, xlee-77", "lee-778, xlee-77"),
        ("lee%2D77", "{}"),
        ("who%3Dlee-77", "who%3D{}"),
    ],
)
def test_an_id_is_replaced_as_a_whole_word(tmp_path, text, masked):
    row = one({"id": "lee-77"}, tmp_path, metric_name=text)
    assert row["metric_name"] == masked.format(of("lee-77"))


@pytest.mark.parametrize("user", ["1500", "amount", "name", "null"])
def test_lists_keep_their_shape_and_numbers(tmp_path, user):
    amounts = [1500.0, 0.1 + 0.2, 5e-324, 1e22]
    own = [pl.Series("own", [[{"amount": n, "name": f"of {user}"} for n in amounts]])]
    charges = [{"amount": n, "currency": "USD", "type": "net"} for n in amounts]
    resources = [{"id": user, "name": 'owner:\nbob@example.com "and" ada'}]
    row = one({"id": user}, tmp_path, own, charges=charges, resources=resources)
    assert [charge["amount"] for charge in row["charges"]] == amounts
    assert row["own"] == [{"amount": n, "name": f"of {of(user)}"} for n in amounts]
    (resource,) = row["resources"]
    assert resource["id"] == of(user)
    assert resource["name"] == f'owner:\n{of("bob@example.com")} "and" ada'


def test_what_is_typed_within_lists_comes_back(tmp_path):
    day = dt.date(2026, 1, 1)
    own = [pl.Series("own", [[{"day": day, "n": None, "who": "2026 ada@example.com"}]])]
    row = one({"id": "2026"}, tmp_path, own)
    assert row["own"] == [{"day": day, "n": None, "who": f"{of('2026')} {of('ada@example.com')}"}]


def test_strings_of_json_are_masked_and_numbers_are_not(tmp_path):
    text = r'{"1500": 1500.0, "a@b.example": ["Ada \"C\" L", "at 1500", "by:\nada@example.com"]}'
    user = {"id": "1500", "name": 'Ada "C" L'}
    row = one(user, tmp_path, [pl.lit(text).alias("own")])
    key, name, number, mail = map(of, ("a@b.example", 'Ada "C" L', "1500", "ada@example.com"))
    told = rf'{{"1500": 1500.0, "{key}": ["{name}", "at {number}", "by:\n{mail}"]}}'
    assert row["own"] == told


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("o'brien@example.com", "o'brien@example.com"),
        ("ada%2Blove@example.com", "ada+love@example.com"),
        ("ada\uff20example.com", "ada@example.com"),
        ("ada%2540example.com", "ada@example.com"),
        ("ada\\u0040example.com", "ada@example.com"),
        ('"ada lovelace"@example.com', '"ada lovelace"@example.com'),
        ("ada@[10.0.0.1]", "ada@[10.0.0.1]"),
        ("ada@xn--bcher-kva.xn--p1ai", "ada@xn--bcher-kva.xn--p1ai"),
        ("ashlee@example.com", "ashlee@example.com"),
        ("ash.lee@example.com", "ash.lee@example.com"),
        ("lee@example.com.au", "lee@example.com.au"),
        ("LEE%40EXAMPLE%2ECOM", "lee@example.com"),
        ("l%65e@example.com", "lee@example.com"),
    ],
)
def test_e_mails_are_found_however_they_are_written(tmp_path, text, email):
    user = {"id": "u-4711", "email": "lee@example.com"}
    row = one(user, tmp_path, metric_name=f"by '{text}', {text}: lee@example.com/{text}")
    mail, lee = of(email), of("lee@example.com")
    assert row["metric_name"] == f"by '{mail}', {mail}: {lee}/{mail}"


@pytest.mark.parametrize("text", ["ada@localhost", "ADA%40localhost", "x-ada@localhost-1"])
def test_the_own_e_mail_is_known_whatever_it_is(tmp_path, text):
    row = one({"email": "Ada@localhost"}, tmp_path, metric_name=text)
    begin, end = ("x-", "-1") if text.startswith("x") else ("", "")
    assert row["metric_name"] == f"{begin}{of('ada@localhost')}{end}"


def test_a_name_is_found_in_any_case_and_with_quotes(tmp_path):
    resources = [{"id": "r", "name": 'ADA "C" L'}]
    row = one({"name": 'Ada "C" L'}, tmp_path, resources=resources, metric_name='of ada "c" l')
    assert row["resources"][0]["name"] == of('Ada "C" L')
    assert row["metric_name"] == "of " + of('Ada "C" L')


def test_columns_that_nobody_can_look_into_are_left_out(tmp_path):
    own = [pl.lit(b"ada@example.com").alias("own"), pl.lit(1).alias("kept")]
    row = one({"id": "u-4711"}, tmp_path, own)
    assert "own" not in row
    assert row["kept"] == 1


@pytest.mark.parametrize(
    "own",
    [pl.lit(1).alias("ada@example.com"), pl.struct(pl.lit(1).alias("ada@example.com")).alias("x")],
)
def test_a_column_that_is_named_like_a_user_is_refused(tmp_path, own):
    with pytest.raises(FrameError, match=r"has an e-mail in its name.*\n\nRename it"):
        one({"id": "u-4711"}, tmp_path, [own])
    assert os.listdir(tmp_path) == []


def test_an_id_that_is_an_e_mail_has_the_pseudonym_of_the_e_mail(tmp_path):
    row = one(
        {"id": "Ada@Example.com", "name": "ADA@example.com"}, tmp_path, id="7-ada@example.com"
    )
    ada = of("ada@example.com")
    assert (row["user_id"], row["user_name"], row["id"]) == (ada, ada, f"7-{ada}")


def test_text_is_looked_through_for_what_is_hidden(tmp_path):
    text = "u-4711 Ada Byron ada@example.com"
    row = one(ADA, tmp_path, anonymise=["user.email"], metric_name=text)
    assert row["metric_name"] == f"u-4711 Ada Byron {of('ada@example.com')}"
    assert (row["user_id"], row["user_name"]) == ("u-4711", "Ada Byron")
    (tmp_path / "a.parquet").unlink()
    row = one(ADA, tmp_path, anonymise=["user.name"], metric_name=text)
    assert row["metric_name"] == f"u-4711 {of('Ada Byron')} {of('ada@example.com')}"
    assert (row["user_id"], row["user_email"]) == ("u-4711", "ada@example.com")


HIDES = {"anonymise": "user", "anonymise_key": KEY}


@pytest.mark.parametrize("kind", ADDING)
def test_rows_are_not_added_to_those_that_hide_something_else(at, kind):
    target, reader = at(kind)
    old, new = frame().head(1), frame().tail(1)
    tu.export_usage(old, target)
    modes = ["append", "upsert"] if kind in REPLACING else ["append"]
    for mode in modes:
        with pytest.raises(ExportError, match="have nothing hidden, and these have user anonym"):
            tu.export_usage(new, target, mode=mode, **HIDES)
    assert len(reader(target, "usage_wide")) == 1
    tu.export_usage(old, target, mode="overwrite", **HIDES)
    told = "have user anonymised, and these have user dropped"
    with pytest.raises(ExportError, match=told):
        tu.export_usage(new, target, mode="append", drop="user", anonymise_key=KEY)
    tu.export_usage(new, target, mode="append", **HIDES)
    assert len(reader(target, "usage_wide")) == 2


@pytest.mark.parametrize("kind", SEVERAL)
def test_what_is_hidden_is_held_against_each_table_for_itself(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(), target, **HIDES)
    tu.export_usage(frame(), target, tables="long", mode="append")
    tu.export_usage(frame(), target, mode="upsert", **HIDES)
    with pytest.raises(ExportError, match=r"The rows of usage_wide in .* have user anonymised"):
        tu.export_usage(frame(), target, mode="upsert")
    tu.export_usage(frame(), target, tables="long", mode="upsert")
    assert {row["user_id"] for row in reader(target, "usage_wide")} == {of("u-4711"), None}
    assert {row["user_id"] for row in reader(target, "usage_long")} == {"u-4711", None}
