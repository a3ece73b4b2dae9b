"""Frames without the currency of their amounts: what compares or adds costs refuses them."""

import warnings

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS
from tidyusage.errors import MissingColumnWarning, UnknownFieldError

EVERY_FLAVOUR = pytest.mark.parametrize("flavour", FLAVOURS)
DAY = {"product": {"id": "claude"}, "start_date": "2026-01-01", "end_date": "2026-01-02"}
FUNCTIONS = {
    "grains": tu.grains,
    "overlaps": tu.overlaps,
    "at_grain": lambda frame: tu.at_grain(frame, "finest"),
}


def record(id_, amount, currency="USD", **fields):
    charges = [{"type": "net", "amount": amount, "currency": currency}]
    return {"id": id_, "charges": charges, **DAY, **fields}


# The organization's 100 yen are not the sum of a user's 40 dollars and another's 60 yen.
MIXED = [
    record("all", 100, "JPY"),
    record("1", 40, "USD", user={"id": "ada"}),
    record("2", 60, "JPY", user={"id": "bob"}),
]


def frame_of(records, flavour="pandas", *, without=(), layout="wide"):
    frame = tu.flatten_usage(records, backend="pyarrow", layout=layout)
    left_out = [name for name in ("charges", *without) if name in frame.column_names]
    return FLAVOURS[flavour](frame.drop_columns(left_out))


@EVERY_FLAVOUR
@pytest.mark.parametrize("name", FUNCTIONS)
def test_costs_of_unknown_currencies_are_neither_added_nor_compared(flavour, name):
    frame = frame_of(MIXED, flavour, without=["charges.currency"])
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing") as error:
        FUNCTIONS[name](frame)
    assert "df.assign(**{'charges.currency': 'USD'})" in str(error.value)


@pytest.mark.parametrize("name", ["grains", "overlaps"])
def test_the_currency_of_a_long_frame_is_its_unit(name):
    frame = frame_of(MIXED, layout="long", without=["unit"])
    with pytest.raises(UnknownFieldError, match="'unit' is missing"):
        FUNCTIONS[name](frame)


@EVERY_FLAVOUR
def test_with_the_column_costs_are_compared_within_their_currency(flavour):
    whole = [record("yen", 60, "JPY"), record("dollars", 40, "USD")]
    found = rows(tu.overlaps(frame_of([*whole, *MIXED[1:]], flavour)))
    sums = {row["unit"]: (row["coarser_sum"], row["finer_sum"]) for row in found}
    assert sums == {"JPY": (60, 60), "USD": (40, 40)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_frame_without_amounts_needs_no_currency(name):
    frame = tu.flatten_usage([{"id": "a", **DAY, "usage": {"tokens": {"total": 5}}}])
    frame = frame[["id", "product.id", "start_date", "end_date", "usage.tokens.total"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FUNCTIONS[name](frame)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("flavour", ["pandas", "polars", "pyarrow"])
def test_missing_charge_columns_are_named_once_where_a_cost_depends_on_them(flavour, name):
    total = {**record("b", 0), "charges": [{"type": "total", "amount": 9, "currency": "USD"}]}
    frame = frame_of([record("a", 5), total], flavour, without=["charges.total"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FUNCTIONS[name](frame)
    (warning,) = caught
    assert warning.category is MissingColumnWarning
    assert "could change the cost of 1 of 2 records: charges.total." in str(warning.message)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_missing_columns_that_change_no_cost_are_silent(name):
    frame = frame_of([record("a", 5)], without=["charges.total", "charges.discount"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FUNCTIONS[name](frame)


def days(amounts, currencies):
    return [
        {
            **record(f"{day}", amount, currency),
            "start_date": f"2026-01-{day:02}",
            "end_date": f"2026-01-{day + 1:02}",
        }
        for day, (amount, currency) in enumerate(zip(amounts, currencies, strict=True), start=1)
    ]


# Twelve days of about 2 dollars, then twelve of about 200 yen: no jump, but two currencies.
SWITCHED = days([2.25] * 12 + [225] * 12, ["USD"] * 12 + ["JPY"] * 12)


@EVERY_FLAVOUR
def test_findings_do_not_compare_costs_of_unknown_currencies(flavour):
    frame = frame_of(SWITCHED, flavour, without=["charges.currency"])
    found = {row["check"] for row in rows(tu.findings(frame))}
    assert "currency_missing" in found
    assert not found & {"amounts_in_cents", "running_totals", "late_days"}


def test_findings_would_have_taken_the_yen_for_cents():
    in_dollars = days([2.25] * 12 + [225] * 12, ["USD"] * 24)
    found = {row["check"] for row in rows(tu.findings(frame_of(in_dollars)))}
    assert "amounts_in_cents" in found
