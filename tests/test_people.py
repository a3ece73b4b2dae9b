"""Who a record's person is: the rule, worked out by hand, on every kind of frame."""

import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS
from tidyusage.errors import CrossingWarning, FrameError, OptionError, UnknownFieldError


def record(id_, product="claude", amount=10, **user):
    return {
        "id": id_,
        "product": {"id": product},
        "user": user,
        "usage": {"activity": {"is_active": True}, "tokens": {"total": amount}},
        "charges": [{"type": "net", "amount": amount, "currency": "USD"}],
    }


def numbered(*users):
    return [record(str(n), **user) for n, user in enumerate(users)]


@pytest.fixture(params=FLAVOURS)
def of(request):
    """Records as a frame, for each flavour in turn."""
    return lambda records: FLAVOURS[request.param](tu.flatten_usage(records, backend="pyarrow"))


def counted(frame, **options):
    return rows(tu.active_users(frame, **options))[0]["active_users"]


def persons(frame, **options):
    return [row["person"] for row in rows(tu.with_person(frame, **options))]


# The rule


CASES = {
    "one address in two products, without an id in one": (
        [{"id": "ada", "email": "ada@x.io"}, {"product": "cursor", "email": "ada@x.io"}],
        ["ada@x.io", "ada@x.io"],
    ),
    "two ids with one address": (
        [{"id": "u1", "email": "ada@x.io"}, {"product": "cursor", "id": "u2", "email": "ada@x.io"}],
        ["ada@x.io", "ada@x.io"],
    ),
    "an id with two addresses joins nobody": (
        [
            {"id": "17", "email": "a@x.io"},
            {"product": "cursor", "id": "17", "email": "b@x.io"},
            {"id": "u1", "email": "a@x.io"},
            {"id": "u1", "email": "b@x.io"},
            {"id": "u1"},
        ],
        ["a@x.io", "b@x.io", "a@x.io", "b@x.io", "u1"],
    ),
    "an id that shows one address somewhere": (
        [{"id": "u1"}, {"product": "cursor", "id": " u1 ", "email": " ADA@x.io"}],
        ["ada@x.io", "ada@x.io"],
    ),
    "a plain number is an id of its product alone": (
        [
            {"id": "17", "email": "a@x.io"},
            {"id": "17"},
            {"product": "cursor", "id": "17"},
            {"product": None, "id": "17"},
        ],
        ["a@x.io", "a@x.io", "17", "17"],
    ),
    "an id that is an address counts as one": (
        [{"id": "Ada@X.io"}, {"email": "ada@x.io "}, {"id": "@ada"}, {"id": "ada@"}],
        ["ada@x.io", "ada@x.io", "@ada", "ada@"],
    ),
    "ids differ by case, addresses do not": (
        [{"id": "U1"}, {"id": "u1"}, {"email": "A@x.io"}, {"email": "a@X.IO"}],
        ["U1", "u1", "a@x.io", "a@x.io"],
    ),
    "a text without an at sign is not an address": (
        [{"id": "u1", "email": "unknown"}, {"id": "u2", "email": "unknown"}, {"email": "Unknown"}],
        ["u1", "u2", "unknown"],
    ),
    "keys and service accounts are not people": (
        [
            {"id": "sk-ant-api03-x1"},
            {"id": "sk-johnson"},
            {"id": "u7", "name": "Service Account 7"},
            {"email": "ci@proj.iam.gserviceaccount.com"},
            {"id": "u8", "name": "prod-key"},
            {"id": "u8", "name": "prod-key", "email": "ada@x.io"},
        ],
        [None, "sk-johnson", None, None, "ada@x.io", "ada@x.io"],
    ),
    "an id whose address is a machine's": (
        [{"id": "u9", "email": "svc-build@x.io"}, {"id": "u9"}],
        [None, None],
    ),
    "rows without a user, or with blanks": ([{}, {"id": " "}, {"email": ""}], [None, None, None]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_person_of_a_record(case, of):
    users, expected = CASES[case]
    frame = of(numbered(*users))
    assert persons(frame) == expected
    shown = {who for who in expected if who}
    assert counted(frame) == (len(shown) or None)
    # The dimension shows what the column has, and money goes by it.
    costs = {row["person"]: row["cost"] for row in rows(tu.cost_by(frame, "person"))}
    assert costs == {who: 10.0 * expected.count(who) for who in expected}


@pytest.mark.parametrize("case", CASES)
def test_long_frames_tell_the_same_people(case):
    users, expected = CASES[case]
    frame = tu.to_long(tu.flatten_usage(numbered(*users), backend="polars"))
    assert dict(zip(frame["id"], persons(frame), strict=True)) == {
        str(n): who for n, who in enumerate(expected)
    }
    assert counted(frame) == (len({who for who in expected if who}) or None)


def test_a_hidden_address_is_still_one():
    hidden = "0123456789abcdef" * 4  # what anonymise= makes of an address
    frame = tu.flatten_usage(numbered({"id": "a", "email": hidden}, {"email": hidden}))
    assert counted(frame) == 1


def test_the_whole_frame_shows_addresses_even_rows_without_dates(of):
    dated = {"start_date": "2026-01-05"}
    records = [record("a", id="u1") | dated, record("b", id="u1", email="ada@x.io")]
    records.append(record("c", email="ada@x.io") | dated)
    answer = rows(tu.active_users(of(records), freq="1d"))
    assert [row["active_users"] for row in answer] == [1]


# What counts people and groups by them


def test_unit_costs_and_the_summary_count_people(of):
    frame = of(numbered({"id": "ada", "email": "ada@x.io"}, {"email": "ADA@x.io"}, {"id": "sk-1"}))
    (row,) = rows(tu.cost_per(frame, "users"))
    assert (row["users"], row["cost"], row["cost_per"]) == (1, 20.0, 20.0)  # the key's 10 left out
    figures = {row["figure"]: row["value"] for row in rows(tu.summary(frame))}
    assert (figures["users"], figures["active_users"]) == (1, 1)
    assert rows(tu.top(frame, 1, "person"))[0]["cost"] == 20.0


def test_an_email_is_compared_trimmed_and_in_lower_case(of):
    frame = of(
        [
            record("a", email="A@X.com"),
            record("b", email="a@x.com "),
            record("c", amount=15, email="bob@x.com"),
        ]
    )
    first, second = rows(tu.top(frame, 1, "user.email"))
    assert (first["user.email"], first["cost"], second["cost"]) == ("a@x.com", 20.0, 15.0)
    assert len(rows(tu.cost_by(frame, "user.email"))) == 2
    assert len(rows(tu.tokens_by(frame, "user.email"))) == 2


def test_an_email_of_an_enum_is_compared_alike():
    frame = tu.flatten_usage(numbered({"email": "A@x.io"}, {"email": "a@x.io"}), backend="polars")
    frame = frame.with_columns(pl.col("user.email").cast(pl.Enum(["A@x.io", "a@x.io"])))
    assert rows(tu.cost_by(frame, "user.email"))[0]["cost"] == 20.0


def test_every_metric_knows_the_person():
    frame = tu.flatten_usage(
        numbered({"id": "u1", "email": "ada@x.io"}, {"id": "u1"}, {"id": "u2"})
    )
    prices = {"m": {"input": 1}}
    answers = [
        tu.cost_by(frame, "person"),
        tu.tokens_by(frame, "person"),
        tu.cost_per_token(frame, "person"),
        tu.cache_hit_rate(frame, "person"),
        tu.acceptance_rate(frame, "person"),
        tu.totals(frame, "person"),
        tu.summary(frame, "person"),
        tu.top(frame, 9, "person"),
        tu.trend(frame, "person"),
        tu.estimate_cost(frame, "person", prices=prices),
        tu.cache_savings(frame, "person", prices=prices),
        tu.active_users(frame, "person"),
        tu.cost_per(frame, "users", "person"),
    ]
    for answer in answers:
        assert {row["person"] for row in rows(answer)} == {"ada@x.io", "u2"}


def test_shared_cost_is_spread_over_people(of):
    fee = record("fee", amount=9)
    users = numbered({"id": "u1", "email": "ada@x.io"}, {"id": "u1"}, {"id": "bob"})
    spread = rows(tu.allocate_shared(of([*users, fee]), {"person": None}, "person"))
    shares = {row["person"]: row["charges.net"] for row in spread if row["id"] == "fee"}
    assert shares == {"ada@x.io": 6.0, "bob": 3.0}  # by tokens, 20 and 10


def test_rows_are_chosen_by_an_email_in_any_case():
    frame = tu.flatten_usage(numbered({"email": "Shared@x.io "}, {"email": "ada@x.io"}))
    spread = tu.allocate_shared(frame, {"user.email": "shared@x.io"}, "user.email")
    assert spread["user.email"].tolist() == ["ada@x.io", "ada@x.io"]


# people=


def test_people_join_what_the_data_does_not_show(of):
    frame = of(
        numbered(
            {"id": "u1", "email": "ada@x.io"},
            {"email": "ada@x.io"},
            {"id": "ada.l"},
            {"id": "bob"},
            {"id": "sk-1"},
        )
    )
    people = {"ADA.L": "Ada", " u1": "Ada", "sk-1": "Bob", "bob": "Bob"}
    # The second row is the first one's person, so it has that name too.
    expected = ["Ada", "Ada", "Ada", "Bob", "Bob"]
    assert persons(frame, people=people) == expected
    assert counted(frame, people=people) == 2
    costs = rows(tu.cost_by(frame, "person", people=people))
    assert [(row["person"], row["cost"]) for row in costs] == [("Ada", 30.0), ("Bob", 20.0)]


def test_people_tell_apart_who_share_an_address():
    users = [{"id": "u1", "email": "team@x.io"}, {"id": "u2", "email": "team@x.io"}]
    frame = tu.flatten_usage(numbered(*users, {"email": "team@x.io"}))
    found = persons(frame, people={"u1": "Ada", "u2": "Bob"})
    assert found == ["Ada", "Bob", "team@x.io"]


# The column


def test_a_column_of_persons_survives_filtering(of):
    records = [*numbered({"id": "u1", "email": "ada@x.io"}, {"id": "u1"}), record("9", id="bob")]
    kept = tu.with_person(of(records))
    assert counted(kept) == 2
    again = tu.with_person(kept, people={"ada@x.io": "Ada"})
    assert [row["person"] for row in rows(again)] == ["Ada", "Ada", "bob"]


def test_what_is_filtered_later_counts_by_the_column():
    frame = tu.flatten_usage(numbered({"id": "u1", "email": "ada@x.io"}, {"id": "u1"}))
    later = tu.with_person(frame).iloc[1:]
    assert tu.cost_by(later, "person")["person"].tolist() == ["ada@x.io"]
    assert tu.cost_by(frame.iloc[1:], "person")["person"].tolist() == ["u1"]
    # The index and the caller's frame stay as they are.
    assert later.index.tolist() == [1]
    assert "person" not in frame


def test_the_column_counts_even_without_users():
    frame = tu.flatten_usage(numbered({"id": "u1"}, {"id": "u2"}), backend="polars")
    own = frame.with_columns(pl.Series("person", ["Ada", " Ada "])).drop("user.id", "user.email")
    assert counted(own) == 1
    assert tu.cost_per(own, "users")["cost_per"].to_list() == [20.0]


def test_new_rows_beside_the_column_are_filled_in():
    old = tu.with_person(tu.flatten_usage(numbered({"id": "u1", "email": "ada@x.io"})))
    new = tu.flatten_usage(numbered({"id": "bob"}))
    assert persons(pd.concat([old, new])) == ["ada@x.io", "bob"]


def test_a_lazy_frame_stays_lazy():
    frame = tu.flatten_usage(numbered({"id": "u1"}), backend="polars").lazy()
    found = tu.with_person(frame)
    assert isinstance(found, pl.LazyFrame)
    assert found.collect_schema()["person"] == pl.String
    assert isinstance(tu.cost_by(frame, "person"), pl.LazyFrame)


def test_what_cannot_be_done_says_so():
    frame = tu.flatten_usage(numbered({"id": "u1"}))
    with pytest.raises(UnknownFieldError, match=r"neither user\.id nor user\.email"):
        tu.with_person(frame[["id", "product.id"]])
    with pytest.raises(FrameError, match="charges"):
        tu.with_person(tu.charges(frame))
    with pytest.raises(OptionError, match="people="):
        tu.with_person(frame, people={"u1": 1})
    with pytest.raises(OptionError, match="people="):
        tu.cost_by(frame, "person", people=["u1"])


# Windows over a period's bound, and quiet days


def window(id_, start, end, user="ada", *, active=True, **more):
    return {
        "id": id_,
        "user": {"id": user},
        "start_date": start,
        "end_date": end,
        "usage": {"activity": {"is_active": active}, "requests": {"total": 0}},
        **more,
    }


WEEK = window("w1", "2026-01-28", "2026-02-04")
PLAIN = window("d1", "2026-02-10", "2026-02-11", "bob")


def months(answer):
    return [(row["period"].month, row["active_users"]) for row in rows(answer)]


@pytest.mark.filterwarnings("ignore::tidyusage.errors.CrossingWarning")
def test_a_window_over_a_months_end_is_left_out_or_counts_in_both(of):
    frame = of([WEEK, PLAIN])
    with pytest.raises(Exception, match=r"(?s)1 record \(w1\).*crossing='touch'.*'exclude'"):
        rows(tu.active_users(frame, freq="1mo"))
    # January is touched by the excluded window alone.
    excluded = tu.active_users(frame, freq="1mo", crossing="exclude")
    assert months(excluded) == [(1, None), (2, 1)]
    assert months(tu.active_users(frame, freq="1mo", crossing="touch")) == [(1, 1), (2, 2)]
    with pytest.raises(Exception, match=r"1 record \(w1\)"):
        rows(tu.stickiness(frame))
    # ada on the 28th to 31st of January's four days; in February ada on 1 to 3 and bob on the 10th
    # of ten days: 4 / 10 of 2.
    touched = rows(tu.stickiness(frame, crossing="touch"))
    assert [(row["dau"], row["mau"]) for row in touched] == [(1.0, 1), (0.4, 2)]


def test_what_is_left_out_is_counted_in_a_warning():
    frame = tu.flatten_usage([WEEK, {**WEEK, "id": "w2"}, {**WEEK, "id": "w3"}, PLAIN])
    with pytest.warns(CrossingWarning, match=r"3 records \(w1, w3, …\) have a window"):
        tu.active_users(frame, freq="1mo", crossing="exclude")
    with pytest.warns(CrossingWarning, match="left out"):
        tu.stickiness(frame, crossing="exclude")
    lazy = tu.flatten_usage([WEEK], backend="polars").lazy()
    answer = tu.active_users(lazy, freq="1mo", crossing="exclude")
    with pytest.warns(CrossingWarning, match=r"1 record \(w1\)"):
        answer.collect()


def test_an_unknown_way_to_take_crossing_windows_says_so():
    frame = tu.flatten_usage([PLAIN])
    with pytest.raises(OptionError, match="crossing='skip'"):
        tu.active_users(frame, freq="1d", crossing="skip")


def test_a_window_that_was_cut_counts_as_crossing():
    frame = tu.flatten_usage([PLAIN, window("d2", "2026-02-11", "2026-02-12", "cy")])
    frame["window_cut"] = [False, True]
    with pytest.raises(Exception, match=r"1 record \(d2\)"):
        tu.active_users(frame, freq="1mo")
    with pytest.warns(CrossingWarning):
        excluded = tu.active_users(frame, freq="1mo", crossing="exclude")
    assert months(excluded) == [(2, 1)]
    assert months(tu.active_users(frame, freq="1mo", crossing="touch")) == [(2, 2)]
    assert counted(frame) == 2  # without periods there is no bound


def test_every_period_that_a_named_users_window_touches_has_a_row(of):
    frame = of([window("a", "2026-01-05", "2026-01-08", active=False)])
    answer = rows(tu.active_users(frame, freq="1d"))
    assert [(row["period"].day, row["active_users"]) for row in answer] == [(5, 0), (6, 0), (7, 0)]


def test_a_window_that_names_nobody_has_a_row_in_its_first_period_alone():
    nobody = {**window("a", "2026-01-05", "2026-01-08"), "user": {}}
    answer = rows(tu.active_users(tu.flatten_usage([nobody], backend="polars"), freq="1d"))
    assert [(row["period"].day, row["active_users"]) for row in answer] == [(5, None)]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_a_dimension_may_be_a_field_that_persons_are_told_by(backend):
    record = {
        "id": "1",
        "product": {"id": "cursor"},
        "user": {"id": "17", "email": "ada@example.com"},
        "usage": {"requests": {"total": 4}},
        "charges": [{"type": "net", "amount": 10, "currency": "USD"}],
    }
    frame = tu.flatten_usage(record, backend=backend)
    for dimension in ("product.id", "user.id", "user.email"):
        (found,) = rows(tu.cost_per(frame, "users", dimension))
        assert (found["users"], found["cost_per"]) == (1, 10.0)
        (found,) = rows(tu.active_users(frame, dimension))
        assert found["active_users"] == 1
