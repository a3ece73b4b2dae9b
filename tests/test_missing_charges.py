"""Frames without some of the charge columns: what raises, what warns, and what stays silent."""

import warnings

import polars as pl
import pytest

import tidyusage as tu
from conftest import columns, rows
from flavours import FLAVOURS
from tidyusage.errors import FrameError, MissingColumnWarning, OptionError, UnknownFieldError

EVERY_FLAVOUR = pytest.mark.parametrize("flavour", FLAVOURS)
# Engines that cannot warn: what they are asked is run by others, later.
WARNING_FLAVOUR = pytest.mark.parametrize(
    "flavour", [name for name in FLAVOURS if name != "duckdb"]
)
PRODUCT = {"id": "claude"}


def record(id_, *charges, currency="USD", **fields):
    entries = [{"type": type_, "amount": amount, "currency": currency} for type_, amount in charges]
    return {"id": id_, "charges": entries, **fields}


def frame_with(flavour, records, *names, **options):
    """Return a frame that has these columns alone."""
    return FLAVOURS[flavour](tu.flatten_usage(records, backend="pyarrow", **options).select(names))


def warned(question):
    """Return the answer's rows and the missing columns' warnings of a question."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = rows(question())
    return found, [str(w.message) for w in caught if w.category is MissingColumnWarning]


USD_AND_JPY = [record("a", ("net", 1)), record("b", ("net", 100), currency="JPY")]
TOTAL_AND_NET = [record("a", ("total", 10)), record("b", ("net", 3))]
USERS = [
    record("a", ("net", 1), user={"id": "ada"}, usage={"tokens": {"total": 10}}),
    record("b", ("net", 100), currency="JPY", user={"id": "bob"}, usage={"tokens": {"total": 5}}),
]
MONEY = {
    "cost_by": tu.cost_by,
    "cost_per": lambda frame, **how: tu.cost_per(frame, "users", **how),
    "cost_per_token": tu.cost_per_token,
    "summary": tu.summary,
    "top": lambda frame, **how: tu.top(frame, 3, "user.id", **how),
    "totals": tu.totals,
    "trend": tu.trend,
}


@EVERY_FLAVOUR
def test_amounts_without_their_currencies_are_not_added(flavour):
    frame = frame_with(flavour, USD_AND_JPY, "id", "charges.net")
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing") as error:
        tu.cost_by(frame)
    assert "Keep the column" in str(error.value)
    assert "assume_currency='USD'" in str(error.value)


@EVERY_FLAVOUR
@pytest.mark.parametrize("name", MONEY)
def test_every_metric_of_money_needs_the_currency(flavour, name):
    names = ("id", "user.id", "charges.net", "usage.tokens.total")
    frame = frame_with(flavour, USERS, *names)
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
        MONEY[name](frame)
    found = rows(MONEY[name](frame, assume_currency="usd"))
    units = {row.get("currency", row.get("unit")) for row in found}
    assert "USD" in units  # in capitals, as all codes


def test_the_column_is_named_as_the_frame_spells_it():
    wide = tu.flatten_usage(USD_AND_JPY, sep="_")[["id", "charges_net"]]
    with pytest.raises(UnknownFieldError, match="'charges_currency' is missing"):
        wide.usage.cost_by()


@EVERY_FLAVOUR
def test_the_currency_of_a_long_frame_is_its_unit(flavour):
    frame = frame_with(flavour, USD_AND_JPY, "id", "metric", "value", layout="long")
    with pytest.raises(UnknownFieldError, match="'unit' is missing"):
        tu.cost_by(frame)
    (row,) = rows(tu.cost_by(frame, assume_currency="USD"))
    assert (row["currency"], row["cost"]) == ("USD", 101)


@EVERY_FLAVOUR
def test_an_assumed_currency_fills_in_for_the_unknown_alone(flavour):
    records = [*USD_AND_JPY, record("c", ("net", 5), currency=None)]
    frame = frame_with(flavour, records, "id", "charges.net", "charges.currency")
    found = {row["currency"]: row["cost"] for row in rows(tu.cost_by(frame, assume_currency="USD"))}
    assert found == {"USD": 6, "JPY": 100}  # 1 + 5 in dollars


@EVERY_FLAVOUR
def test_an_assumed_currency_is_converted(flavour):
    frame = frame_with(flavour, [record("a", ("net", 10))], "id", "charges.net")
    found = tu.cost_by(frame, assume_currency="EUR", rates={"EUR": 1.5}, to="USD")
    (row,) = rows(found)
    assert (row["currency"], row["cost"]) == ("USD", 15)


@pytest.mark.parametrize("currency", ["", " ", 5, True])
def test_an_assumed_currency_is_a_code(currency):
    with pytest.raises(OptionError, match="Invalid currency: assume_currency="):
        tu.cost_by(tu.load_example(), assume_currency=currency)


@EVERY_FLAVOUR
def test_what_reads_no_money_needs_no_currency(flavour):
    names = ("id", "user.id", "charges.net", "usage.tokens.total")
    frame = frame_with(flavour, USERS, *names)
    assert warned(lambda: tu.tokens_by(frame))[1] == []
    assert warned(lambda: tu.top(frame, 3, "user.id", measure="tokens"))[1] == []
    assert warned(lambda: tu.active_users(frame))[1] == []


def test_a_frame_without_amounts_lacks_no_currency():
    frame = tu.load_example()[["id", "user.id", "usage.tokens.total"]]
    assert warned(frame.usage.summary)[1] == []
    assert warned(frame.usage.totals)[1] == []


def test_a_currency_alone_is_no_amount():
    frame = tu.load_example()[["id", "charges.currency"]]
    with pytest.raises(UnknownFieldError, match="none of the columns"):
        frame.usage.cost_by()


@WARNING_FLAVOUR
def test_a_cost_that_other_columns_could_change_warns_once_and_names_them(flavour):
    frame = frame_with(flavour, TOTAL_AND_NET, "id", "charges.net", "charges.currency")
    (row,), (message,) = warned(lambda: tu.cost_by(frame))
    assert (row["cost"], row["priced"]) == (3, 1)
    others = "total, on_demand, committed, usage_based, platform_fee, included, discount"
    named = ", ".join(f"charges.{name}" for name in others.split(", "))
    assert f"could change the cost of 1 of 2 records: {named}." in message
    assert "charge='net'" in message


@EVERY_FLAVOUR
def test_all_columns_give_the_whole_cost_and_no_warning(flavour):
    frame = FLAVOURS[flavour](tu.flatten_usage(TOTAL_AND_NET, backend="pyarrow"))
    (row,), messages = warned(lambda: tu.cost_by(frame))
    assert (row["cost"], messages) == (13, [])


def test_a_relation_gives_the_same_answer_without_a_warning():
    frame = frame_with("duckdb", TOTAL_AND_NET, "id", "charges.net", "charges.currency")
    (row,), messages = warned(lambda: tu.cost_by(frame))
    assert (row["cost"], messages) == (3, [])


def test_a_lazy_frame_warns_when_it_is_collected():
    names = ("id", "charges.net", "charges.currency")
    frame = frame_with("polars lazy", TOTAL_AND_NET, *names)
    assert isinstance(frame, pl.LazyFrame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = frame.usage.cost_by()
    with pytest.warns(MissingColumnWarning, match=r"1 of 2 records"):
        answer.collect()


@EVERY_FLAVOUR
@pytest.mark.parametrize("options", [{}, {"freq": "1d"}, {"overlap": "ignore"}])
def test_records_with_a_net_amount_need_no_other_column(flavour, options):
    dated = {"start_date": "2026-01-01"}
    records = [record("a", ("net", 10), ("total", 12), **dated), record("b", ("net", 3), **dated)]
    names = ("id", "start_date", "end_date", "charges.net", "charges.currency")
    frame = frame_with(flavour, records, *names)
    found, messages = warned(lambda: tu.cost_by(frame, **options))
    assert (sum(row["cost"] for row in found), messages) == (13, [])


# Which columns are missing, the charges of a record beside one that has a net amount, and which of
# the missing ones could change its cost.
@pytest.mark.parametrize(
    ("missing", "charges", "matter"),
    [
        # A total is the cost; what is taken off it is `included`.
        (["discount"], [("total", 10)], []),
        (["platform_fee"], [("total", 10)], []),
        (["included"], [("total", 10)], ["included"]),
        (["net"], [("total", 10)], ["net"]),
        # Whether `included` is part of the total depends on the other parts.
        (["platform_fee"], [("total", 10), ("included", 4)], ["platform_fee"]),
        (["discount"], [("total", 10), ("included", 4)], []),
        (["discount", "included"], [("total", 10)], ["included"]),
        # Parts are the cost where there is no total.
        (["included"], [("on_demand", 10)], []),
        (["discount"], [("on_demand", 10)], ["discount"]),
        (["committed"], [("on_demand", 10)], ["committed"]),
        (["total"], [("on_demand", 10)], ["total"]),
        # Without any part there is nothing to discount; there may be parts.
        (["discount"], [("tax", 10)], []),
        (["discount", "committed"], [("tax", 10)], ["committed", "discount"]),
        # Tax and credit are never part of it.
        (["tax", "credit"], [("on_demand", 10)], []),
    ],
)
def test_only_columns_that_could_change_a_cost_are_named(missing, charges, matter):
    frame = tu.flatten_usage([record("a", ("net", 1)), record("b", *charges)])
    frame = frame.drop(columns=[f"charges.{name}" for name in missing])
    _, messages = warned(frame.usage.cost_by)
    if "net" in missing:  # then record a could have another cost too
        assert "2 of 2 records: charges.net." in messages[0]
    elif matter:
        (message,) = messages
        assert f"1 of 2 records: {', '.join(f'charges.{name}' for name in matter)}." in message
    else:
        assert messages == []


@WARNING_FLAVOUR
def test_a_policy_of_one_charge_reads_no_other(flavour):
    frame = frame_with(flavour, TOTAL_AND_NET, "id", "charges.net", "charges.currency")
    (row,), messages = warned(lambda: tu.cost_by(frame, charge="net"))
    assert (row["cost"], messages) == (3, [])
    with pytest.raises(UnknownFieldError, match=r"none of the columns .*: charges\.total\."):
        tu.cost_by(frame, charge="total")


@WARNING_FLAVOUR
def test_a_policy_by_product_warns_of_the_products_it_concerns(flavour):
    records = [
        record("a", ("net", 3), product={"id": "claude"}),
        record("b", ("total", 10), product={"id": "cursor"}),
    ]
    names = ("id", "product.id", "charges.net", "charges.currency")
    frame = frame_with(flavour, records, *names)
    _, (message,) = warned(lambda: tu.cost_by(frame, charge={"cursor": "total"}))
    assert "1 of 2 records: charges.total." in message
    _, messages = warned(lambda: tu.cost_by(frame, charge={"claude": "total", "cursor": "net"}))
    assert "1 of 2 records: charges.total." in messages[0]
    assert warned(lambda: tu.cost_by(frame, charge={"cursor": "net"}))[1] == []


@EVERY_FLAVOUR
def test_a_policy_by_product_needs_the_product(flavour):
    frame = frame_with(flavour, TOTAL_AND_NET, "id", "charges.net", "charges.currency")
    with pytest.raises(UnknownFieldError, match=r"'product\.id' is missing"):
        tu.cost_by(frame, charge={"cursor": "total"})


@EVERY_FLAVOUR
def test_a_metric_that_is_absent_from_a_long_frame_is_not_missing(flavour):
    frame = FLAVOURS[flavour](tu.flatten_usage(TOTAL_AND_NET, layout="long", backend="pyarrow"))
    (row,), messages = warned(lambda: tu.cost_by(frame))
    assert (row["cost"], messages) == (13, [])


def test_an_empty_frame_lacks_nothing():
    frame = tu.flatten_usage([])[["id", "charges.net", "charges.currency"]]
    assert warned(frame.usage.cost_by)[1] == []


@WARNING_FLAVOUR
def test_what_is_unbilled_depends_on_all_charges(flavour):
    usage = {"tokens": {"input": 1_000_000, "output": 0, "total": 1_000_000}}
    model = {"id": "opus"}
    records = [record("a", ("total", 10), model=model, usage=usage)]
    names = ("id", "model.id", "usage.tokens.input", "usage.tokens.output", "charges.net")
    frame = frame_with(flavour, records, *names)
    prices = {"opus": {"input": 15, "output": 75}}
    _, (message,) = warned(lambda: tu.estimate_cost(frame, prices=prices))
    assert "1 of 1 records: charges.total" in message
    assert warned(lambda: tu.estimate_cost(frame, prices=prices, scope="all"))[1] == []


TWO_DAYS = [
    record("a", ("total", 10), product=PRODUCT, user={"id": "ada"}, start_date="2026-01-01"),
    record("b", ("net", 3), product=PRODUCT, user={"id": "bob"}, start_date="2026-01-02"),
]
NAMES = ("id", "product.id", "user.id", "start_date", "end_date", "charges.net", "charges.currency")
CHARTS = {
    "cost_by": lambda frame, **how: frame.usage.plot.cost_by("user.id", **how),
    "trend": lambda frame, **how: frame.usage.plot.trend("user.id", freq="1d", **how),
    "heatmap": lambda frame, **how: frame.usage.plot.heatmap(**how),
    "pareto": lambda frame, **how: frame.usage.plot.pareto(groups=1, **how),
}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("flavour", ["pandas", "polars lazy"])
def test_a_chart_warns_once(name, flavour):
    frame = frame_with(flavour, TWO_DAYS, *NAMES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CHARTS[name](frame)
    assert [w.category for w in caught] == [MissingColumnWarning]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_of_cost_needs_the_currency(name):
    frame = frame_with("pandas", TWO_DAYS, *NAMES[:-1])
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
        CHARTS[name](frame)
    frame = frame_with("pandas", [TWO_DAYS[1]], *NAMES[:-1])
    assert "USD" in CHARTS[name](frame, assume_currency="USD").to_json()


@pytest.mark.parametrize("flavour", ["pandas", "polars lazy", "duckdb"])
def test_a_report_warns_once(flavour, tmp_path):
    frame = frame_with(flavour, TWO_DAYS, *NAMES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tu.report(frame, tmp_path / "report.html")
    assert [w.category for w in caught] == [MissingColumnWarning]


def test_a_report_of_amounts_needs_the_currency(tmp_path):
    frame = frame_with("pandas", TWO_DAYS, *NAMES[:-1])
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
        tu.report(frame, tmp_path / "report.html")
    path = tu.report(frame[["id", "user.id", "start_date"]], tmp_path / "users.html")
    assert path.endswith("users.html")  # without any amount there is nothing to add


def test_reconciling_needs_the_currency_of_both_sides():
    whole = tu.flatten_usage(TWO_DAYS)
    part = whole[["id", "product.id", "start_date", "charges.net"]]
    for ours, theirs in ((part, whole), (whole, part)):
        with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
            tu.reconcile(ours, theirs)
    found, _ = warned(lambda: tu.reconcile(whole, part, assume_currency="USD"))
    assert [(row["currency"], row["ours"], row["theirs"]) for row in found] == [("USD", 13, 3)]


def test_reconciling_warns_of_the_side_that_lacks_columns():
    whole = tu.flatten_usage(TWO_DAYS)
    part = whole[["id", "product.id", "start_date", "charges.net", "charges.currency"]]
    assert len(warned(lambda: tu.reconcile(whole, part))[1]) == 1
    assert len(warned(lambda: tu.reconcile(part, whole))[1]) == 1
    assert warned(lambda: tu.reconcile(whole, whole))[1] == []


@EVERY_FLAVOUR
def test_cost_is_shared_within_a_currency_that_is_known(flavour):
    records = [
        record("a", ("net", 1), user={"id": "ada"}),
        record("b", ("net", 3), user={"id": "bob"}),
        record("fee", ("net", 8)),
    ]
    frame = frame_with(flavour, records, "id", "user.id", "charges.net")
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
        tu.allocate_shared(frame, {"user.id": None}, "user.id", by="cost")
    spread = tu.allocate_shared(
        frame, {"user.id": None}, "user.id", by="cost", assume_currency="USD"
    )
    assert "charges.currency" not in columns(spread)
    found = {row["user.id"]: row["charges.net"] for row in rows(spread) if row["allocated"]}
    assert found == {"ada": 2, "bob": 6}  # 8 in proportion of 1 to 3


def test_shared_amounts_of_unknown_currencies_are_not_added_in_the_warning():
    fees = [record("x", ("net", 1)), record("y", ("net", 100), currency="JPY")]
    frame = frame_with("pandas", fees, "id", "user.id", "charges.net")
    with pytest.warns(tu.errors.AllocationWarning) as caught:
        tu.allocate_shared(frame, {"user.id": None}, "user.id", by="even")
    assert "101" not in str(caught[0].message)


def test_a_question_of_its_rules_needs_the_currency_too():
    frame = tu.load_example()[["id", "charges.net"]]
    with pytest.raises(UnknownFieldError, match=r"'charges\.currency' is missing"):
        tu.explain(frame, "cost_by")
    counts = tu.explain(frame, "cost_by", assume_currency="USD").counts
    assert counts["cost.no currency"] == 0


def test_wrong_kinds_of_amounts_are_named_before_anything_is_counted():
    frame = tu.load_example()[["id", "charges.net", "charges.currency"]]
    with pytest.raises(FrameError, match=r"'charges\.net'"):
        frame.assign(**{"charges.net": "much"}).usage.cost_by()
