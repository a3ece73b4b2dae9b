"""The fuzzer runs: a few records in the quick run, a minute of them in CI."""

import pytest

import fuzz
from fuzz_judge import Rejected, judge, parse


@pytest.mark.filterwarnings("ignore::tidyusage.errors.UsageWarning")
@pytest.mark.parametrize(
    ("count", "seconds"),
    [(60, None), pytest.param(10**6, 60, marks=pytest.mark.slow, id="a minute")],
)
def test_mutated_records_get_one_verdict(count, seconds):
    fuzzer = fuzz.run(count, seed=24, alone=1, seconds=seconds)
    assert fuzzer.failures == []
    assert 0 < fuzzer.accepted < fuzzer.read
    assert fuzzer.accepted + fuzzer.rejected == fuzzer.read


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        (b'{"id": "x", "usage": {"quantity": " 12 "},}', True),
        (b'{"id": "x", "usage": {"quantity": "+-3"}}', False),
        (b'{"id": "x", "usage": {"quantity": NaN}}', False),
        (b'{"id": "x", "colour": nan}', True),
        (b'{"id": "x", "id": "y"}', False),
        (b'{"id": "x", "surface": "\\ud800"}', False),
        (b'{"id": 7, "start_date": "2026-01-31"}', True),
        (b'{"id": 7, "start_date": "2026-02-30"}', False),
        (b'{"id": "x"} {"id": "y"}', False),
        (b'{"surface": "api"}', False),
    ],
)
def test_the_judge_knows_the_rules(text, is_good):
    try:
        judge(parse(text))
    except Rejected:
        assert not is_good
    else:
        assert is_good
