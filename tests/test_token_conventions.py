"""An input that is smaller than its cached tokens cannot hold them, whatever others do."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FEW, FLAVOURS, frame_of

PRICES = {"m": {"input": 10, "output": 10, "cache_read": 1}}


def tokens(id_, **counts):
    return {"id": id_, "model": {"id": "m", "provider": "p"}, "usage": {"tokens": counts}}


# 100 + 10 make the total of 110, so that the 50 cached tokens are among the 100.
INCLUSIVE = [tokens(f"i{n}", input=100, cache_read=50, output=10, total=110) for n in range(3)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_small_input_is_exclusive_beside_an_inclusive_majority(flavour):
    frame = frame_of([*INCLUSIVE, tokens("a", input=10, cache_read=1_000_000)], flavour)
    (rate,) = rows(tu.cache_hit_rate(frame))
    # 150 + 1,000,000 read, of 300 (inclusive) and 1,000,010 prompt tokens.
    assert rate["prompt_tokens"] == 300 + 1_000_010
    assert rate["cache_hit_rate"] == pytest.approx(1_000_150 / 1_000_310)
    (sums,) = rows(tu.tokens_by(frame))
    assert sums["input"] == 3 * 50 + 10
    assert sums["tokens"] == 3 * 110 + 1_000_010
    by_id = {row["id"]: row for row in rows(tu.estimate_cost(frame, "id", prices=PRICES))}
    # 10 × 10 + 1,000,000 × 1, for a million; and 50 × 10 + 10 × 10 + 50 × 1.
    assert by_id["a"]["estimated_cost"] == pytest.approx(1.0001)
    assert by_id["i0"]["estimated_cost"] == pytest.approx(650e-6)


@pytest.mark.parametrize("flavour", FEW)
@pytest.mark.parametrize("convention", ["auto", "inclusive", {"p": "inclusive"}])
def test_a_rate_is_within_zero_and_one_whatever_is_chosen(flavour, convention):
    records = [
        *INCLUSIVE,
        tokens("a", input=10, cache_read=30, cache_write=5),
        tokens("b", input=0, cache_read=7),
        tokens("c", input=10, cache_read=1000, total=10),  # its total contradicts its parts
        tokens("d", input=40, cache_read=40),
    ]
    frame = frame_of(records, flavour)
    for row in rows(tu.cache_hit_rate(frame, "id", token_convention=convention)):
        assert 0 <= row["cache_hit_rate"] <= 1
    for row in rows(tu.tokens_by(frame, "id", token_convention=convention)):
        assert row["input"] >= 0
    sums = {row["id"]: row for row in rows(tu.tokens_by(frame, "id", token_convention=convention))}
    assert sums["a"]["tokens"] == 45
    assert sums["d"]["input"] == 0  # as large as its cached tokens: the majority decides


def test_the_record_s_identity_comes_before_the_majority():
    # 40 + 5 + 30 make 75: exclusive, though the input could hold the 30.
    frame = tu.flatten_usage(
        [*INCLUSIVE, tokens("a", input=40, output=5, cache_read=30, total=75)], backend="polars"
    )
    by_id = {row["id"]: row["input"] for row in rows(tu.tokens_by(frame, "id"))}
    assert by_id == {"i0": 50, "i1": 50, "i2": 50, "a": 40}


def test_without_any_record_that_tells_input_is_exclusive():
    frame = tu.flatten_usage(tokens("a", input=100, cache_read=50), backend="polars")
    assert rows(tu.tokens_by(frame))[0]["input"] == 100


def test_focus_quantities_follow():
    tokens_ = {"input": 10, "cache_read": 1_000_000}
    record = {
        **tokens("a", **tokens_),
        "product": {"id": "codex"},
        "organization": {"id": "o"},
        "charges": [{"type": "net", "amount": 1, "currency": "USD"}],
        "start_date": "2026-01-31",
    }
    frame = tu.flatten_usage([*INCLUSIVE, record], backend="polars")
    (sums,) = rows(tu.cost_per_token(frame, tokens="input"))
    assert (sums["cost"], sums["tokens"]) == (1, 10)
