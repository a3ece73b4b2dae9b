"""A cost that grows within one month is not taken for a running total without proof."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FEW, frame_of


def series(costs, tokens=None, first=1, month="2026-01"):
    """Return a record a day, with its cost and, if given, its tokens."""
    return [
        {
            "id": f"{month}-{day:02}",
            "product": {"id": "claude"},
            "start_date": f"{month}-{day:02}",
            "charges": [{"type": "net", "amount": cost, "currency": "USD"}],
            "usage": {"tokens": {"total": tokens[n]}} if tokens else {},
        }
        for n, cost in enumerate(costs)
        for day in [first + n]
    ]


def running(records, flavour="polars"):
    return rows(tu.findings(frame_of(records, flavour), only="running_totals", overlap="ignore"))


GROWTH = {
    "from the first": series(c := [3, 4, 6, 7, 9, 12, 14, 15, 18, 21], [100 * x for x in c]),
    "from the tenth": series(c := [20, 21, 23, 25, 26, 28, 30, 33], [100 * x for x in c], first=10),
    "without tokens": series([3, 4, 6, 7, 9, 12, 14, 15, 18, 21]),
    "with a dip in tokens": series(list(range(2, 22, 2)), [2, 4, 6, 5, 10, 12, 14, 16, 18, 20]),
}


@pytest.mark.parametrize("flavour", FEW)
@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_no_running_total(name, flavour):
    assert running(GROWTH[name], flavour) == []


@pytest.mark.parametrize("flavour", FEW)
def test_cost_that_accumulates_while_tokens_do_not_is_one(flavour):
    costs = [10 * day for day in range(1, 11)]
    (found,) = running(series(costs, [9, 11, 8, 12, 9, 10, 11, 8, 12, 9]), flavour)
    assert found["severity"] == "error"
    assert (found["value"], found["expected"]) == ("550", "100")  # 10 + 20 + … + 100; the last


def test_a_series_that_begins_anew_each_month_is_one():
    costs = [10 * day for day in range(1, 11)]
    (found,) = running([*series(costs), *series(costs, month="2026-02")])
    assert (found["value"], found["expected"]) == ("1100", "200")
