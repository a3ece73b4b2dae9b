"""A rate of change needs a figure above zero to start from."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS, frame_of


def month(number, amount):
    charge = {"type": "net", "amount": amount, "currency": "USD"}
    return {"id": str(number), "charges": [charge], "start_date": f"2026-0{number}-01"}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_there_is_no_rate_from_zero_or_from_a_negative_figure(flavour):
    amounts = (-10, 5, 0, -5, -10, 4, 6)
    frame = frame_of([month(n, amount) for n, amount in enumerate(amounts, 1)], flavour)
    found = rows(tu.trend(frame))
    assert [row["change"] for row in found] == [None, 15, -5, -5, -5, 14, 2]
    # From 5 to 0: -1; from 4 to 6: 0.5.
    assert [row["change_rate"] for row in found] == [None, None, -1, None, None, None, 0.5]
