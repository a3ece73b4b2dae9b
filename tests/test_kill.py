"""A minute of `just kill`: reads, exports and fetches are killed, and nothing is half-written."""

import pytest

import kill


@pytest.mark.slow
def test_killed_for_a_minute_nothing_is_half_written():
    report = kill.run(10_000, seed=24, seconds=60)
    assert not report.failures, report
    assert sum(report.outcomes.values()) > 0
