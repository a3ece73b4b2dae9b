"""Prices by date and by tier, and what cannot be priced."""

import datetime as dt
import warnings

import pandas as pd
import polars as pl
import pytest
from genai_prices import data_snapshot

import tidyusage as tu
from conftest import rows
from flavours import FEW, FLAVOURS, frame_of
from tidyusage.errors import ModelWarning, OptionError
from tidyusage.metrics import _prices as prices_

PRICES = {"m": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}}


def used(id_, start=None, model="m", end=None, requests=None, **tokens):
    usage = {"tokens": tokens, "requests": {"total": requests}}
    dates = {"start_date": start, "end_date": end}
    return {"id": id_, "model": {"id": model, "provider": "p"}, "usage": usage, **dates}


def estimates(frame, *by, **options):
    found = rows(tu.estimate_cost(frame, *by, **options))
    return {row["id"]: row["estimated_cost"] for row in found} if by else found[0]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    "counts",
    [
        {"total": 1e6, "output": 1e5},
        {"total": 1e6, "input": 1e5},
        {"total": 1e6, "cache_read": 1e5},
        {"total": 1e6, "cache_read": 1e5, "cache_write": 2e5, "output": 1e5},
        {"total": 1e6},
    ],
)
def test_a_record_whose_parts_do_not_make_its_total_is_unpriced(flavour, counts):
    whole = used("b", input=1e6, output=1e5, total=1.1e6)
    frame = frame_of([used("a", **counts), whole], flavour)
    row = estimates(frame, prices=PRICES)
    # The second record alone: 1 × 3 + 0.1 × 15.
    assert row["estimated_cost"] == pytest.approx(4.5)
    assert (row["records"], row["unpriced_records"], row["unpriced"]) == (1, 1, "m")
    assert row["tokens"] == 1.1e6


def test_parts_that_make_the_total_in_either_way_are_priced():
    records = [
        used("within", input=100, output=10, cache_read=50, total=110),
        used("beside", input=100, output=10, cache_read=50, total=160),
        used("all cached", input=0, output=0, cache_read=50, total=50),
        used("no total", output=10),
    ]
    found = estimates(frame_of(records), "id", prices=PRICES, per=1)
    assert found == pytest.approx(
        {
            "within": 50 * 3 + 10 * 15 + 50 * 0.3,
            "beside": 100 * 3 + 10 * 15 + 50 * 0.3,
            "all cached": 50 * 0.3,
            "no total": 150,
        }
    )


DATED = [
    {"model.id": "m", "date": dt.date(2026, 1, 10), "input": 10, "output": 20},
    {"model.id": "m", "date": dt.date(2026, 2, 1), "input": 5, "output": 10},
    {"model.id": "n", "date": dt.date(2026, 1, 1), "input": 1, "output": 1},
]
AT = [
    used("too early", "2026-01-09", input=1, output=1),
    used("first day", "2026-01-10", input=1, output=1),
    used("last moment", "2026-01-31T23:59:59Z", input=1, output=1),
    used("second", "2026-02-01", input=1, output=1),
    used("later", "2027-01-01", input=1, output=1),
    used("no date", input=1, output=1),
    used("other", "2026-01-09", "n", input=1, output=1),
]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_latest_price_at_or_before_the_start_counts(flavour):
    frame = frame_of(AT, flavour)
    found = estimates(frame, "id", prices=pl.DataFrame(DATED), per=1)
    found = {name: None if pd.isna(cost) else cost for name, cost in found.items()}
    assert found == {
        "too early": None,
        "first day": 30,
        "last moment": 30,
        "second": 15,
        "later": 15,
        "no date": None,
        "other": 2,
    }
    row = estimates(frame, prices=pl.DataFrame(DATED), per=1)
    assert (row["records"], row["unpriced_records"]) == (5, 2)


@pytest.mark.parametrize(
    "of",
    [
        pl.DataFrame,
        pd.DataFrame,
        lambda rows_: pd.DataFrame(rows_).assign(date=lambda df: pd.to_datetime(df["date"])),
        lambda rows_: pl.DataFrame(rows_).with_columns(pl.col("date").cast(pl.String)),
        lambda rows_: pl.DataFrame(rows_).to_arrow(),
    ],
)
def test_dates_of_prices_are_taken_in_every_form(of):
    found = estimates(frame_of(AT[1:4]), "id", prices=of(DATED), per=1)
    assert found == {"first day": 30, "last moment": 30, "second": 15}


def test_dated_prices_hold_for_savings_too():
    prices = [
        {"model.id": "m", "date": f"2026-0{n}-01", "input": 10 * n, "cache_read": n} for n in (1, 2)
    ]
    records = [used("a", "2026-01-31", cache_read=1), used("b", "2026-02-01", cache_read=1)]
    found = rows(tu.cache_savings(frame_of(records), "id", prices=pl.DataFrame(prices), per=1))
    assert {row["id"]: row["savings"] for row in found} == {"a": 9, "b": 18}


@pytest.mark.parametrize(
    ("rows_", "words"),
    [
        ([DATED[0], DATED[0]], r"has 'm' twice at 2026-01-10 00:00:00"),
        ([{**DATED[0], "date": None}], "has the date None"),
        ([{**DATED[0], "date": "soon"}], "has the date 'soon'"),
    ],
)
def test_wrong_dates_of_prices_say_so(rows_, words):
    with pytest.raises(OptionError, match=words):
        tu.estimate_cost(frame_of(AT), prices=pl.DataFrame(rows_))


@pytest.mark.parametrize("flavour", FEW)
def test_estimates_by_period_are_split_as_costs_are(flavour):
    # 31 January and 1 February: half the tokens on each side, at the price of the start.
    frame = frame_of(used("a", "2026-01-31", end="2026-02-02", input=4, output=2), flavour)
    found = rows(tu.estimate_cost(frame, freq="1mo", prices=pl.DataFrame(DATED), per=1))
    assert [(str(row["period"])[:10], row["estimated_cost"]) for row in found] == [
        ("2026-01-01", 40),
        ("2026-02-01", 40),
    ]
    frame = frame_of(used("a", "2026-01-31", end="2026-02-02", cache_read=4), flavour)
    prices = {"m": {"input": 10, "cache_read": 1}}
    found = rows(tu.cache_savings(frame, freq="1mo", prices=prices, per=1))
    assert [row["savings"] for row in found] == [18, 18]
    # The evening of the 31st in New York is in January, and 1 February from 05:00 UTC on.
    found = rows(tu.cache_savings(frame, freq="1mo", tz="America/New_York", prices=prices, per=1))
    assert [row["savings"] for row in found] == pytest.approx([36 * 29 / 48, 36 * 19 / 48])


# Models without a price


@pytest.mark.parametrize("flavour", ["pandas", "polars", "polars lazy", "pyarrow"])
@pytest.mark.parametrize("model", ["us.anthropic.claude-m-v1:0", "claude-4-m-thinking", "m@2026"])
def test_models_without_a_price_point_to_rename_models(flavour, model):
    records = [used("a", model=model, input=1), used("b", input=1), used("c", model=None, input=1)]
    frame = frame_of(records, flavour)
    with pytest.warns(ModelWarning, match="rename_models") as told:
        rows(tu.estimate_cost(frame, prices=PRICES))
    (warning,) = told
    assert repr(model) in str(warning.message)
    with pytest.warns(ModelWarning, match="rename_models"):
        rows(
            tu.cache_savings(frame_of(used("a", model=model, cache_read=1), flavour), prices=PRICES)
        )


def test_no_warning_where_every_model_has_a_price():
    records = [used("a", input=1), used("b", total=9), used("c", model=None, input=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tu.estimate_cost(frame_of(records), prices=PRICES)


# genai-prices


def test_built_in_prices_are_those_of_the_record_s_date():
    snapshot = data_snapshot.get_snapshot()
    model, known = next(
        (model.id, model)
        for provider in snapshot.providers
        for model in provider.models
        if provider.id == "anthropic" and isinstance(model.prices, list)
    )
    changes = [each.constraint.start_date for each in known.prices if each.constraint]
    days = [day + dt.timedelta(days=shift) for day in changes for shift in (-1, 0, 400)]
    records = [used(str(day), str(day), model, input=1000, output=100) for day in days]
    found = estimates(frame_of(records), "id")
    for day in days:
        at = dt.datetime.combine(day, dt.time(), dt.UTC)
        price = known.get_prices(at)
        base = [getattr(p, "base", p) for p in (price.input_mtok, price.output_mtok)]
        assert found[str(day)] == pytest.approx(float(1000 * base[0] + 100 * base[1]) / 1e6)


TIERED = "claude-sonnet-4-5"  # 3 and 15 dollars; 6 and 22.5 for prompts of more than 200,000 tokens


@pytest.mark.parametrize(
    ("record", "cost", "unknown"),
    [
        # A single request says how long its prompt was.
        (used("a", model=TIERED, requests=1, input=200_000, output=1000), 0.615, 0),
        (used("a", model=TIERED, requests=1, input=200_001, output=1000), 1.222506, 0),
        # Cached tokens belong to the prompt: 150,000 × 6 + 100,000 × 0.6.
        (used("a", model=TIERED, requests=1, input=150_000, cache_read=100_000), 0.96, 0),
        (used("a", "2026-01-31T20:08:00Z", TIERED, input=300_000), 1.8, 0),  # an event
        # Of several requests each may have been short.
        (used("a", model=TIERED, requests=5, input=300_000), 0.9, 1),
        (used("a", "2026-01-31", TIERED, input=300_000), 0.9, 1),
        # All of them together are short.
        (used("a", model=TIERED, requests=5, input=150_000), 0.45, 0),
    ],
)
def test_long_prompts_have_their_tier_where_the_record_decides_it(record, cost, unknown):
    frame = frame_of(record)
    if unknown:
        with pytest.warns(ModelWarning, match="1 records of several requests"):
            row = estimates(frame)
    else:
        row = estimates(frame)
    assert row["estimated_cost"] == pytest.approx(cost)
    assert row["tier_unknown"] == unknown


def test_the_table_of_prices_has_the_tiers_of_the_package():
    low, high = prices_._of_package([TIERED])
    assert (low.above, low.upto, high.above, high.upto) == (None, 200_000, 200_000, None)
    assert (low.sorts[0], high.sorts[0]) == (3, 6)
