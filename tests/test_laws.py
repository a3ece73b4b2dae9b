"""Laws that hold for any records: no expected value is needed to see one broken."""

import math
import random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import rows
from strategies import draws
from test_oracle import (
    BY,
    METRICS,
    QUESTIONS,
    RECORDS,
    SCALARS,
    SOME,
    asked,
    expected,
    main_of,
    questions,
)

LAW = settings(max_examples=draws(20), deadline=None, suppress_health_check=list(HealthCheck))
LONG_BY = st.lists(st.sampled_from(SCALARS), max_size=2, unique=True)
# A record without any measure is not in long: what counts records, or the days they cover, differs.
LONG = sorted(METRICS.keys() - {"summary", "stickiness"})
ADDITIVE = {"cost_by": ("cost",), "tokens_by": ("input", "output", "cache_read", "tokens")}


def flat(records, **options):
    return tu.flatten_usage(records, backend="polars", **options)


def ask(frame, question):
    return rows(asked(getattr(tu, question[0]), question, frame))


def keyed(answer, by, *names):
    """Return an answer's figures by its group, as numbers that can be compared."""
    keys = ("period", *by, "currency", "kind", "metric", "unit", "figure", "rank")
    return {tuple(row.get(key) for key in keys): [row[name] for name in names] for row in answer}


def alike(left, right):
    assert left.keys() == right.keys()
    for key, values in left.items():
        for ours, theirs in zip(values, right[key], strict=True):
            assert (ours is None) == (theirs is None), key
            assert ours is None or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9), key


@LAW
@given(records=RECORDS, question=QUESTIONS, seed=st.randoms())
def test_the_order_of_rows_does_not_matter(records, question, seed: random.Random):
    name, by, options = question
    if isinstance(expected(records, name, by, options), str):
        return
    main = main_of(name, options)
    frame = flat(records)
    places = list(range(len(frame)))
    seed.shuffle(places)
    alike(
        keyed(ask(frame, question), by, main),
        keyed(ask(frame[places], question), by, main),
    )


@LAW
@given(records=RECORDS, question=questions(*LONG), by=LONG_BY)
def test_wide_and_long_give_the_same_figures(records, question, by):
    name, _, options = question
    by = by or (["model.id"] if name == "top" else [])
    options = {**options, "rolling": None} if "rolling" in options else options
    if isinstance(expected(records, name, by, options), str):
        return
    main = main_of(name, options)
    found = [
        {
            key: figures
            for key, figures in keyed(ask(frame, (name, by, options)), by, main).items()
            if figures != [None]  # a record without any measure is not in long
        }
        for frame in (flat(records), flat(records, layout="long"))
    ]
    if name == "active_users":  # nor is a user who did nothing
        found = [{key: n for key, n in each.items() if n != [0]} for each in found]
    alike(*found)


@LAW
@given(records=RECORDS, by=BY, name=st.sampled_from(sorted(ADDITIVE)))
def test_groups_add_up_to_the_whole(records, by, name):
    frame = flat(records)
    whole = keyed(ask(frame, (name, [], {})), [], *ADDITIVE[name])
    parts: dict = {}
    for row in ask(frame, (name, by, {})):
        key = (None, row.get("currency"), *[None] * 5)
        for place, figure in enumerate(ADDITIVE[name]):
            if row[figure] is not None:
                parts.setdefault(key, {}).setdefault(place, []).append(row[figure])
    for key, figures in whole.items():
        for place, figure in enumerate(figures):
            added = parts.get(key, {}).get(place)
            assert (figure is None) == (added is None)
            assert figure is None or math.isclose(math.fsum(added), figure, abs_tol=1e-9)


@LAW
@given(records=RECORDS, by=SOME, n=st.integers(1, 3), freq=st.sampled_from(["1w", "1mo"]))
def test_ranked_groups_and_the_rest_and_all_periods_add_up_to_the_whole(records, by, n, freq):
    frame = flat(records)
    whole = {row["currency"]: row["cost"] for row in ask(frame, ("cost_by", [], {}))}
    for question in (("top", by, {"n": n}), ("trend", by, {"freq": freq})):
        parts: dict = {}
        for row in ask(frame, question):
            parts.setdefault(row["currency"], []).append(row["cost"])
        for currency, cost in whole.items():
            added = parts.get(currency)
            assert (cost is None) == (added is None)
            assert cost is None or math.isclose(math.fsum(added), cost, abs_tol=1e-9)


@LAW
@given(records=RECORDS, at=st.integers(0, 8))
def test_a_frame_in_two_parts_adds_up(records, at):
    options = {"token_convention": "exclusive", "overlap": "ignore"}
    frame = flat(records)
    whole, *parts = (
        rows(tu.tokens_by(part, **options)) for part in (frame, frame[:at], frame[at:])
    )
    for name in ADDITIVE["tokens_by"]:
        there = [row[name] for part in parts for row in part if row[name] is not None]
        assert (whole[0][name] if whole else None) == (math.fsum(there) if there else None)


@LAW
@given(records=RECORDS, by=BY, scale=st.sampled_from([1e-6, 0.5, 4, 1e9]))
def test_scaling_money_scales_cost(records, by, scale):
    frame = flat(records)
    amounts = [name for name in frame.columns if name.startswith("charges.")]
    scaled = frame.with_columns(
        pl.col(name) * scale for name in amounts if name != "charges.currency"
    )
    ours = keyed(ask(scaled, ("cost_by", by, {})), by, "cost")
    theirs = keyed(ask(frame, ("cost_by", by, {})), by, "cost")
    assert ours.keys() == theirs.keys()
    for key, (cost,) in theirs.items():
        assert (cost is None) == (ours[key][0] is None)
        assert cost is None or ours[key][0] == pytest.approx(cost * scale, abs=1e-12 * scale)
