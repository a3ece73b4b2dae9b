"""The summary and the explanations, worked out by hand, and held to the answers themselves."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings

import oracle
import tidyusage as tu
from conftest import FRAMES, rows
from strategies import draws
from test_metrics import frame as frame  # noqa: PLC0414 - a fixture, used by its name
from test_metrics import wide
from test_oracle import RECORDS as DRAWN
from tidyusage.errors import OptionError, UnknownFieldError, UnknownOptionError

# Summary


def test_summary_of_five_vendors(frame):
    answer = [tuple(row.values())[:5] for row in rows(tu.summary(frame))]
    assert answer == [
        ("records", "records", 8, 8, 1),
        ("days", "days", 3, 8, 1),  # 5 January; 31 January and 1 February
        ("products", "products", 5, 8, 1),
        ("models", "models", 2, 4, 0.5),
        ("users", "users", 4, 5, 0.625),  # Bob has one e-mail in two cases
        ("active_users", "users", 3, 4, 0.5),  # cy is said not to be
        # 200 + (10 + 5 + 5) + 100, and of codex-2 40 + 10, whose input holds the cached ones
        ("tokens", "tokens", 370, 4, 0.5),
        ("cost", "USD", 18, 5, 0.625),
        ("cost", "EUR", 5, 1, 0.125),
        ("cost", None, 5, 1, 0.125),
    ]


def test_each_figure_says_when_its_records_are(frame):
    found = {
        row["figure"]: row
        for row in rows(tu.summary(frame, rates={"EUR": 1}, to="USD", charge="net"))
    }
    first = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    assert found["records"]["start_date"] == first
    assert found["records"]["end_date"] == dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
    assert found["tokens"]["end_date"] == dt.datetime(2026, 1, 6, tzinfo=dt.UTC)
    assert (found["cost"]["unit"], found["cost"]["value"]) == ("USD", 8)  # claude-1 has a net


def test_summary_by_group_says_null_for_what_nobody_tells():
    found = {
        (row["product.id"], row["figure"]): (row["value"], row["records"])
        for row in rows(tu.summary(wide(backend="polars"), "product.id"))
    }
    assert found["datadog", "users"] == (None, 0)
    assert found["datadog", "active_users"] == (None, 0)
    assert found["datadog", "tokens"] == (None, 0)
    assert found["cursor", "active_users"] == (1, 1)
    nothing = tu.flatten_usage([{"id": "a"}], backend="polars")
    answer = {
        row["figure"]: (row["unit"], row["value"], row["coverage"])
        for row in rows(tu.summary(nothing))
    }
    assert answer["cost"] == (None, None, 0)
    assert answer["days"] == ("days", None, 0)


def test_the_end_of_a_window_may_be_inclusive():
    record = {"id": "a", "start_date": "2026-01-01", "end_date": "2026-01-02"}
    days = [
        rows(tu.summary(tu.flatten_usage([record]), end=end))[1]["value"]
        for end in ("exclusive", "inclusive")
    ]
    assert days == [1, 2]


def test_a_day_that_two_windows_touch_is_one_day():
    windows = [("2026-01-01", "2026-01-03"), ("2026-01-02", "2026-01-04")]
    records = [{"id": a, "start_date": a, "end_date": b} for a, b in windows]
    found = {row["figure"]: row["value"] for row in rows(tu.summary(tu.flatten_usage(records)))}
    assert found["days"] == 3  # the 1st, the 2nd, the 3rd


# Explain


def test_cost_is_explained_rule_by_rule():
    assert tu.explain(wide(), "cost_by", "model.id", freq="1mo").counts == {
        "records": 8,
        "cost.priced": 7,
        "cost.net": 1,  # claude-1
        "cost.total less included": 2,  # both of cursor
        "cost.total": 2,  # claude-2, codex-1
        "cost.parts": 2,  # confluent, datadog
        "cost.unpriced": 1,  # codex-2
        "cost.no currency": 1,  # confluent
        "windows.crossing": 1,  # confluent
        "windows.undated": 0,
    }


def test_tokens_and_users_are_explained():
    counts = tu.explain(wide(backend="polars").lazy(), "summary").counts
    tokens = {name: n for name, n in counts.items() if name.startswith("tokens.")}
    assert tokens == {
        "tokens.counted": 4,
        "tokens.total": 2,  # claude-1, codex-1
        "tokens.parts": 2,
        "tokens.none": 4,
        "tokens.inside": 2,  # codex, one by its total, one by its provider's majority
        "tokens.beside": 2,
        "tokens.shown": 2,
    }
    users = {name: n for name, n in counts.items() if name.startswith("users.")}
    assert users == {"users.named": 5, "users.unnamed": 3, "users.flagged": 1, "users.active": 4}


def test_a_policy_by_product_is_explained_by_its_own_rules():
    charge = {"cursor": "total", "*": "billed"}
    counts = tu.explain(wide(), "cost_by", charge=charge).counts
    assert counts["cost.total"] == 4  # cursor's two, by name
    assert counts["cost.total less included"] == 0
    assert tu.explain(wide(), "cost_by", charge="tax").counts["cost.tax"] == 1
    mixed = tu.explain(wide(), "cost_by", charge={"datadog": "tax"}).counts
    assert (mixed["cost.tax"], mixed["cost.parts"]) == (1, 1)
    assert "cost.tax" not in tu.explain(wide(), "cost_by").counts  # nothing is left of it


@pytest.mark.parametrize("name", FRAMES)
def test_every_metric_is_explained_with_and_without_a_frame(name):
    arguments = {"top": (3, "model.id"), "cost_per": ("commits",)}.get(name, ())
    words = tu.explain(name)
    assert not words.counts
    assert str(words).startswith(f"{name}\n  ")
    counted = wide().usage.explain(name, *arguments)
    assert counted.counts["records"] == 8
    assert len(counted.lines) >= len(words.lines)
    assert repr(counted) == str(counted)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: tu.explain("cost"), OptionError, "Did you mean 'cost_by'"),
        (lambda: tu.explain(wide()), OptionError, "There is no metric ''"),
        (lambda: tu.explain(wide(), "cost_by", chrge="net"), UnknownOptionError, "'charge'"),
        (lambda: tu.explain(wide(), "cost_by", charge="nett"), OptionError, "'net'"),
        (lambda: tu.explain(wide(), "cost_by", "modle.id"), UnknownFieldError, r"'model\.id'"),
        (lambda: tu.explain(wide(), "acceptance_rate", kind="x"), OptionError, "kind='x'"),
        (lambda: tu.explain(wide(), "active_users", rolling=7), OptionError, "Give freq='1d'"),
        (
            lambda: tu.explain(wide(), "cost_by", ["model.id"]),
            OptionError,
            "Expected the name of a dimension",
        ),
        (
            lambda: tu.explain(wide(), "top", 3, "user.id", measure="sessions"),
            OptionError,
            "no meaning",
        ),
        (lambda: tu.explain(wide(), "top"), OptionError, "top: missing a required argument: 'n'"),
    ],
)
def test_a_wrong_question_says_so(ask, error, words):
    with pytest.raises(error, match=words):
        ask()


def test_what_takes_part_in_a_cost_per_one_is_told():
    # claude, codex and both of cursor name a user and cost something; datadog and confluent do not
    assert tu.explain(wide(), "cost_per", "users").counts["pairs.used"] == 5
    assert tu.explain(wide(), "cost_per", "users", seats=5).counts["pairs.used"] == 7
    commits = tu.explain(wide(), "cost_per", "commits").counts
    assert (commits["pairs.used"], commits["pairs.set aside"]) == (0, 8)


def test_what_is_estimated_is_told():
    one = {"prices": {"gpt": {"input": 1, "output": 1, "cache_read": 1}}}
    estimate = tu.explain(wide(), "estimate_cost", scope="all", **one).counts
    assert estimate["records"] == 8
    assert estimate["estimate.considered"] == 4
    assert (estimate["estimate.priced"], estimate["estimate.unpriced"]) == (2, 2)
    unbilled = tu.explain(wide(), "estimate_cost", **one).counts
    assert unbilled["estimate.considered"] == unbilled["estimate.priced"] == 1
    savings = tu.explain(wide(), "cache_savings", **one).counts
    assert (savings["savings.considered"], savings["savings.priced"]) == (4, 2)


@settings(max_examples=draws(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(records=DRAWN)
def test_the_counts_are_those_of_the_answers(records):
    every = {"overlap": "ignore"}  # drawn rows overlap; test_grain asks of that
    usage = tu.flatten_usage(records, backend="polars")
    counts = tu.explain(usage, "cost_by").counts
    cost = rows(tu.cost_by(usage, **every))
    assert counts["cost.priced"] == sum(row["priced"] for row in cost)
    assert counts["records"] == len(records) == (cost[0]["records"] if cost else 0)
    rules = [n for name, n in counts.items() if name.startswith("cost.") and "priced" not in name]
    assert sum(rules) - counts["cost.no currency"] == counts["cost.priced"]
    assert counts["cost.priced"] + counts["cost.unpriced"] == len(records)
    pairs = tu.explain(usage, "cost_per_token").counts
    assert pairs["pairs.used"] == sum(
        row["records"] for row in rows(tu.cost_per_token(usage, **every))
    )
    summed = {row["figure"]: row["records"] for row in rows(tu.summary(usage, **every))}
    told = tu.explain(usage, "summary").counts
    assert told["tokens.counted"] == summed.get("tokens", 0)
    assert told["users.named"] == summed.get("users", 0)
    assert told["users.active"] == summed.get("active_users", 0)
    kinds = tu.explain(usage, "acceptance_rate").counts
    for kind in ("tab", "edit", "line", "tool"):
        assert kinds[f"acceptance.{kind}"] == sum(kind in oracle.offers(each) for each in records)
    windows = tu.explain(usage, "trend", freq="1w").counts
    assert windows["windows.undated"] == sum(each["start_date"] is None for each in records)
    split = [len({p for p, _ in oracle.pieces(each, "1w", "UTC")}) for each in records]
    assert windows["windows.crossing"] == sum(number > 1 for number in split)
