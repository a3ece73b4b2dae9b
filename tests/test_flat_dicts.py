"""Rows of a flat frame as dicts are not taken for records, which would keep only their ids."""

import pandas as pd
import pytest

import tidyusage as tu
from tidyusage.errors import FrameError

NESTED = {"id": "a", "charges": [{"type": "net", "amount": 5, "currency": "USD"}]}
COLUMNS = ["id", "charges.net", "charges.currency"]


def flat(sep="."):
    df = tu.flatten_usage(NESTED, sep=sep)
    return df[[name.replace(".", sep) for name in COLUMNS]].to_dict("records")


@pytest.mark.parametrize("sep", [".", "_"])
@pytest.mark.parametrize(
    "container", [list, tuple, iter, lambda rows: rows[0]], ids=["list", "tuple", "iterator", "one"]
)
def test_flat_rows_get_the_error_that_a_flat_frame_gets(container, sep):
    with pytest.raises(FrameError, match="flat already"):
        tu.flatten_usage(container(flat(sep)))
    with pytest.raises(FrameError, match="flat already"):
        tu.flatten_usage(pd.DataFrame(flat(sep)))


def test_the_hint_reads_them():
    df = tu.restore(pd.DataFrame(flat()))
    assert df.usage.cost_by()["cost"].tolist() == [5.0]


@pytest.mark.filterwarnings("ignore:The schema does not know")
def test_a_nested_record_with_a_stray_key_is_read():
    record = {**NESTED, "product": {"id": "p"}, "model.id": "stray"}
    assert tu.flatten_usage([record])["product.id"].tolist() == ["p"]


@pytest.mark.parametrize("record", [{"id": "a"}, {"id": "a", "surface": "chat", "usage": None}])
def test_a_record_of_scalars_is_a_record(record):
    assert tu.flatten_usage([record])["id"].tolist() == ["a"]
