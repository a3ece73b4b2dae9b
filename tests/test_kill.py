"""A minute of `just kill`: reads, exports and fetches are killed, and nothing is half-written."""

import pytest

import kill
import processes


def test_what_a_killed_read_has_written_of_its_rejects_is_removed_by_the_next(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # which kill.read() sets for good
    source, rejects = str(tmp_path / "usage.ndjson"), str(tmp_path / "out" / "rejects.ndjson")
    (tmp_path / "usage.ndjson").write_text('{"id": "a"}\n{"id": true}\n')
    (tmp_path / "out").mkdir()
    # The partial file is created, opened and renamed: it is there before the second and third step.
    for step in (1, 2):
        process = processes.run(kill.read_and_die, source, rejects, str(tmp_path), step)
        process.join(60)
        assert process.exitcode == kill.KILLED
        (left,) = (tmp_path / "out").iterdir()
        assert left.suffix == ".partial"
    kill.read(source, rejects, str(tmp_path))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rejects.ndjson"]


@pytest.mark.slow
def test_killed_for_a_minute_nothing_is_half_written():
    report = kill.run(10_000, seed=24, seconds=60)
    assert not report.failures, report
    assert sum(report.outcomes.values()) > 0
