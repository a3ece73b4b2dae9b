"""A sum that is not finite is an error, of every measure and on every kind of frame."""

import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS, frame_of
from tidyusage.errors import RecordError

HUGE = 1e308  # twice this is more than the largest float, 1.8e308


def record(id_, user="ada", *, tokens=HUGE, amount=HUGE):
    return {
        "id": id_,
        "user": {"id": user},
        "start_date": "2026-01-01",
        "charges": [{"type": "net", "amount": amount, "currency": "USD"}],
        "usage": {"tokens": {"total": tokens}, "requests": {"total": tokens}},
    }


TWO = [record("a"), record("b")]
OF_TWO_USERS = [record("a"), record("b", "bob")]
QUESTIONS = {
    "cost": lambda frame: tu.cost_by(frame, "user.id"),
    "cost by day": lambda frame: tu.cost_by(frame, freq="1d"),
    "cost per token": tu.cost_per_token,
    "cost per request": lambda frame: tu.cost_per(frame, "requests"),
    "tokens": lambda frame: tu.tokens_by(frame, "user.id"),
    "totals": tu.totals,
    "summary": tu.summary,
    "top": lambda frame: tu.top(frame, 3, "user.id", measure="requests"),
    "trend": lambda frame: tu.trend(frame, measure="tokens"),
    "rates": lambda frame: tu.cost_by(frame, rates={"USD": 2}, to="EUR"),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_sum_that_is_not_finite_raises(flavour, question):
    expected = Exception if flavour == "duckdb" else RecordError  # there it is DuckDB's own
    answer = QUESTIONS[question]
    with pytest.raises(expected, match=r"is not finite: values are too large"):
        rows(answer(frame_of(TWO, flavour)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_share_of_a_sum_that_is_not_finite_raises(flavour):
    """Each user's cost is a number, and what they are shares of is not."""
    expected = Exception if flavour == "duckdb" else RecordError
    for question in (
        lambda frame: tu.cost_by(frame, "user.id"),
        lambda frame: tu.top(frame, 1, "user.id"),
        lambda frame: tu.trend(frame, "user.id"),
    ):
        with pytest.raises(expected, match=r"'share' is not finite"):
            rows(question(frame_of(OF_TWO_USERS, flavour)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_large_amounts_whose_sum_is_finite_are_added(flavour):
    records = [record("a", amount=0.8e308), record("b", amount=0.9e308)]
    (row,) = rows(tu.cost_by(frame_of(records, flavour)))
    assert row["cost"] == pytest.approx(1.7e308)


def test_an_infinite_value_of_the_callers_raises():
    frame = tu.flatten_usage(record("a", amount=1)).assign(**{"charges.net": float("inf")})
    with pytest.raises(RecordError, match="'cost' is not finite"):
        frame.usage.cost_by()
    frame = tu.flatten_usage(TWO[:1] * 1, backend="polars").with_columns(
        pl.lit(float("-inf")).alias("usage.tokens.total")
    )
    with pytest.raises(RecordError, match="'tokens' is not finite"):
        frame.usage.tokens_by()


def test_a_lazy_frame_raises_when_it_is_collected():
    answer = frame_of(TWO, "polars lazy").usage.cost_by()
    assert isinstance(answer, pl.LazyFrame)
    with pytest.raises(RecordError, match="'cost' is not finite"):
        answer.collect()


def test_a_chart_and_a_report_raise(tmp_path):
    frame = frame_of(TWO, "pandas")
    with pytest.raises(RecordError, match="is not finite"):
        frame.usage.plot.cost_by("user.id")
    with pytest.raises(RecordError, match="is not finite"):
        tu.report(frame, tmp_path / "report.html")


@pytest.mark.parametrize("flavour", ["pandas", "polars lazy", "duckdb"])
def test_shared_cost_is_not_spread_by_a_sum_that_is_not_finite(flavour):
    fee = {**record("fee", amount=8), "user": {}, "usage": {}}
    frame = frame_of([*TWO, record("c", "bob", tokens=1), fee], flavour)
    expected = Exception if flavour == "duckdb" else RecordError
    with pytest.raises(expected, match="is not finite"):
        rows(tu.allocate_shared(frame, {"user.id": None}, "user.id", overlap="ignore"))


@pytest.mark.xdist_group("spark")
def test_on_spark(spark):
    frame = tu.flatten_usage(TWO, backend="pyspark", session=spark)
    with pytest.raises(Exception, match="is not finite: values are too large"):
        tu.cost_by(frame).collect()
