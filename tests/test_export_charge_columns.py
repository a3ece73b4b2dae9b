"""Exports of frames that lack columns of money or units: what raises, warns, or is left out."""

import warnings

import polars as pl
import pytest

import tidyusage as tu
from flavours import FLAVOURS
from focus_cases import charge, record
from tidyusage.errors import MissingColumnWarning, UnknownFieldError

EVERY_FLAVOUR = pytest.mark.parametrize("flavour", FLAVOURS)
USD_AND_JPY = [record("a", charge("net", 1)), record("b", charge("net", 100, "JPY"))]
TOTAL_AND_NET = [record("a", charge("total", 10)), record("b", charge("net", 3))]
NETS = [record("a", charge("net", 2)), record("b", charge("net", 3))]
FRAME = tu.flatten_usage(USD_AND_JPY, backend="pyarrow")
EVERY_CHARGE = [name for name in FRAME.column_names if name.startswith("charges.")]


def frame_of(records, flavour="pandas", *, without=(), layout="wide"):
    """Return a frame without some of its columns, nor the list of charges that repeats them."""
    frame = tu.flatten_usage(records, backend="pyarrow", layout=layout)
    left_out = [name for name in ("charges", *without) if name in frame.column_names]
    return FLAVOURS[flavour](frame.drop_columns(left_out))


def exported(frame, path, **options):
    """Return the manifest's tables, and the warnings about missing columns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        told = tu.export_usage(frame, path, **options)
    return told["tables"], [str(w.message) for w in caught if w.category is MissingColumnWarning]


def target_of(tmp_path, form):
    return f"{tmp_path / 'out'}/" if form == "star" else tmp_path / "out.parquet"


@EVERY_FLAVOUR
@pytest.mark.parametrize("form", ["star", "focus"])
def test_costs_without_their_currency_are_not_exported(tmp_path, flavour, form):
    frame = frame_of(USD_AND_JPY, flavour, without=["charges.currency"])
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing") as error:
        tu.export_usage(frame, target_of(tmp_path, form), tables=form)
    assert "df.assign(**{'charges.currency': 'USD'})" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_the_advice_of_the_error_works(tmp_path):
    frame = frame_of(NETS, without=["charges.currency"]).assign(**{"charges.currency": "USD"})
    told, messages = exported(frame, tmp_path / "a.parquet", tables="focus")
    assert told["focus"]["money"]["USD"]["BilledCost"] == 5  # 2 + 3
    assert messages == []


def test_the_currency_is_named_as_the_frame_spells_it(tmp_path):
    wide = tu.flatten_usage(USD_AND_JPY, sep="_").drop(columns="charges_currency")
    with pytest.raises(UnknownFieldError, match="'charges_currency' is missing"):
        wide.usage.export(tmp_path / "a.parquet", tables="focus")


@pytest.mark.parametrize("form", ["star", "focus"])
def test_the_currency_of_a_long_frame_is_its_unit(tmp_path, form):
    frame = frame_of(USD_AND_JPY, layout="long", without=["unit"])
    with pytest.raises(UnknownFieldError, match="'unit' is missing"):
        tu.export_usage(frame, target_of(tmp_path, form), tables=form)


@EVERY_FLAVOUR
@pytest.mark.parametrize("form", ["wide", "long"])
def test_a_manifest_adds_no_amounts_whose_currency_is_not_known(tmp_path, flavour, form):
    frame = frame_of(USD_AND_JPY, flavour, without=["charges.currency"])
    told, messages = exported(frame, tmp_path / "a.parquet", tables=form)
    (table,) = told.values()
    assert table["rows"] == 2
    assert table["money"] == {}  # and not 101
    assert messages == []


def test_nor_does_the_manifest_of_a_long_frame_without_units(tmp_path):
    frame = frame_of(USD_AND_JPY, layout="long", without=["unit"])
    for form in ("wide", "long"):
        told, _ = exported(frame, tmp_path / f"{form}.parquet", tables=form)
        assert told[f"usage_{form}"]["money"] == {}


@pytest.mark.parametrize("form", ["wide", "long"])
def test_a_list_of_charges_does_not_replace_the_column_of_currencies(tmp_path, form):
    frame = tu.flatten_usage(USD_AND_JPY).drop(columns="charges.currency")
    told, _ = exported(frame, tmp_path / "a.parquet", tables=form)
    assert told[f"usage_{form}"]["money"] == {}


@pytest.mark.parametrize("form", ["wide", "long", "star"])
def test_a_frame_without_amounts_lacks_no_currency(tmp_path, form):
    records = [record("a", usage={"tokens": {"total": 5}})]
    frame = frame_of(records, without=EVERY_CHARGE)
    told, messages = exported(frame, target_of(tmp_path, form), tables=form)
    assert messages == []
    assert {name: tokens for each in told.values() for name, tokens in each["tokens"].items()} == {
        "usage_tokens_total": 5
    }


def test_focus_of_a_frame_without_any_amount_is_refused(tmp_path):
    frame = frame_of(NETS, without=EVERY_CHARGE)
    with pytest.raises(UnknownFieldError, match=r"none of the columns that FOCUS needs: charges\."):
        tu.export_usage(frame, tmp_path / "a.parquet", tables="focus")


@EVERY_FLAVOUR
def test_a_star_warns_once_of_columns_that_could_change_its_costs(tmp_path, flavour):
    frame = frame_of(TOTAL_AND_NET, flavour, without=["charges.total"])
    told, (message,) = exported(frame, f"{tmp_path / 'out'}/", tables="star")
    assert told["fact_usage"]["money"] == {"USD": {"cost": 3}}
    assert "could change the cost of 1 of 2 records: charges.total." in message


def test_a_star_of_records_with_net_amounts_needs_no_other_column(tmp_path):
    others = [name for name in EVERY_CHARGE if name not in {"charges.net", "charges.currency"}]
    told, messages = exported(frame_of(NETS, without=others), f"{tmp_path / 'o'}/", tables="star")
    assert told["fact_usage"]["money"] == {"USD": {"cost": 5}}
    assert messages == []


@EVERY_FLAVOUR
def test_focus_warns_once_of_columns_that_could_change_its_charges(tmp_path, flavour):
    frame = frame_of(TOTAL_AND_NET, flavour, without=["charges.total"])
    told, (message,) = exported(frame, tmp_path / "a.parquet", tables="focus")
    assert told["focus"]["money"]["USD"]["BilledCost"] == 3
    # The total of record a is its cost; that of b would be its list cost.
    assert "could change the charges of 2 of 2 records: charges.total." in message


# Columns that are missing, beside which a record has these charges, and if they could matter.
@pytest.mark.parametrize(
    ("missing", "charges", "matters"),
    [
        ("tax", {"net": 1}, True),  # a row of its own
        ("credit", {"net": 1}, True),
        ("total", {"net": 1}, True),  # the list cost
        ("discount", {"net": 1}, True),  # which is net and discount where there is no total
        ("discount", {"net": 1, "total": 2}, False),
        ("discount", {"net": -1}, False),
        ("discount", {"on_demand": 3}, True),
        ("included", {"net": 1}, False),
        ("included", {"net": 1, "total": 2}, True),
        ("included", {"total": 2}, True),
        ("on_demand", {"net": 1}, False),
        ("on_demand", {"tax": 1}, True),
        ("net", {"total": 2}, True),
    ],
)
def test_focus_is_silent_about_columns_that_could_change_nothing(
    tmp_path, missing, charges, matters
):
    records = [record("a", *(charge(type_, amount) for type_, amount in charges.items()))]
    frame = frame_of(records, without=[f"charges.{missing}"])
    _, messages = exported(frame, tmp_path / "a.parquet", tables="focus", credit_sign="keep")
    assert len(messages) == matters
    assert all(f"1 of 1 records: charges.{missing}." in message for message in messages)


def test_a_manifest_leaves_out_a_cost_that_missing_columns_could_change(tmp_path):
    frame = frame_of(TOTAL_AND_NET, without=["charges.total"])
    told, messages = exported(frame, tmp_path / "a.parquet")
    assert told["usage_wide"]["money"] == {"USD": {"charges_net": 3}}  # and no cost of 3
    assert messages == []


QUANTITIES = [
    record("a", charge("net", 1), usage={"quantity": 3, "unit": "GB"}),
    record("b", charge("net", 1), usage={"quantity": 4, "unit": "host"}),
]


@EVERY_FLAVOUR
def test_quantities_without_their_unit_are_not_called_units(tmp_path, flavour):
    frame = frame_of(QUANTITIES, flavour, without=["usage.unit"])
    with pytest.raises(UnknownFieldError, match=r"'usage\.unit' is missing"):
        tu.export_usage(frame, tmp_path / "a.parquet", tables="focus")


@EVERY_FLAVOUR
def test_quantities_without_their_unit_are_not_added(flavour):
    frame = frame_of(QUANTITIES, flavour, without=["usage.unit"])
    with pytest.raises(UnknownFieldError, match=r"'usage\.unit' is missing") as error:
        tu.totals(frame)  # 3 GB and 4 hosts are not 7 of anything
    assert "drop 'usage.quantity'" in str(error.value)


def test_the_unit_is_named_as_the_frame_spells_it():
    frame = tu.flatten_usage(QUANTITIES, sep="_").drop(columns="usage_unit")
    with pytest.raises(UnknownFieldError, match="'usage_unit' is missing"):
        frame.usage.totals()


def test_without_quantities_no_unit_is_needed(tmp_path):
    frame = frame_of(QUANTITIES, without=["usage.quantity", "usage.unit"])
    assert "usage.quantity" not in set(frame.usage.totals()["metric"])
    tu.export_usage(frame, tmp_path / "a.parquet", tables="focus")
    assert pl.read_parquet(tmp_path / "a.parquet")["ConsumedUnit"].unique().to_list() == ["Days"]


def test_exports_of_rows_need_no_unit(tmp_path):
    frame = frame_of(QUANTITIES, without=["usage.unit"])
    told, _ = exported(frame, tmp_path / "a.parquet")
    assert told["usage_wide"]["rows"] == 2


@pytest.mark.xdist_group("spark")
@pytest.mark.filterwarnings("ignore:PySpark does not yet", "ignore:The copy keyword")
def test_spark_raises_and_warns_as_all_others_do(spark, tmp_path):
    given = tu.flatten_usage(TOTAL_AND_NET, backend="pyspark", session=spark).drop("charges")
    target = f"{tmp_path / 'out'}/"
    for form in ("star", "focus"):
        with pytest.raises(UnknownFieldError, match="'charges_currency' is missing"):
            tu.export_usage(given.drop("charges_currency"), target, tables=form)
    # tests/test_credit_sign.py has Spark's warning of missing columns: one export is slow enough.
    told, messages = exported(given.drop("charges_currency"), f"{tmp_path / 'wide'}/")
    assert (told["usage_wide"]["money"], messages) == ({}, [])
    with pytest.raises(UnknownFieldError, match="'usage_unit' is missing"):
        tu.totals(given.drop("usage_unit"))
