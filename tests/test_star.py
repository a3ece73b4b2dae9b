"""The star schema: keys that hold and stay, sums that agree, members that nobody loses."""

import datetime as dt
import hashlib
import math
import pathlib
import re
import warnings
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
import tidyusage as tu
from flavours import flattened
from strategies import draws
from tidyusage import schema
from tidyusage._utils import connections
from tidyusage._utils.sql import quote
from tidyusage.engines.columns import columns
from tidyusage.errors import ChargeTypeWarning, FrameError
from tidyusage.export import star, table
from tidyusage.testing import sample_records

UNKNOWN = "0" * 32
DIMENSIONS = ("user", "model", "product", "organization")
NAMES = [
    "dim_user",
    "dim_model",
    "dim_product",
    "dim_organization",
    "dim_date",
    "fact_usage",
    "fact_charges",
    "fact_measures",
    "bridge_resources",
]
LAW = settings(max_examples=draws(15), deadline=None, suppress_health_check=list(HealthCheck))


def flat(records, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChargeTypeWarning)
        return flattened(records, "pyarrow", **options)


def frame_of(given_):
    return given_ if isinstance(given_, pa.Table) else flat(given_)


def exported(given_, *names):
    """Return the tables of a frame's star, all or those named, each with its rows."""
    frame = frame_of(given_)
    found = columns(frame)
    types = schema.layout_types("wide", source=bool(found.marks))
    types |= {name: frame.schema.field(name).type for name in found.own}
    usage = table.Usage(types, found.own, found.marks)
    with connections.connect() as connection:
        connection.register("given", frame)
        chosen = ", ".join(quote(name) for name in types)
        connection.execute(f"create view {table.USAGE} as select {chosen} from given")
        return [
            (one, connection.sql(one.ordered).to_arrow_table())
            for one in star.tables(usage)
            if one.name in (names or NAMES)
        ]


def starred(given_, *names):
    """Return the rows of each table, as Arrow tables."""
    return {one.name: rows for one, rows in exported(given_, *names)}


def facts(given_, name="fact_usage"):
    return starred(given_, name)[name].to_pylist()


def members(given_, name):
    """Return the rows of a dimension, without the unknown one."""
    rows = facts(given_, f"dim_{name}")
    return [row for row in rows if row[f"{name}_key"] != UNKNOWN]


def user(id_="u", start="2026-01-01", **of):
    return {"id": id_, "user": of, "start_date": start}


def digest(*parts):
    written = (f"{len(p.encode())}:{p}" if p is not None else "-" for p in parts)
    return hashlib.md5("".join(written).encode(), usedforsecurity=False).hexdigest()


def hold(tables):
    """Hold each table to what it says of itself: names, types, keys and references."""
    by_name = {one.name: rows for one, rows in tables}
    for one, rows in tables:
        assert rows.schema.names == [column.name for column in one.columns]
        assert rows.schema.types == [column.type for column in one.columns], one.name
        for column in one.columns:
            assert not (column.required and rows[column.name].null_count), column.name
        keys = list(zip(*(rows[name].to_pylist() for name in one.key), strict=True))
        assert len(set(keys)) == len(keys), one.name
        for name, (target, key) in (one.references or {}).items():
            assert next(c for c in one.columns if c.name == name).required
            found = set(rows[name].to_pylist()) - set(by_name[target][key].to_pylist())
            assert not found, (one.name, name, found)


def test_the_tables_are_named_and_what_is_pointed_to_comes_first():
    tables = [one for one, _ in exported([])]
    assert [one.name for one in tables] == NAMES
    for place, one in enumerate(tables):
        assert {to for to, _ in (one.references or {}).values()} <= set(NAMES[:place])
        assert one.key
        assert all(column.description for column in one.columns), one.name


def keys_are_those_of_the_records(frame, rows):
    """What each record's keys are, worked out from its texts alone."""
    for row, fact in zip(by_key(frame.to_pylist()), by_key(rows["fact_usage"]), strict=True):
        who = said(row["user.id"]) or said(row["user.email"]).lower()
        assert fact["user_key"] == key_of(who, "" if who else said(row["user.name"]))
        model = [row[name] if said(row[name]) else "" for name in ("model.id", "model.provider")]
        assert fact["model_key"] == key_of(*model)
        for subject in ("product", "organization"):
            id_, name = (row[f"{subject}.{of}"] for of in ("id", "name"))
            id_, name = id_ if said(id_) else "", name if said(name) else ""
            assert fact[f"{subject}_key"] == key_of(id_, "" if id_ else name)
        start = row["start_date"]
        day = start and start.year * 10_000 + start.month * 100 + start.day
        assert fact["date_key"] == (day or 0)


def said(text):
    return (text or "").strip(" ")


def key_of(*parts):
    return digest(*(part or None for part in parts)) if any(parts) else UNKNOWN


def by_key(rows):
    return sorted(rows, key=lambda row: row.get("usage_key") or digest(None, None, row["id"]))


def cost_adds_up_to_cost_by(frame, rows):
    answer = tu.cost_by(frame, overlap="ignore").to_pylist()
    expected = {row["currency"]: row["cost"] for row in answer if row["cost"] is not None}
    found = defaultdict(list)
    for row in rows["fact_usage"]:
        if row["cost"] is not None:
            found[row["currency"]].append(row["cost"])
        else:
            assert row["currency"] is None
    assert found.keys() == expected.keys()
    for currency, costs in found.items():
        scale = sum(map(abs, costs)) or 1
        assert abs(math.fsum(costs) - expected[currency]) <= 1e-9 * scale


def charges_are_those_of_the_records(frame, rows):
    expected = Counter()
    for row in frame.to_pylist():
        for position, charge in enumerate(row["charges"] or []):
            own = said(charge["currency"]).upper() or row["charges.currency"]
            entry = (position, charge["type"], charge["amount"], own)
            expected[digest(None, None, row["id"]), *entry] += 1
    names = ("usage_key", "position", "charge_type", "amount", "currency")
    assert Counter(tuple(row[n] for n in names) for row in rows["fact_charges"]) == expected


def measures_are_those_of_to_long(frame, rows):
    names = ("metric", "value", "unit")
    expected = Counter(
        (digest(None, None, row["id"]), *(row[name] for name in names))
        for row in tu.to_long(frame).to_pylist()
    )
    names = ("usage_key", *names)
    assert Counter(tuple(row[n] for n in names) for row in rows["fact_measures"]) == expected


def every_fact_repeats_the_keys_of_its_record(frame, rows):
    names = [*(f"{subject}_key" for subject in DIMENSIONS), "date_key"]
    of = {row["usage_key"]: [row[n] for n in names] for row in rows["fact_usage"]}
    for row in (*rows["fact_charges"], *rows["fact_measures"]):
        assert [row[name] for name in names] == of[row["usage_key"]]


def shares_of_a_record_add_up_to_one(frame, rows):
    shares = defaultdict(list)
    for row in rows["bridge_resources"]:
        shares[row["usage_key"]].append(row["share"])
    having = {
        digest(None, None, row["id"]): len(row["resources"])
        for row in frame.to_pylist()
        if row["resources"]
    }
    assert having == {key: len(parts) for key, parts in shares.items()}
    assert all(math.isclose(math.fsum(parts), 1, rel_tol=1e-12) for parts in shares.values())


LAWS = (
    keys_are_those_of_the_records,
    cost_adds_up_to_cost_by,
    charges_are_those_of_the_records,
    measures_are_those_of_to_long,
    every_fact_repeats_the_keys_of_its_record,
    shares_of_a_record_add_up_to_one,
)


@LAW
@given(records=strategies.batches())
def test_laws_hold_on_any_records(records):
    obeys(flat(records))


def test_laws_hold_on_the_sample():
    obeys(flat(list(sample_records(400))))


def obeys(frame):
    tables = exported(frame)
    hold(tables)
    found = {one.name: rows.to_pylist() for one, rows in tables if one.name != "dim_date"}
    assert len(found["fact_usage"]) == frame.num_rows
    for law in LAWS:
        law(frame, found)


def test_no_column_is_nested():
    for one, _ in exported(list(sample_records(5))):
        assert not any(pa.types.is_nested(column.type) for column in one.columns), one.name


def test_an_empty_frame_gives_typed_tables_and_the_unknown_members():
    tables = exported([])
    hold(tables)
    for one, rows in tables:
        subject = one.name.removeprefix("dim_")
        assert rows.num_rows == (subject in DIMENSIONS), one.name
        if subject in DIMENSIONS:
            (row,) = rows.to_pylist()
            assert row.pop(f"{subject}_key") == UNKNOWN
            assert row.pop(f"{subject}_label") == "Unknown"
            derived = {"identified_by": "unknown"} if subject == "user" else {}
            assert {name: value for name, value in row.items() if value is not None} == derived


def test_a_record_that_says_nothing_is_of_the_unknown_members():
    blank = {"id": " ", "name": ""}
    nothing = {"id": "a", "user": {**blank, "email": " "}, "model": {"id": " "}, "product": blank}
    tables = starred([nothing, {"id": "b"}])
    for row in tables["fact_usage"].to_pylist():
        assert {row[f"{subject}_key"] for subject in DIMENSIONS} == {UNKNOWN}
        assert row["date_key"] == 0
    assert all(tables[f"dim_{subject}"].num_rows == 1 for subject in DIMENSIONS)
    (day,) = tables["dim_date"].to_pylist()
    told = {name: value for name, value in day.items() if value is not None}
    assert told == {"date_key": 0, "month_name": "Unknown", "weekday_name": "Unknown"}


def test_keys_are_what_anybody_can_work_out():
    record = {
        "id": "r1",
        "user": {"id": " u1 ", "email": "a@b"},
        "model": {"id": "gpt-5", "provider": "openai"},
        "product": {"name": "Codex"},
        "organization": {"id": "orgé"},
        "start_date": "2024-02-29T23:59:59Z",
    }
    (row,) = facts([record])
    assert row["usage_key"] == digest(None, None, "r1")
    assert row["user_key"] == digest("u1", None)
    assert row["model_key"] == digest("gpt-5", "openai")
    assert row["product_key"] == digest(None, "Codex")  # it has no id: known by its name
    assert row["organization_key"] == digest("orgé", None)
    # as a shell gives it: printf '2:u1-' | md5sum
    assert row["user_key"] == "c745fe9afc823e7438afac26726a3a15"
    assert row["date_key"] == 20240229


def test_parts_of_a_key_do_not_flow_into_each_other():
    pairs = [("a", "bc"), ("ab", "c"), ("abc", None), (None, "abc"), ("1:a", "-"), ("1:a-", None)]
    records = [
        {"id": str(n), "model": {"id": id_, "provider": of}} for n, (id_, of) in enumerate(pairs)
    ]
    rows = members(records, "model")
    assert len({row["model_key"] for row in rows}) == 6
    assert {(row["model_id"], row["model_provider"]) for row in rows} == set(pairs)


def test_the_same_entity_has_the_same_key_in_the_next_export():
    records = list(sample_records(60))
    first = starred(records)
    later = list(sample_records(40, seed=5)) + records[::-1]
    for number, record in enumerate(later):
        record["product"] = {**record["product"], "name": f"renamed {number}"}
        record["organization"] = {"id": "org_1", "name": "Renamed Ltd"}
        if "user" in record:
            record["user"] = {**record["user"], "name": "X", "email": f"{number}@new.example"}
        if number < 40:
            record["id"] = f"new-{number}"
    second = starred(later)
    for subject, natural in (
        ("user", ("user_id",)),
        ("model", ("model_id", "model_provider")),
        ("product", ("product_id",)),
        ("organization", ("organization_id",)),
    ):
        before, after = (
            {
                tuple(r[n] for n in natural): r[f"{subject}_key"]
                for r in t[f"dim_{subject}"].to_pylist()
            }
            for t in (first, second)
        )
        assert len(before) > 1
        assert before.items() <= after.items()
    before, after = (
        {row["usage_id"]: row["usage_key"] for row in t["fact_usage"].to_pylist()}
        for t in (first, second)
    )
    assert before.items() <= after.items()


def test_a_database_that_enforces_keys_takes_the_tables_in_their_order():
    with connections.connect() as connection:
        for one, rows in exported([*sample_records(50), {"id": "bare"}]):
            parts = [
                f"{quote(column.name)} {schema.duckdb_type(column.type)}"
                f"{' not null' if column.required else ''}"
                for column in one.columns
            ]
            parts.append(f"primary key ({', '.join(one.key)})")
            parts += [
                f"foreign key ({name}) references {to} ({key})"
                for name, (to, key) in (one.references or {}).items()
            ]
            connection.register("rows", rows)
            connection.execute(f"create table {one.name} ({', '.join(parts)})")
            connection.execute(f"insert into {one.name} from rows")
        assert connection.execute("select count(*) from fact_usage").fetchone() == (51,)


def test_the_rows_of_every_table_are_in_an_order_of_their_own():
    records = list(sample_records(90, days=3))
    ours, theirs = starred(records), starred(records[::-1])
    assert all(ours[name].equals(theirs[name]) for name in NAMES)


@pytest.mark.slow
@settings(LAW, max_examples=draws(10))
@given(records=strategies.batches(), seed=st.randoms())
def test_the_order_of_records_does_not_matter(records, seed):
    shuffled = records.copy()
    seed.shuffle(shuffled)
    ours, theirs = starred(records), starred(shuffled)
    assert all(ours[name].to_pandas().equals(theirs[name].to_pandas()) for name in NAMES)


def test_a_user_is_the_id_else_the_email_however_it_is_spelled():
    records = [
        user("1", email=" Ada@Example.com "),
        user("2", email="ada@example.COM"),
        user("3", id="u7", email="alan@example.com"),
        user("4", id=" u7", name="Alan"),
        user("5", email="alan@example.com"),  # no id: another user than u7, as the metrics count
        user("6", name="CI key"),
    ]
    rows = members(records, "user")
    assert [
        (r["identified_by"], r["user_id"], r["user_email"], r["user_name"], r["user_label"])
        for r in sorted(rows, key=lambda r: (r["identified_by"], r["user_label"]))
    ] == [
        ("email", None, "ada@example.com", None, "ada@example.com"),
        ("email", None, "alan@example.com", None, "alan@example.com"),
        ("id", "u7", "alan@example.com", "Alan", "Alan"),
        ("name", None, None, "CI key", "CI key"),
    ]
    keys = {r["usage_id"]: r["user_key"] for r in facts(records)}
    assert keys["1"] == keys["2"] != keys["5"]
    assert keys["3"] == keys["4"] not in {keys["5"], keys["6"], UNKNOWN}


def test_a_name_makes_no_key_where_an_id_is():
    with_name, without = user("1", id="u", name="Ada"), user("2", id="u")
    assert len(members([with_name, without], "user")) == 1
    # who is called u is not who has the id u, nor has the e-mail u
    assert len(members([user("1", id="u"), user("2", name="u")], "user")) == 2
    assert len(members([user("1", id="u"), user("2", email="U ")], "user")) == 1


def test_users_are_those_that_the_metrics_count():
    records = [
        {**record, "usage": {"requests": {"total": 1}}} for record in sample_records(200)
    ] + [user("n", name="only a name"), user("e", email="Only@Mail.example")]
    records[-2]["usage"] = records[-1]["usage"] = {"requests": {"total": 1}}
    counted = tu.active_users(flat(records), overlap="ignore").to_pylist()[0]["active_users"]
    rows = members(records, "user")
    assert counted == sum(row["identified_by"] != "name" for row in rows) == len(rows) - 1


def test_the_latest_name_is_shown_that_is_there():
    records = [
        user("1", "2026-01-02", id="u", name="Ada B.", email="old@x"),
        user("2", "2026-03-01", id="u", email="new@x"),
        user("3", "2026-02-01", id="u", name="Ada L."),
        user("4", None, id="u", name="Zoe"),  # without a date it is never the latest
    ]
    (row,) = members(records, "user")
    assert (row["user_name"], row["user_email"]) == ("Ada L.", "new@x")
    (row,) = members([records[3]], "user")
    assert row["user_name"] == "Zoe"
    tied = [user("1", id="u", name="B"), user("2", id="u", name="C"), user("3", id="u", name="A")]
    assert members(tied, "user")[0]["user_name"] == "C"


def test_products_and_organizations_without_an_id_are_known_by_their_name():
    for subject in ("product", "organization"):
        said = [{"id": "x"}, {"id": "x", "name": "X"}, {"name": "x"}, {"name": "X"}, {"name": "x"}]
        rows = members([{"id": str(n), subject: of} for n, of in enumerate(said)], subject)
        found = {(r[f"{subject}_id"], r[f"{subject}_name"], r[f"{subject}_label"]) for r in rows}
        assert found == {("x", "X", "X"), (None, "x", "x"), (None, "X", "X")}
        assert len(rows) == 3


def test_a_model_of_two_providers_is_two_rows():
    said = [
        {"id": "gpt-5", "provider": "openai"},
        {"id": "gpt-5", "provider": "azure"},
        {"id": "gpt-5"},
        {"provider": "openai"},
    ]
    rows = members([{"id": str(n), "model": of} for n, of in enumerate(said)], "model")
    assert [r["model_label"] for r in rows] == ["gpt-5", "gpt-5", "gpt-5", "openai"]


def test_cost_is_what_was_billed_and_its_currency_is_in_capitals():
    charges = [
        {"type": "total", "amount": 10, "currency": "usd"},
        {"type": "discount", "amount": 3, "currency": "usd"},
        {"type": "net", "amount": 7, "currency": "usd"},
    ]
    taxed = [{"type": "tax", "amount": 2, "currency": "EUR"}]
    rows = starred([{"id": "a", "charges": charges}, {"id": "b", "charges": taxed}])
    found = {r["usage_id"]: (r["cost"], r["currency"]) for r in rows["fact_usage"].to_pylist()}
    assert found == {"a": (7.0, "USD"), "b": (None, None)}  # net; a tax is no cost of usage


def test_every_type_of_charge_is_kept_and_has_the_record_s_currency():
    charges = [
        {"type": "bonus", "amount": 1, "currency": " eur"},
        {"amount": 2},
        {"type": "net", "amount": 3},
        {"type": "net", "amount": 4},
        {"type": "tax", "currency": "GBP"},  # without an amount it says nothing of the record's
    ]
    rows = facts([{"id": "a", "charges": charges}], "fact_charges")
    names = ("position", "charge_type", "amount", "currency")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, "bonus", 1.0, "EUR"),
        (1, None, 2.0, "EUR"),
        (2, "net", 3.0, "EUR"),
        (3, "net", 4.0, "EUR"),
        (4, "tax", None, "GBP"),
    ]


def test_cost_by_resource_can_be_had_from_the_bridge():
    frame = flat(list(sample_records(120)))
    tables = starred(frame)
    cost = {r["usage_key"]: r["cost"] for r in tables["fact_usage"].to_pylist()}
    found = defaultdict(float)
    for row in tables["bridge_resources"].to_pylist():
        found[row["resource_id"]] += row["share"] * cost[row["usage_key"]]
    answer = tu.cost_by(frame, "resources.id", overlap="ignore").to_pylist()
    expected = {r["resources.id"]: r["cost"] for r in answer if r["resources.id"]}
    assert found == {id_: pytest.approx(amount) for id_, amount in expected.items()}


def test_the_bridge_holds_what_a_resource_is():
    resources = [
        {"id": "r1", "name": "R", "workspace": {"id": "w", "name": "W"}},
        {"id": "r2"},
        {"name": "no id"},
        {"id": "r1"},
    ]
    rows = facts([{"id": "a", "resources": resources}], "bridge_resources")
    key = digest(None, None, "a")
    assert [tuple(row.values()) for row in rows] == [
        (key, 0, "r1", "R", "w", "W", 0.25),
        (key, 1, "r2", None, None, None, 0.25),
        (key, 2, None, "no id", None, None, 0.25),
        (key, 3, "r1", None, None, None, 0.25),
    ]


def marked(ids, accounts, reports):
    frame = flat(
        [{"id": f"{n}", "charges": [{"type": "net", "amount": 1}]} for n in range(len(ids))]
    )
    frame = frame.set_column(0, "id", pa.array(ids))
    frame = frame.append_column("source.account", pa.array(accounts, pa.string()))
    return frame.append_column("source.report_type", pa.array(reports, pa.string()))


def test_one_id_in_two_accounts_is_two_records():
    frame = marked(["a", "a", "a"], ["x", "y", None], ["r", "r", None])
    tables = exported(frame)
    hold(tables)
    rows = {one.name: found for one, found in tables}
    by_account = {r["source_account"]: r["usage_key"] for r in rows["fact_usage"].to_pylist()}
    assert by_account["x"] == digest("x", "r", "a")
    # where nothing is marked, it is the key of a frame without marks
    assert by_account[None] == digest(None, None, "a")
    assert len(set(by_account.values())) == 3
    assert rows["fact_charges"].num_rows == 3
    assert "source_account" not in facts([{"id": "a"}])[0]


def test_columns_of_the_caller_s_own_are_kept():
    frame = flat([{"id": "a"}, {"id": "b"}])
    frame = frame.append_column("cost centre", pa.array([7, None]))
    frame = frame.append_column("share", pa.array(["s", "t"]))  # like one of the bridge's
    frame = frame.append_column("position", pa.array([True, False]))
    frame = frame.append_column("tags", pa.array([["x", "y"], None]))
    tables = exported(frame)
    hold(tables)
    rows = {one.name: found for one, found in tables}["fact_usage"]
    own = {
        r["usage_id"]: (r["cost centre"], r["share"], r["position"], r["tags"])
        for r in rows.to_pylist()
    }
    assert own == {"a": (7, "s", True, '["x","y"]'), "b": (None, "t", False, None)}


@pytest.mark.parametrize("name", ["cost", "Currency", "user_key", "usage_id", "DATE_KEY"])
def test_an_own_column_called_like_one_of_the_table_is_refused(name):
    frame = flat([{"id": "a"}]).append_column(name, pa.array(["x"]))
    with pytest.raises(
        FrameError, match=f"own column '{name}' is called like a column of fact_usage"
    ):
        exported(frame)


def test_anonymised_users_are_told_apart_by_what_stands_for_them():
    frame = flat(
        [user("1", id="u1", email="a@x"), user("2", id="u2", email="b@x"), user("3", id="u1")]
    )
    for name in ("user.id", "user.email", "user.name"):
        hidden = [text and f"h{ord(text[1]):04d}" for text in frame[name].to_pylist()]
        frame = frame.set_column(
            frame.column_names.index(name), name, pa.array(hidden, pa.string())
        )
    hold(exported(frame))
    assert sorted(row["user_id"] for row in members(frame, "user")) == ["h0049", "h0050"]


def test_dropped_users_are_the_unknown_one():
    frame = flat([user("1", id="u1", email="a@x"), user("2", name="n")])
    for name in ("user.id", "user.email", "user.name"):
        none = pa.nulls(frame.num_rows, pa.string())
        frame = frame.set_column(frame.column_names.index(name), name, none)
    hold(exported(frame))
    assert not members(frame, "user")
    assert set(starred(frame)["fact_usage"]["user_key"].to_pylist()) == {UNKNOWN}


def days(*starts):
    records = [{"id": str(n), "start_date": start} for n, start in enumerate(starts)]
    return facts(records, "dim_date")


def test_dates_are_whole_years_without_a_gap():
    rows = days("2023-12-31T23:59:59.999999Z", "2025-07-04")
    assert len(rows) == 365 + 366 + 365
    first = dt.date(2023, 1, 1)
    assert [row["date"] for row in rows] == [first + dt.timedelta(n) for n in range(len(rows))]
    assert all(row["date_key"] == int(f"{row['date']:%Y%m%d}") for row in rows)


def test_a_date_of_a_far_year_does_not_fill_the_years_between():
    rows = days("0001-05-05", "2024-01-01", "2026-01-01")
    assert Counter(row["year"] for row in rows) == {1: 365, 2024: 366, 2026: 365}
    # 199 years apart are filled: 1827 to 2026, of which 1828, 1832, …, 2024 but 1900 are leap
    assert len(days("1827-05-05", "2026-01-01")) == 200 * 365 + 50 - 1
    assert len(days("1826-05-05", "2026-01-01")) == 2 * 365


def test_a_record_without_a_date_has_a_row_of_its_own():
    rows = days("2026-01-01", None)
    assert len(rows) == 366
    assert rows[0]["date_key"] == 0
    assert rows[0]["date"] is None
    assert rows[0]["month_name"] == "Unknown"


def test_what_is_said_of_a_day():
    rows = {row["date_key"]: row for row in days("2020-06-01", "2024-06-01", "2027-01-01")}
    # 29 February 2024 was a Thursday; 1 January 2024 a Monday, so that its Monday, the 26th, is
    # 31 + 25 = 56 days = 8 weeks later: week 9
    assert rows[20240229] == {
        "date_key": 20240229,
        "date": dt.date(2024, 2, 29),
        "year": 2024,
        "quarter": 1,
        "month": dt.date(2024, 2, 1),
        "month_number": 2,
        "month_name": "February",
        "week": dt.date(2024, 2, 26),
        "iso_year": 2024,
        "iso_week": 9,
        "day": 29,
        "weekday_number": 4,
        "weekday_name": "Thursday",
        "is_weekend": False,
    }
    # 2020 began on a Wednesday and was a leap year, so that it had 53 weeks; the last one ended on
    # Sunday, 3 January 2021
    sunday = rows[20210103]
    assert (sunday["iso_year"], sunday["iso_week"], sunday["week"]) == (
        2020,
        53,
        dt.date(2020, 12, 28),
    )
    assert (sunday["weekday_number"], sunday["weekday_name"], sunday["is_weekend"]) == (
        7,
        "Sunday",
        True,
    )
    assert rows[20210104]["iso_week"] == 1
    assert rows[20240601]["is_weekend"]  # a Saturday
    quarters = {row["month_number"]: row["quarter"] for row in rows.values()}
    assert quarters == {
        m: q for q, of in enumerate(["123", "456", "789"], 1) for m in map(int, of)
    } | {
        10: 4,
        11: 4,
        12: 4,
    }
    assert rows[20241231]["month"] == dt.date(2024, 12, 1)


def test_a_day_is_that_of_utc():
    records = [{"id": "a", "start_date": "2026-01-01T00:30:00+02:00"}]
    tables = starred(records)
    assert tables["fact_usage"]["date_key"].to_pylist() == [20251231]
    assert set(tables["dim_date"]["year"].to_pylist()) == {2025}


def test_sums_of_a_load_can_be_worked_out_from_each_table():
    frame = flat(list(sample_records(50)))
    tokens = pc.sum(frame["usage.tokens.total"]).as_py()
    net = math.fsum(value for value in frame["charges.net"].to_pylist() if value is not None)
    for one, rows in exported(frame):
        found = summed(rows, one.sums)
        if one.name in {"fact_usage", "fact_measures"}:
            assert found["usage_tokens_total"] == {None: tokens}
        if one.name in {"fact_charges", "fact_measures"}:
            assert found["charges_net"] == {"USD": pytest.approx(net)}
        if one.name == "fact_usage":
            assert found["cost"]["USD"] == pytest.approx(tu.cost_by(frame)["cost"][0].as_py())


def summed(rows, sums):
    with connections.connect() as connection:
        connection.register("loaded", rows)
        return {
            name: dict(
                connection.execute(
                    f"select {currency or 'null'}, sum({amount}) from loaded "
                    f"where ({amount}) is not null group by all"
                ).fetchall()
            )
            for name, amount, currency in sums
        }


def examples():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "star.md").read_text()
    return re.findall(r"```sql\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize(("query", "answer"), examples())
def test_the_page_shows_what_its_queries_give(query, answer):
    tables = starred(pa.Table.from_pandas(tu.load_example(), preserve_index=False))
    with connections.connect() as connection:
        for name, rows in tables.items():
            connection.register(name, rows)
        found = connection.sql(query).to_df().to_string(index=False)
    assert found.split() == answer.split()


def test_the_page_names_every_table_and_its_key():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "star.md").read_text()
    said = re.findall(r"^\| `(\w+)` \| .* \| (`[^|]*`) \|$", page, re.MULTILINE)
    keys = {one.name: ", ".join(f"`{name}`" for name in one.key) for one, _ in exported([])}
    assert {name: key for name, key in said if name in NAMES} | keys == keys
    assert keys.keys() <= {name for name, _ in said}
