"""Passwords in addresses and connection strings never reach a message."""

import pytest

import tidyusage as tu
from tidyusage.errors import UsageError, masked

ADDRESSES = [
    "postgresql://u:secret@h/d",
    "postgres://u:se@cret@h/d?password=secret",
    "host=h user=u password=secret dbname=d",
    "host=h user=u password='top secret' dbname=d",
    "Server=h;Pwd=secret;",
    "jdbc:postgresql://h/d?user=u&password=secret",
    "mysql+pymysql://u:secret@h/d",
    "https://account.example/x.ndjson?sig=secret",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_reading_an_address_masks_its_password(address):
    with pytest.raises(UsageError) as error:
        tu.read_usage(address)
    assert "***" in str(error.value)
    assert "cret" not in str(error.value)


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "://" in one])
def test_a_folder_for_rejects_that_is_an_address_masks_its_password(address):
    with pytest.raises(UsageError) as error:
        tu.flatten_usage({"id": "a"}, rejects=f"{address}/bad.ndjson")
    assert "cret" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["Set TIDYUSAGE_TOKEN or pass token=.", "https://example.com/a:b", "ada@example.com: 5", "a=1"],
)
def test_text_without_a_password_stays_as_it_is(text):
    assert masked(text) == text
