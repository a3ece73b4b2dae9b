"""Two sources of the same figures side by side, worked out by hand; and sums that are conserved."""

import datetime as dt
import math
from functools import partial

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import flattened
from strategies import draws
from test_oracle import RECORDS
from tidyusage.errors import (
    FrameError,
    OptionError,
    OverlapError,
    OverlapWarning,
    RecordError,
    UnknownFieldError,
)

JANUARY, FEBRUARY = dt.date(2026, 1, 1), dt.date(2026, 2, 1)
FIGURES = ["ours", "theirs", "matched", "residual", "status", "records_ours", "records_theirs"]


def relation(table):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    connection.register("usage", table)
    return connection.sql("select * from usage")


FLAVOURS = {
    "pandas": lambda df: tu.flatten_usage([]) if df.is_empty() else df.to_pandas(),
    "pandas arrow": lambda df: df.to_pandas(use_pyarrow_extension_array=True),
    "polars": lambda df: df,
    "polars lazy": lambda df: df.lazy(),
    "polars category": lambda df: df.cast({"product.id": pl.Categorical}),
    "pyarrow": lambda df: df.to_arrow(),
    "duckdb": lambda df: relation(df.to_arrow()),
    "underscores": lambda df: df.rename({name: name.replace(".", "_") for name in df.columns}),
    "long": tu.to_long,
}


def cost(product, day, amount, currency="USD", **more):
    charge = {"type": "net", "amount": amount, "currency": currency}
    return {"product": {"id": product}, "start_date": day, "charges": [charge], **more}


def flat(*records):
    numbered = [{"id": f"{n}", **record} for n, record in enumerate(records)]
    return flattened(numbered, "polars")


def sides(found, *names):
    return [tuple(row[name] for name in names or FIGURES) for row in rows(found)]


OURS = flat(
    cost("claude", "2026-01-05", 60),
    cost("claude", "2026-01-20", 40),
    cost("codex", "2026-01-31", 10, "EUR"),
    cost("cursor", "2026-01-07", 50),
    cost("claude", "2026-02-01", 7),
)
THEIRS = flat(
    cost("claude", "2026-01-09", 75),
    cost("cursor", "2026-01-09", 50.01),
    cost("slack", "2026-01-09", 5),
    cost("claude", "2026-02-28", 3),
    cost("claude", "2026-02-28", 4),
)
# 100 of ours and 75 of theirs; 10 and nothing; nothing and 5; 50 and 50.01; then 7 and 3 + 4
SIDES = [
    (JANUARY, "claude", "USD", 100.0, 75.0, 75.0, 25.0, "residual", 2, 1),
    (JANUARY, "codex", "EUR", 10.0, None, 0.0, 10.0, "missing_there", 1, 0),
    (JANUARY, "slack", "USD", None, 5.0, 0.0, -5.0, "missing_here", 0, 1),
    (JANUARY, "cursor", "USD", 50.0, 50.01, 50.0, -0.01, "matched", 1, 1),
    (FEBRUARY, "claude", "USD", 7.0, 7.0, 7.0, 0.0, "matched", 1, 2),
]


def plain(found):
    """Return rows as tuples, with dates and rounded numbers."""
    return [
        tuple(
            value.date() if isinstance(value, dt.datetime)
            else round(value, 9) if isinstance(value, float)
            else value
            for value in row.values()
        )
        for row in rows(found)
    ]  # fmt: skip


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("other", ["polars", "pandas", "duckdb", "underscores", "polars lazy"])
def test_every_library_sets_the_same_side_by_side(flavour, other):
    frame = FLAVOURS[flavour](OURS)
    found = tu.reconcile(frame, FLAVOURS[other](THEIRS))
    assert type(found) is type(frame)
    product = "product_id" if flavour == "underscores" else "product.id"
    assert columns(found) == ["period", product, "currency", *FIGURES]
    assert plain(found) == SIDES


def test_what_is_within_the_tolerance_matches():
    ours, theirs = (flat(cost("claude", "2026-01-01", amount)) for amount in (10, 10.5))
    assert sides(tu.reconcile(ours, theirs), "status") == [("residual",)]
    assert sides(tu.reconcile(ours, theirs, within=0.5), "status") == [("matched",)]
    # the noise of sums of floats is no residual
    ours = flat(*(cost("claude", "2026-01-01", 0.1) for _ in range(10)))
    assert sides(tu.reconcile(ours, flat(cost("claude", "2026-01-01", 1)), within=0), "status") == [
        ("matched",)
    ]


def test_amounts_of_two_signs_have_nothing_in_common_and_credits_do():
    def both(left, right):
        found = tu.reconcile(*(flat(cost("claude", "2026-01-01", n)) for n in (left, right)))
        return sides(found, "matched", "residual", "status")

    assert both(10, -4) == [(0, 14, "residual")]
    assert both(-10, -4) == [(-4, -6, "residual")]
    assert both(0, 0) == [(0, 0, "matched")]


def test_a_figure_that_is_missing_is_not_zero():
    bare = flat({"product": {"id": "claude"}, "start_date": "2026-01-01"})
    priced = flat(cost("claude", "2026-01-01", 0))
    assert sides(tu.reconcile(bare, priced), *FIGURES[:2], "status") == [(None, 0, "missing_here")]
    assert sides(tu.reconcile(priced, bare), *FIGURES[:2], "status") == [(0, None, "missing_there")]
    assert rows(tu.reconcile(bare, bare)) == []


def test_currencies_are_not_compared_and_unknown_ones_match_none():
    ours = flat(cost("claude", "2026-01-01", 5, "usd "), cost("codex", "2026-01-01", 5, None))
    theirs = flat(cost("claude", "2026-01-01", 5), cost("codex", "2026-01-01", 5))
    found = sides(tu.reconcile(ours, theirs), "product.id", "currency", "status")
    assert found == [
        ("codex", "USD", "missing_here"),
        ("codex", None, "missing_there"),
        ("claude", "USD", "matched"),
    ]


def test_both_are_converted():
    ours, theirs = (
        flat(cost("claude", "2026-01-01", 10, "EUR")),
        flat(cost("claude", "2026-01-01", 11)),
    )
    found = tu.reconcile(ours, theirs, rates={"EUR": 1.1}, to="USD")
    assert sides(found, "currency", "status") == [("USD", "matched")]
    for pair in ((ours, theirs), (theirs, ours)):
        with pytest.raises(RecordError, match="There is no rate of EUR to USD"):
            tu.reconcile(*pair, rates={"GBP": 1}, to="USD")


def test_an_organizations_report_beside_its_users():
    org = cost("claude", "2026-01-01", 100, end_date="2026-02-01")
    ada = cost("claude", "2026-01-03", 30, user={"id": "ada"})
    bob = cost("claude", "2026-01-04", 45, user={"id": "bob"})
    df = flat(org, ada, bob)
    found = tu.reconcile(
        df.filter(pl.col("user.id").is_null()), df.filter(pl.col("user.id").is_not_null())
    )
    assert plain(found) == [(JANUARY, "claude", "USD", 100.0, 75.0, 75.0, 25.0, "residual", 1, 2)]


def test_further_dimensions_and_ones_own():
    ours = OURS.with_columns(team=pl.lit("core"))
    theirs = THEIRS.with_columns(team=pl.lit("core"))
    for by in (("team",), ("product.id", "team"), ("team", "product.id")):
        found = tu.reconcile(ours, theirs, *by, freq=None)
        first = by if len(by) > 1 else ("product.id", *by)
        assert columns(found) == [*first, "currency", *FIGURES]
        assert len(rows(found)) == 4
    with pytest.raises(UnknownFieldError, match="Of the other frame: Unknown dimension 'team'"):
        tu.reconcile(ours, THEIRS, "team")
    with pytest.raises(UnknownFieldError, match="Unknown dimension 'tea'"):
        tu.reconcile(ours, theirs, "tea")
    with pytest.raises(OptionError, match="is called like a column of the answer"):
        tu.reconcile(ours.rename({"team": "ours"}), theirs.rename({"team": "ours"}), "ours")


def test_numbers_and_flags_of_ones_own_are_compared_as_text():
    ours = OURS.with_columns(flag=pl.lit(value=True), number=pl.lit(3))
    theirs = FLAVOURS["pandas"](THEIRS.with_columns(flag=pl.lit(value=True), number=pl.lit(3)))
    found = tu.reconcile(ours, theirs, "flag", "number", freq=None)
    assert set(sides(found, "flag", "number")) == {("true", "3")}


def test_products_have_other_names_elsewhere():
    theirs = flat(cost("Claude Team", "2026-01-01", 60), cost("Claude API", "2026-01-01", 40))
    found = tu.reconcile(
        OURS.head(2), theirs, products={"Claude Team": "claude", "Claude API": "claude"}
    )
    assert sides(found, "product.id", "ours", "theirs", "records_theirs") == [
        ("claude", 100, 100, 2)
    ]


def test_other_measures():
    def used(day, tokens, requests):
        usage = {"tokens": {"total": tokens}, "requests": {"total": requests}}
        return {"product": {"id": "claude"}, "start_date": day, "usage": usage}

    ours = flat(used("2026-01-01", 10, 3), used("2026-01-02", 5, None))
    theirs = FLAVOURS["underscores"](flat(used("2026-01-01", 15, 4)))
    expected = {"tokens": (15, 15, "matched"), "requests": (3, 4, "residual")}
    expected |= {
        "requests.total": expected["requests"],
        "usage.requests.total": expected["requests"],
    }
    for measure, figures in expected.items():
        found = tu.reconcile(ours, theirs, measure=measure)
        assert columns(found) == ["period", "product.id", *FIGURES]
        assert sides(found, "ours", "theirs", "status") == [figures]
    assert sides(tu.reconcile(theirs, ours, measure="usage_requests_total"), "ours") == [(4,)]
    with pytest.raises(OptionError, match="A sum of sessions has no meaning"):
        tu.reconcile(ours, theirs, measure="sessions")


def test_periods_and_zones():
    # 2026-02-01T04:00Z is still January in New York
    ours = flat(cost("claude", "2026-02-01T04:00:00Z", 5, end_date="2026-02-01T05:00:00Z"))
    here = tu.reconcile(ours, ours, tz="America/New_York")
    assert plain(here)[0][0] == JANUARY
    hours = tu.reconcile(ours, FLAVOURS["pandas"](ours), freq="1h", tz="America/New_York")
    (row,) = rows(hours)
    assert (row["period"], row["status"]) == (dt.datetime(2026, 2, 1, 4, tzinfo=dt.UTC), "matched")
    assert columns(tu.reconcile(ours, ours, freq=None))[0] == "product.id"


def test_records_without_dates_are_a_period_of_their_own():
    bare = flat(cost("claude", None, 5))
    assert sides(tu.reconcile(bare, bare), "period", "status") == [(None, "matched")]


# Invoices

NAMES = {"date": "Month", "product.id": "Service", "cost": "Amount", "currency": "Currency"}


def invoice(*lines, **more):
    rows_ = [dict(zip(NAMES.values(), line, strict=True)) for line in lines]
    return pd.DataFrame(rows_, columns=list(NAMES.values())).assign(**more)


INVOICE = invoice(
    ("2026-01", "Claude", "75.00", "usd"),
    ("2026-01", "cursor", "50.01", "USD"),
    ("2026-01", "slack", "5", "USD"),
    ("2026-02", "Claude", "7", "USD"),
)
KINDS = {
    "pandas": lambda df: df,
    "categories": lambda df: df.astype("category"),
    "numbers": lambda df: df.astype({"Amount": float}),
    "dates": lambda df: df.assign(Month=pd.to_datetime(df["Month"])),
    "polars": pl.from_pandas,
    "polars lazy": lambda df: pl.from_pandas(df).lazy(),
    "polars dates": lambda df: pl.from_pandas(df).with_columns(
        pl.col("Month").str.to_date("%Y-%m")
    ),
    "duckdb": lambda df: relation(pl.from_pandas(df).to_arrow()),
    "arrow": lambda df: pl.from_pandas(df).to_arrow(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", ["polars", "pandas", "duckdb", "underscores"])
def test_an_invoice_beside_the_usage(kind, flavour):
    found = tu.reconcile(
        FLAVOURS[flavour](OURS), KINDS[kind](INVOICE), columns=NAMES, products={"Claude": "claude"}
    )
    expected = [*SIDES[:-1], (*SIDES[-1][:-1], 1)]
    assert plain(found) == expected


def test_a_month_of_an_invoice_is_all_of_its_days():
    lines = invoice(("2026-02", "claude", 28, "USD"), ("2026-02-03", "claude", 5, "USD"))
    found = tu.reconcile(OURS, lines, columns=NAMES, freq="1d")
    days = {row["period"].day: row["theirs"] for row in rows(found) if row["theirs"] is not None}
    assert days == {day: pytest.approx(6 if day == 3 else 1) for day in range(1, 29)}


@pytest.mark.parametrize("tz", ["America/New_York", "Asia/Tokyo", "Europe/Berlin"])
@pytest.mark.parametrize("kind", ["pandas", "dates", "polars dates"])
def test_dates_of_an_invoice_are_of_the_zones_calendar(tz, kind):
    lines = invoice(("2026-03", "claude", 31, "USD"))  # clocks change in March
    found = tu.reconcile(OURS, KINDS[kind](lines), columns=NAMES, tz=tz)
    theirs = [(row["period"].month, row["theirs"]) for row in rows(found) if row["theirs"]]
    assert theirs == [(3, 31)]
    day = invoice(("2026-03-29", "claude", 1, "USD"))
    found = tu.reconcile(OURS, day, columns=NAMES, tz=tz, freq="1d")
    assert [row["period"].day for row in rows(found) if row["theirs"]] == [29]


def test_an_instant_of_an_invoice_has_its_own_zone():
    lines = invoice(("2026-03-01T03:00:00Z", "claude", 1, "USD"))
    lines["Until"] = "2026-03-01T04:00:00+00:00"
    names = NAMES | {"end_date": "Until"}
    for frame in (
        lines,
        lines.assign(Month=pd.to_datetime(lines["Month"]), Until=pd.to_datetime(lines["Until"])),
    ):
        found = tu.reconcile(OURS, frame, columns=names, tz="America/New_York")
        assert [row["period"].month for row in rows(found) if row["theirs"]] == [2]


def test_an_end_of_an_invoice_is_meant_as_it_is_said():
    lines = invoice(("2026-01-31", "claude", 2, "USD"), Until="2026-02-01")
    names = NAMES | {"end_date": "Until"}

    def months(**options):
        found = tu.reconcile(flat(), lines, columns=names, **options)
        return [(row["period"].month, row["theirs"]) for row in rows(found)]

    assert months() == [(1, 2)]
    assert sorted(months(end="inclusive")) == [(1, 1), (2, 1)]


def test_empty_cells_and_currencies_of_an_invoice():
    lines = invoice(
        ("2026-01", "claude", 100, None), ("2026-01", "claude", None, "USD"), (None, " ", 1, " ")
    )
    found = tu.reconcile(OURS.head(2), lines, columns=NAMES, currency="usd")
    assert sides(found, "period", "product.id", "theirs", "status") == [
        (JANUARY, "claude", 100, "matched"),
        (None, None, 1, "missing_here"),
    ]
    unknown = tu.reconcile(OURS.head(2), lines.head(1), columns=NAMES)
    assert sides(unknown, "currency", "status") == [
        ("USD", "missing_there"),
        (None, "missing_here"),
    ]


def test_an_amount_of_an_invoice_is_what_was_billed_whatever_is_compared():
    charges = [{"type": "net", "amount": 8, "currency": "USD"}]
    charges += [{"type": "total", "amount": 10, "currency": "USD"}]
    df = flat({"product": {"id": "claude"}, "start_date": "2026-01-01", "charges": charges})
    lines = invoice(("2026-01", "claude", 10, "USD"))
    found = tu.reconcile(df, lines, columns=NAMES, charge="total")
    assert sides(found, "ours", "theirs", "status") == [(10, 10, "matched")]
    assert sides(tu.reconcile(df, lines, columns=NAMES), "ours", "theirs") == [(8, 10)]


def test_tokens_and_dimensions_of_an_invoice():
    df = flat(
        {"product": {"id": "codex"}, "model": {"id": "gpt-5"}, "usage": {"tokens": {"total": 9}}}
    )
    lines = pd.DataFrame({"What": ["codex"], "Model": ["gpt-5"], "Count": [9]})
    names = {"product.id": "What", "model.id": "Model", "tokens": "Count"}
    found = tu.reconcile(df, lines, "model.id", columns=names, measure="tokens", freq=None)
    assert sides(found, "product.id", "model.id", "status") == [("codex", "gpt-5", "matched")]
    names = {"product.id": "What", "requests.total": "Count"}
    found = tu.reconcile(df, lines, columns=names, measure="requests.total", freq=None)
    assert sides(found, "theirs") == [(9,)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("2026-01", "claude", "1,234.50", "USD"), "Line 2 of the invoice has Amount = 1,234.50, which is no number"),
        (("2026-01", "claude", "$5", "USD"), "Amount = .5, which is no number"),
        (("2026-01", "claude", "inf", "USD"), "Amount = inf, which is no number"),
        (("31.01.2026", "claude", "5", "USD"), "Line 2 of the invoice has Month = 31.01.2026, which is no date"),
        (("2026-02-30", "claude", "5", "USD"), "Month = 2026-02-30, which is no date"),
        (("01/02/2026", "claude", "5", "USD"), "Month = 01/02/2026, which is no date"),
        (("2026-13", "claude", "5", "USD"), "Month = 2026-13, which is no date"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_not_read(line, words):
    lines = invoice(("2026-01", "claude", "5", "USD"), line)
    with pytest.raises(RecordError, match=words):
        tu.reconcile(OURS, lines, columns=NAMES)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"columns": {"date": "Month"}}, OptionError, "does not say which column is the cost"),
        ({"columns": {"cost": "Amount"}}, OptionError, "does not say which column is the date"),
        ({"columns": NAMES | {"surface": "Month"}}, OptionError, "columns= names 'surface'"),
        ({"columns": NAMES | {"cost": "Amuont"}}, UnknownFieldError, "Did you mean 'Amount'"),
        ({"columns": ["Month"]}, OptionError, "columns= is list"),
        ({"columns": NAMES | {"date": "Number"}}, OptionError, "'Number' holds no dates"),
        ({"columns": NAMES | {"cost": "Flag"}}, OptionError, "'Flag' holds no amounts"),
        ({"columns": NAMES, "products": "claude"}, OptionError, "is no mapping"),
        ({"columns": NAMES, "products": {"claude": None}}, OptionError, "is no mapping"),
        ({"columns": NAMES, "currency": " "}, OptionError, "is no currency"),
        ({"columns": NAMES, "within": -1}, OptionError, "within=-1 is no tolerance"),
        ({"columns": NAMES, "freq": "2d"}, OptionError, "freq='2d'"),
        ({"columns": NAMES, "measure": "money"}, UnknownFieldError, "Unknown measure 'money'"),
        ({"columns": NAMES, "charge": "list"}, OptionError, "charge='list' is no policy"),
        ({}, FrameError, "This is no usage frame"),
    ],
)
def test_wrong_options_say_so(options, error, words):
    lines = INVOICE.assign(Number=5, Flag=True)
    with pytest.raises(error, match=words):
        tu.reconcile(OURS, lines, **options)


def test_what_is_no_frame_and_what_needs_an_invoice():
    for columns_ in (None, NAMES):
        with pytest.raises(FrameError, match="list is no frame"):
            tu.reconcile(OURS, [], columns=columns_)
    with pytest.raises(OptionError, match="currency= is about an invoice"):
        tu.reconcile(OURS, THEIRS, currency="USD")
    with pytest.raises(UnknownFieldError, match="none of the columns that reconcile needs"):
        tu.reconcile(OURS, THEIRS.select("id", "product.id"))


def test_frames_without_rows_and_lazy_ones():
    assert rows(tu.reconcile(flat(), flat())) == []
    assert sides(tu.reconcile(flat(), THEIRS.head(1)), "status") == [("missing_here",)]
    assert sides(tu.reconcile(OURS.head(1), flat()), "status") == [("missing_there",)]
    lazy = OURS.lazy().map_batches(lambda _: pytest.fail("collected"))
    assert isinstance(tu.reconcile(lazy, THEIRS), pl.LazyFrame)
    assert OURS.usage.reconcile(OURS)["status"].unique().to_list() == ["matched"]


def test_rows_that_count_twice_are_told_of_either_side():
    both = pl.concat(
        [OURS, OURS.with_columns(id=pl.col("id") + "-ada", **{"user.id": pl.lit("ada")})]
    )
    for sides_ in ((both, THEIRS), (OURS, both)):
        with pytest.warns(OverlapWarning, match="organization equal those by user"):
            tu.reconcile(*sides_)
        with pytest.raises(OverlapError):
            tu.reconcile(*sides_, overlap="raise")


LAW = settings(max_examples=draws(10), deadline=None, suppress_health_check=list(HealthCheck))


def added(found, name):
    sums = {}
    for row in rows(found):
        if row[name] is not None:
            sums.setdefault(row["currency"], []).append(row[name])
    return {currency: math.fsum(amounts) for currency, amounts in sums.items()}


@LAW
@given(RECORDS, RECORDS, st.sampled_from([None, "1d", "1mo"]))
def test_all_that_either_has_is_there_and_residuals_are_the_difference(left, right, freq):
    ours, theirs = (tu.flatten_usage(side, backend="polars") for side in (left, right))
    ask = partial(tu.reconcile, freq=freq, overlap="ignore")
    found = ask(ours, theirs)
    cost = partial(tu.cost_by, overlap="ignore")
    whole = {"ours": added(cost(ours), "cost"), "theirs": added(cost(theirs), "cost")}
    for side, sums in whole.items():
        assert added(found, side) == pytest.approx(sums, abs=1e-6)
    zero = dict.fromkeys(whole["ours"] | whole["theirs"], 0)
    left_, right_ = (zero | whole[side] for side in ("ours", "theirs"))
    difference = {currency: left_[currency] - right_[currency] for currency in zero}
    assert zero | added(found, "residual") == pytest.approx(difference, abs=1e-6)
    # turned round, what is missing here is missing there
    turned = {"missing_here": "missing_there", "missing_there": "missing_here"}
    back = sides(ask(theirs, ours), "status")
    there = [(turned.get(status, status),) for (status,) in sides(found, "status")]
    assert sorted(back) == sorted(there)
    itself = sides(ask(ours, FLAVOURS["duckdb"](ours), within=0), "status")
    assert set(itself) <= {("matched",)}
