"""Savings and estimates at given prices, worked out by hand; and genai-prices held to itself."""

import builtins
import datetime as dt

import pandas as pd
import polars as pl
import pytest
from genai_prices import Usage, calc_price

import tidyusage as tu
from conftest import rows
from test_metrics import frame as frame  # noqa: PLC0414 - a fixture, used by its name
from test_metrics import wide
from tidyusage.errors import MissingExtraError, OptionError

# Some models have no price here; test_prices looks at the warning.
pytestmark = pytest.mark.filterwarnings("ignore::tidyusage.errors.ModelWarning")

OPUS = {"input": 10, "output": 20, "cache_read": 1, "cache_write": 12, "cache_write_1h": 20}
GPT = {"input": 2, "output": 4, "cache_read": 1}
ONE = {"prices": {"opus": OPUS, "gpt": GPT}, "per": 1}


def figures(answer):
    return [tuple(row.values()) for row in rows(answer)]


def test_what_the_cache_saved(frame):
    # claude-1 read 30 at 1, not 10: 270; it wrote 15 at 12, and 5 for an hour at 20: 15 × 2 + 5 × 10
    # claude-2 read 5: 45.  codex read 60 and 30 at 1, not 2: 90.
    assert figures(tu.cache_savings(frame, **ONE)) == [("USD", 405, 80, 325, 4, None, 0)]
    only = {"prices": {"opus": OPUS}, "per": 1, "currency": "eur"}
    assert figures(tu.cache_savings(frame, **only)) == [("EUR", 315, 80, 235, 2, "gpt", 0)]


def test_a_group_without_a_price_is_null_and_its_models_are_named():
    answer = tu.cache_savings(wide(), "product.id", prices={"opus": OPUS}, per=1)
    assert figures(answer) == [
        ("claude", "USD", 315, 80, 235, 2, None, 0),
        ("codex", None, None, None, None, 0, "gpt", 0),
        ("confluent", None, None, None, None, 0, None, 0),
        ("cursor", None, None, None, None, 0, None, 0),
        ("datadog", None, None, None, None, 0, None, 0),
    ]


def test_a_price_that_is_needed_and_missing_is_not_zero():
    without_hour = {sort: price for sort, price in OPUS.items() if sort != "cache_write_1h"}
    answer = tu.cache_savings(wide(), prices={"opus": without_hour, "gpt": GPT}, per=1)
    # claude-1 wrote for an hour: it is not priced, and opus is named though claude-2 is
    assert figures(answer) == [("USD", 135, 0, 135, 3, "opus", 0)]


def test_what_unbilled_tokens_would_have_cost(frame):
    # codex-2 alone has no cost: its 40 hold the 30 of the cache: 10 × 2 + 10 × 4 + 30 × 1
    assert figures(tu.estimate_cost(frame, **ONE)) == [("USD", 90, 50, 1, 0, None, 0)]


def test_what_all_tokens_would_have_cost():
    # claude-1: 100 × 10 + 50 × 20 + 30 × 1 + 15 × 12 + 5 × 20 = 2310; claude-2: 100 + 100 + 5 = 205
    # codex-1: 20 × 2 + 20 × 4 + 60 × 1 = 180; codex-2: 90
    answer = tu.estimate_cost(wide(), "model.id", scope="all", **ONE)
    assert figures(answer) == [
        ("opus", "USD", 2515, 220, 2, 0, None, 0),
        ("gpt", "USD", 270, 150, 2, 0, None, 0),
        (None, None, None, None, 0, 0, None, 0),
    ]
    inclusive = tu.estimate_cost(wide(), scope="all", token_convention="exclusive", **ONE)
    # codex-1: with the cache beside the input, 80 + 20 + 60 are not its total of 100
    # codex-2 has no total: 40 × 2 + 40 + 30 = 150
    assert figures(inclusive)[0][1] == 2515 + 150
    assert figures(inclusive)[0][3:] == (3, 1, "gpt", 0)


def test_tokens_without_sorts_or_without_a_model_are_not_priced():
    records = [
        {"id": "a", "model": {"id": "opus"}, "usage": {"tokens": {"total": 9}}},
        {"id": "b", "usage": {"tokens": {"input": 1}}},
        {"id": "c", "model": {"id": "opus"}, "usage": {"tokens": {"output": 2}}},
    ]
    answer = tu.estimate_cost(tu.flatten_usage(records), **ONE)
    assert figures(answer) == [("USD", 40, 2, 1, 2, "opus, unknown", 0)]


@pytest.mark.parametrize(
    "of",
    [
        pd.DataFrame,
        pl.DataFrame,
        lambda data: pl.DataFrame(data).lazy(),
        lambda d: pl.DataFrame(d).to_arrow(),
    ],
)
def test_prices_may_be_a_frame(of):
    prices = [{"model.id": "opus", **OPUS}, {"model.id": "gpt", **GPT}]
    assert figures(tu.estimate_cost(wide(), prices=of(prices), per=1))[0][1] == 90
    assert figures(tu.estimate_cost(wide(), prices=of(prices)))[0][1] == 90e-6  # a million


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prices": {"opus": 3}}, "has 'opus': 3"),
        ({"prices": {"opus": {"inptu": 3}}}, "Did you mean 'input'"),
        ({"prices": {"opus": {"input": -1}}}, "has the price -1 of 'input' for 'opus'"),
        ({"prices": {"opus": {"input": "1"}}}, "has the price '1'"),
        ({"prices": [1]}, "prices= is list"),
        ({"prices": pl.DataFrame({"model": ["a"]})}, r"has the columns \['model'\]"),
        ({"prices": pl.DataFrame({"model": ["a", "a"], "input": [1, 2]})}, "has 'a' twice"),
        ({"prices": {}, "per": 0}, "per=0"),
        ({"prices": {}, "currency": ""}, "currency='' is no currency"),
        ({"per": 1}, "prices= is not given"),
    ],
)
def test_wrong_prices_say_so(options, words):
    for metric in (tu.cache_savings, tu.estimate_cost):
        with pytest.raises(OptionError, match=words):
            metric(wide(), **options)
    with pytest.raises(OptionError, match="scope='unpriced'"):
        tu.estimate_cost(wide(), scope="unpriced", prices={})


# genai-prices

MODELS = ("claude-sonnet-4-5", "gpt-5", "claude-haiku-4-5")


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_without_a_table_prices_are_those_of_the_package(backend, layout):
    tokens = {"input": 900, "output": 50, "cache_read": 600, "cache_write": 300}
    records = [
        {"id": model, "model": {"id": model, "provider": "x"}, "usage": {"tokens": tokens}}
        for model in (*MODELS, "no-such-model")
    ]
    usage = tu.flatten_usage(records, backend=backend, layout=layout)
    answer = tu.estimate_cost(usage, "model.id", token_convention="exclusive")
    ours = {row["model.id"]: row["estimated_cost"] for row in rows(answer)}
    # The package means all of the prompt by input: 900 fresh, 600 read, 300 written.
    used = Usage(input_tokens=1800, output_tokens=50, cache_read_tokens=600, cache_write_tokens=300)
    for model in MODELS:
        known = calc_price(used, model, genai_request_timestamp=dt.datetime.now(dt.UTC))
        assert ours[model] == pytest.approx(float(known.total_price))
    assert ours["no-such-model"] is None or pd.isna(ours["no-such-model"])
    assert {row["unpriced"] for row in rows(answer)} == {None, "no-such-model"}


def test_a_lazy_frame_is_not_asked_for_its_models():
    for usage in (wide(backend="polars").lazy(), wide(backend="duckdb")):
        with pytest.raises(OptionError, match="Collect it; or give"):
            tu.estimate_cost(usage)
        assert figures(tu.estimate_cost(usage, **ONE)) == [("USD", 90, 50, 1, 0, None, 0)]


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"Install tidyusage\[prices\], or give prices="):
        tu.cache_savings(wide())
