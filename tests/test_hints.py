"""Mistakes that newcomers make are answered with what they meant."""

import warnings

import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from tidyusage.errors import (
    FrameError,
    OptionError,
    SeatsWarning,
    UnknownFieldError,
    UnknownOptionError,
)

RECORD = {
    "id": "a",
    "product": {"id": "cursor"},
    "start_date": "2026-01-01",
    "user": {"id": "ada"},
    "usage": {"requests": {"total": 4}, "tokens": {"input": 30, "output": 20}},
    "charges": [{"type": "net", "amount": 10, "currency": "USD"}],
}


@pytest.fixture(scope="module")
def df():
    return tu.flatten_usage(RECORD)


@pytest.mark.parametrize(
    ("question", "error", "hint"),
    [
        (lambda df: df.usage.trend("1w"), UnknownFieldError, "Pass it as freq='1w'"),
        (lambda df: df.usage.cost_by("1mo"), UnknownFieldError, "Pass it as freq='1mo'"),
        (
            lambda df: df.usage.cost_by(by=["model.id"]),
            UnknownOptionError,
            "by position, one by one",
        ),
        (
            lambda df: df.usage.cost_by(["model.id", "surface"]),
            OptionError,
            "as text: 'model.id', 'surface'",
        ),
        (lambda df: df.usage.cost_by(7), OptionError, "as text: 'model.id'"),
        (lambda df: df.usage.cost_by("modelid"), UnknownFieldError, "Did you mean 'model.id'"),
    ],
)
def test_a_misplaced_argument_is_told_where_it_belongs(df, question, error, hint):
    with pytest.raises(error, match=hint):
        question(df)


@pytest.mark.parametrize("alias", ["W", "week", "weekly"])
def test_an_alias_of_a_period_is_told_its_spelling(df, alias):
    with pytest.raises(OptionError, match="Did you mean '1w'"):
        df.usage.cost_by(freq=alias)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_frame_of_nested_records_is_told_to_be_flattened(library):
    with pytest.raises(
        FrameError, match=r"column 'product' holds nested records(.|\n)*tu.flatten_usage\(df\)"
    ):
        library([RECORD]).usage.cost_by()


def test_flattened_lists_beside_flat_columns_are_not_taken_for_nested_records(df):
    assert {"charges", "resources"} <= set(df.columns)
    assert df.usage.cost_by()["cost"].tolist() == [10.0]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "lazy"])
def test_seats_of_a_product_that_no_row_has_are_named(backend):
    frame = tu.flatten_usage(RECORD, backend="polars" if backend == "lazy" else backend)
    frame = frame.lazy() if backend == "lazy" else frame
    named = r"1 of product.id that no row has: 'cursr'(.|\n)*mean 'cursor'"
    with pytest.warns(SeatsWarning, match=named):
        found = rows(tu.cost_per(frame, "users", "product.id", seats={"cursr": 10}))
    assert found[0]["cost_per"] is None  # the product has no seats


def test_seats_of_products_that_rows_have_are_silent(df):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = df.usage.cost_per("users", "product.id", seats={"cursor": 4})
    assert found["cost_per"].tolist() == [2.5]  # 10 USD over 4 seats


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_cost_per_tokens_is_the_cost_per_token(layout):
    df = tu.flatten_usage(RECORD, layout=layout)
    found = df.usage.cost_per("tokens", "product.id", per=1_000)
    # 10 USD over 50 tokens, times 1,000
    figures = [found[name][0] for name in ("cost", "tokens", "cost_per", "records")]
    assert figures == [10, 50, 200, 1]
    assert "have a cost and tokens, and are used: 1 of 1" in str(
        df.usage.explain("cost_per", "tokens")
    )


def test_the_currency_of_the_largest_sum_comes_first_in_a_ranking():
    amounts = [("EUR", "x", 0.5), ("USD", "y", 1404.8), ("USD", "z", 3)]
    df = tu.flatten_usage(
        {
            "id": f"{n}",
            "model": {"id": model},
            "charges": [{"type": "net", "amount": amount, "currency": currency}],
        }
        for n, (currency, model, amount) in enumerate(amounts)
    )
    found = df.usage.top(1, "model.id")
    assert found["currency"].tolist() == ["USD", "USD", "EUR"]
    assert found["rank"].fillna(0).tolist() == [1, 0, 1]
