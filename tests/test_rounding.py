"""Amounts that vendors rounded: roll-ups are recognised within one tolerance, and no others are."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS, frame_of
from test_grain import fetched, record, shown
from tidyusage._utils import connections
from tidyusage.errors import OverlapError, OverlapWarning
from tidyusage.metrics import _tolerance


def rounded(days=1):
    """Return an organization's rows in cents beside three users of 4.004 each (12.012 a day)."""
    return [
        each
        for day in range(1, days + 1)
        for each in (
            record(12.0, 300, day),
            *(record(4.004, 100, day, user=f"user {number}") for number in range(3)),
        )
    ]


def costs(frame, **options):
    return [row["cost"] for row in rows(tu.cost_by(frame, overlap="ignore", **options))]


# What is a roll-up


@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "duckdb"])
def test_a_roll_up_in_cents_is_warned_of(flavour):
    # 3 users × 0.005 is 0.015, and 12.012 - 12 is 0.012
    with pytest.warns(OverlapWarning, match=r"equal those by user \(12\.01 USD, 300 tokens\)"):
        rows(tu.cost_by(frame_of(rounded(), flavour)))
    with pytest.raises(OverlapError):
        rows(tu.cost_by(frame_of(rounded(), flavour), overlap="raise"))


@pytest.mark.parametrize("flavour", ["pandas", "duckdb"])
def test_one_grain_is_without_what_rounding_explains(flavour):
    frame = frame_of(rounded(), flavour)
    finest = rows(tu.at_grain(frame, "finest"))
    assert [row["charges.net"] for row in finest] == [4.004] * 3  # 12.012 in all
    assert [row["charges.net"] for row in rows(tu.at_grain(frame, "coarsest"))] == [12.0]


def test_thirty_days_are_thirty_roll_ups():
    # 28 × 12 and 28 × 12.012
    assert [found[2:] for found in shown(rounded(28))] == [
        ("equals", 28, "cost", "USD", 336, pytest.approx(336.336)),
        ("equals", 28, "tokens", "tokens", 8400, 8400),
    ]
    assert costs(tu.at_grain(frame_of(rounded(28)), "finest")) == [pytest.approx(336.336)]


@pytest.mark.parametrize(
    ("whole", "parts", "is_shown"),
    [
        (12.0, [4.004] * 3, True),  # off by 0.012, of 3 × 0.005
        (12.0, [4.005] * 3, True),  # by 0.015, which is all of it
        (12.0, [4.006] * 3, False),  # by 0.018
        (12.01, [12.014], True),  # by 0.004, of 0.005
        (12.01, [12.016], False),
        (1.2346, [1.23464], True),  # four decimals: by 0.00004, of 0.00005
        (1.2346, [1.23466], False),
        (0.1, [0.102], False),  # by 2 %, though less than half a cent
        (0.1, [0.1009], True),  # by 0.9 %
        (-12.0, [-4.004] * 3, True),  # credits
        (1e9 + 0.12, [1e9 + 0.123], True),
    ],
)
def test_the_tolerance_is_half_a_unit_for_each_finer_row(whole, parts, is_shown):
    records = [record(whole), *(record(part, user=f"u{n}") for n, part in enumerate(parts))]
    assert bool(shown(records)) == is_shown


def test_decimals_are_those_of_the_product_and_currency():
    # Claude's rows of another day have three decimals: 3 × 0.0005 for each day
    assert shown([*rounded(), record(7.123, day=5), record(7.1, day=5, user="u")]) == []
    # another product's and another currency's say nothing
    others = [record(7.123, day=5, product="codex"), record(7.123, day=5, currency="EUR")]
    assert shown([*rounded(), *others])[0][2] == "equals"


def test_a_month_in_cents_holds_days_that_are_not():
    days = [record(0.3333, day=day, user="ada") for day in range(1, 29)]  # 9.3324
    assert shown([record(9.33, day=1, days=28), *days])[0][2:4] == ("equals", 1)
    lengths = [record(0.3333, day=day) for day in range(1, 29)]
    assert shown([record(9.33, day=1, days=28), *lengths])[0][2:4] == ("equals", 1)


def test_rows_in_cents_are_parts_of_what_is_exact():
    # 10.0001 has four decimals; 4.00 + 6.00 is within a hundredth of a percent, and less: contained
    parts = [record(4.0, user="ada"), record(6.0, user="bob")]
    assert shown([record(10.0001), *parts])[0][2] == "equals"
    assert shown([record(10.0002), *parts])[0][2] == "contains"


def test_equal_tokens_are_enough_where_costs_differ_by_less_than_a_percent():
    def grains(cost, tokens):
        return [record(cost, tokens), record(10.0, 100, user="ada")]

    assert shown(grains(9.92, 100))[0][2] == "equals"  # off by 0.8 %
    assert shown(grains(9.92, 101)) == []
    assert shown(grains(9.8, 100)) == []  # by 2 %
    days = [record(9.92, 100 + (day == 3), day) for day in (1, 2, 3)]
    assert shown([*days, *(record(10.0, 100, day, user="ada") for day in (1, 2, 3))]) == []


def test_reports_and_metrics_are_compared_within_the_tolerance_too():
    reports = [fetched("cost", 4.0, user="ada"), fetched("usage", 4.004, user="ada")]
    assert shown(reports)[0][2] == "equals"
    metrics = [record(4.0, metric="cost"), record(4.004, metric="user_cost", user="ada")]
    assert shown(metrics)[0][2] == "equals"


# What completes each other


@pytest.mark.parametrize(
    "records",
    [
        [record(3.99), record(4.004, user="ada")],  # off by 0.014, of one half cent
        [record(12.0), *(record(4.006, user=name) for name in "abc")],
        [record(12.0, day=2), *(record(4.004, user=name) for name in "abc")],
        [record(12.0, product="codex"), *(record(4.004, user=name) for name in "abc")],
        [record(12.0, currency="EUR"), *(record(4.004, user=name) for name in "abc")],
        [record(12.0, 299), *(record(4.004, 100, user=name) for name in "abc")],  # fewer tokens
        [record(0.01), *(record(0.0051, user=name) for name in "abc")],  # of 1 %
        [record(4.004, user="ada"), record(4.0, user="bob")],  # one grain
        [record(4.004, user="ada"), record(4.0, model="opus")],  # neither is part of the other
        [record(-12.0), *(record(4.004, user=name) for name in "abc")],
        [record(12.0, 300), *(record(None, 99, user=name) for name in "abcd")],
        [fetched("cost", 4.0, user="ada"), fetched("usage", 4.006, user="ada")],
        [record(4.0, metric="cost"), record(3.99, metric="user_cost", user="ada")],
        [record(8.03, day=1, days=2), *(record(4.004, day=day) for day in (1, 2))],  # lengths
    ],
)
def test_rounded_rows_that_complete_each_other_are_not_reported(records):
    assert shown(records) == []
    tu.cost_by(frame_of(records), overlap="raise")


# What is left over


def test_a_residual_beyond_the_tolerance_stays():
    records = [record(12.02, 300), *(record(4.0, 100, user=name) for name in "abc")]  # 0.02 > 0.015
    left = [row for row in finest(records) if row["unattributed"]]
    assert [round(row["charges.net"], 9) for row in left] == [0.02]


def test_tokens_that_are_left_over_stay_without_the_cents():
    records = [record(12.0, 310), *(record(4.004, 100, user=name) for name in "abc")]
    (left,) = [row for row in finest(records) if row["unattributed"]]
    assert (left["usage.tokens.total"], left["charges.net"]) == (10, 0)


def test_each_charge_is_without_what_rounding_explains():
    def charged(total, discount, **keys):
        made = record(**keys)
        amounts = {"total": total, "discount": discount, "net": total - discount}
        made["charges"] = [
            {"type": type_, "amount": amount, "currency": "USD"}
            for type_, amount in amounts.items()
        ]
        return made

    parts = [charged(5.004, 1.0, user=name) for name in "abc"]  # 15.012 - 3 = 12.012
    assert all(not row["unattributed"] for row in finest([charged(15.0, 3.0), *parts]))


def finest(records):
    return rows(tu.at_grain(frame_of(records), "finest"))


# Two sources side by side


def both(ours, theirs, **options):
    left, right = (
        frame_of([record(amount, user=f"u{n}") for n, amount in enumerate(amounts)])
        for amounts in (ours, theirs)
    )
    return [row["status"] for row in rows(tu.reconcile(left, right, overlap="ignore", **options))]


def test_sides_match_within_the_tolerance_unless_one_is_given():
    assert both([12.0], [4.004] * 3) == ["matched"]  # 0.012 of 3 × 0.005
    assert both([4.004] * 3, [12.0]) == ["matched"]
    assert both([12.0], [4.006] * 3) == ["residual"]  # 0.018
    assert both([12.0], [4.004] * 3, within=0.01) == ["residual"]
    assert both([12.0], [4.006] * 3, within=0.02) == ["matched"]
    assert both([12.001], [4.001] * 3) == ["residual"]  # 0.002 of 3 × 0.0005
    assert both([0.1], [0.102] * 1) == ["residual"]  # 2 %
    # two sides in cents are rounded both
    assert both([50.0], [50.01]) == ["matched"]
    assert both([50.0], [50.02]) == ["residual"]


def test_windows_that_are_cut_keep_the_decimals_of_their_records():
    ours = frame_of([record(28.0, day=1, days=28)])
    theirs = frame_of([record(14.003, day=1, days=28, user=name) for name in "ab"])  # 28.006
    found = rows(tu.reconcile(ours, theirs, freq="1w"))
    assert {row["status"] for row in found} == {"matched"}
    assert len(found) == 5


# The record's own parts


def test_parts_make_their_total_within_the_tolerance():
    def found(total, **parts):
        charges = [{"type": t, "amount": a, "currency": "USD"} for t, a in parts.items()]
        charges.append({"type": "total", "amount": total, "currency": "USD"})
        frame = tu.flatten_usage({"id": "a", "charges": charges}, backend="polars")
        return rows(tu.findings(frame, only="parts_not_total")) != []

    assert not found(10.01, committed=6, on_demand=4)  # 0.01 of 2 × 0.005
    assert found(10.02, committed=6, on_demand=4)
    assert not found(10.0, committed=5.004, on_demand=5.005)  # 0.009: parts need not be rounded
    assert found(1.001, committed=0.5, on_demand=0.503)  # 0.002 of 2 × 0.0005
    assert found(0.1, committed=0.05, on_demand=0.052)  # 2 %


# The tolerance itself


@pytest.mark.parametrize(
    ("amount", "places"),
    [
        *((12.0, 2), (0.1, 2), (12.012, 3), (1.2345678, 7), (1e-8, 8), (1 / 3, 8), (-4.004, 3)),
        *((1234567890.12, 2), (1e15, 2), (0.0, 2), (0.12345678912, 8)),
    ],
)
def test_decimals_are_those_of_the_shortest_text(amount, places):
    with connections.connect() as connection:
        sql = f"select {_tolerance.places_sql('amount')} from (select {amount!r}::double as amount)"
        assert connection.sql(sql).fetchall() == [(places,)]


def test_a_difference_of_two_amounts_has_their_decimals():
    with connections.connect() as connection:
        sql = _tolerance.places_sql("amount", "total")
        # 1.0500000000029104
        row = f"(select {100000.1 - 99999.05!r}::double as amount, 100000.1::double as total)"
        assert connection.sql(f"select {sql} from {row}").fetchall() == [(2,)]
        alone = _tolerance.places_sql("amount")
        assert connection.sql(f"select {alone} from {row}").fetchall() == [(8,)]
