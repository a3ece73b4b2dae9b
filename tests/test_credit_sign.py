"""The sign of credits in FOCUS: kept unless the caller decides, and positive ones are reported."""

import json
import re
import warnings

import polars as pl
import pytest

import tidyusage as tu
from flavours import FLAVOURS
from focus_cases import charge, record
from test_cli import run
from tidyusage.errors import CreditSignWarning, MissingColumnWarning, OptionError, UsageWarning

EVERY_FLAVOUR = pytest.mark.parametrize("flavour", FLAVOURS)
# A credit of 5 that was granted and then taken back: nothing in all.
REVERSED = [record("granted", charge("credit", -5)), record("reversed", charge("credit", 5))]
UNSIGNED = [
    record("a", charge("net", 10), charge("credit", 2.5)),
    record("b", charge("net", 8), charge("credit", 4)),
    record("c", charge("net", 7, "EUR"), charge("credit", 0.25, "EUR")),
    record("d", charge("net", 1), charge("credit", 0)),
]


def credits_of(records, path, flavour="pandas", **options):
    """Return the sum of the exported credits in each currency, and the warnings about their signs."""
    frame = FLAVOURS[flavour](tu.flatten_usage(records, backend="pyarrow"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tu.export_usage(frame, path / "focus.parquet", tables="focus", **options)
    rows = pl.read_parquet(path / "focus.parquet").filter(ChargeCategory="Credit")
    for name in ("ListCost", "ContractedCost", "EffectiveCost", "PricingCurrencyEffectiveCost"):
        assert rows[name].to_list() == rows["BilledCost"].to_list()
    sums = rows.group_by("BillingCurrency").agg(pl.col("BilledCost").sum())
    messages = [str(each.message) for each in caught if each.category is CreditSignWarning]
    return dict(sums.iter_rows()), messages


@EVERY_FLAVOUR
def test_a_reversed_credit_adds_up_to_nothing_and_its_positive_part_is_reported(tmp_path, flavour):
    found, (message,) = credits_of(REVERSED, tmp_path, flavour)
    assert found == {"USD": 0}  # -5 + 5
    assert "1 credit is positive and adds 5.00 USD to the cost" in message
    assert "credit_sign='negative'" in message
    assert "credit_sign='keep'" in message


# 2.5 + 4 in dollars, 0.25 in euros
@pytest.mark.parametrize(
    ("credit_sign", "usd", "eur"), [("keep", 6.5, 0.25), ("negative", -6.5, -0.25)]
)
def test_the_caller_decides_in_silence(tmp_path, credit_sign, usd, eur):
    found, messages = credits_of(UNSIGNED, tmp_path, credit_sign=credit_sign)
    assert found == {"USD": usd, "EUR": eur}
    assert messages == []


def test_one_warning_counts_the_positive_credits_and_adds_them_up_by_currency(tmp_path):
    _, (message,) = credits_of(UNSIGNED, tmp_path)
    assert "3 credits are positive and add 0.25 EUR, 6.50 USD to the cost" in message


@pytest.mark.parametrize("credit_sign", [None, "keep", "negative"])
def test_negative_credits_are_the_same_by_every_rule(tmp_path, credit_sign):
    records = [record("a", charge("credit", -2)), record("b", charge("credit", -0.5))]
    assert credits_of(records, tmp_path, credit_sign=credit_sign) == ({"USD": -2.5}, [])


def test_a_credit_of_nothing_is_never_written_as_minus_zero(tmp_path):
    path = tmp_path / "focus.csv"
    frame = tu.flatten_usage([record("a", charge("credit", 0))])
    frame.usage.export(path, tables="focus", credit_sign="negative")
    assert pl.read_csv(path)["BilledCost"].cast(pl.String).to_list() in (["0"], ["0.0"])


def test_credits_that_focus_cannot_hold_keep_their_sign_too(tmp_path):
    record_without_account = record("a", charge("credit", 3), organization=None)
    frame = tu.flatten_usage([record_without_account])
    for credit_sign, amount in ((None, 3), ("keep", 3), ("negative", -3)):
        path = tmp_path / f"{credit_sign}.parquet"
        with pytest.warns(tu.errors.RejectWarning, match="no account"):
            frame.usage.export(path, tables="focus", credit_sign=credit_sign)
        aside = pl.read_parquet(tmp_path / f"{credit_sign}.set_aside.parquet")
        assert aside["amount"].to_list() == [amount]


@pytest.mark.parametrize("credit_sign", ["positive", "", True, -1])
def test_an_unknown_rule_is_refused_with_the_known_ones(tmp_path, credit_sign):
    frame = tu.flatten_usage(REVERSED)
    with pytest.raises(OptionError, match=f"credit_sign={re.escape(repr(credit_sign))}") as error:
        tu.export_usage(frame, tmp_path / "a.csv", tables="focus", credit_sign=credit_sign)
    assert "'keep', 'negative'" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_it_is_an_option_of_focus_alone(tmp_path):
    with pytest.raises(OptionError, match="credit_sign= is an option of FOCUS"):
        tu.export_usage(tu.flatten_usage(REVERSED), tmp_path / "a.csv", credit_sign="keep")


def test_the_command_line_takes_it_and_names_it_in_its_warning(tmp_path):
    source, target = tmp_path / "usage.ndjson", tmp_path / "focus.csv"
    source.write_text("\n".join(map(json.dumps, REVERSED)))
    done = run("export", source, target, "--tables", "focus")
    assert done.returncode == 0
    assert "1 credit is positive and adds 5.00 USD" in done.stderr
    assert "--credit-sign negative" in done.stderr
    done = run(
        *("export", source, target, "--tables", "focus", "--mode", "overwrite"),
        *("--credit-sign", "negative"),
    )
    assert (done.returncode, "credit" in done.stderr) == (0, False)
    assert pl.read_csv(target)["BilledCost"].to_list() == [-5, -5]


@pytest.mark.xdist_group("spark")
@pytest.mark.filterwarnings("ignore:PySpark does not yet", "ignore:The copy keyword")
def test_spark_keeps_signs_and_warns_too(spark, tmp_path):
    frame = tu.flatten_usage(REVERSED, backend="pyspark", session=spark).drop("charges_total")
    frame = frame.drop("charges")
    with pytest.warns(UsageWarning) as said:
        tu.export_usage(frame, f"{tmp_path / 'kept'}/", tables="focus")
    assert {warning.category for warning in said} == {CreditSignWarning, MissingColumnWarning}
    messages = sorted(str(warning.message) for warning in said)
    assert "1 credit is positive and adds 5.00 USD" in messages[0]
    assert "2 of 2 records: charges_total." in messages[1]
    assert pl.read_parquet(tmp_path / "kept" / "focus")["BilledCost"].sum() == 0  # -5 + 5
