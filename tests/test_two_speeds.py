"""`pytest` leaves out what is marked slow and says so; with `CI=true` it runs everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each test runs a pytest of its own

ROOT = Path(__file__).parents[1]
SAMPLE = """
import os
import pytest
from hypothesis import given, settings, strategies as st
from strategies import draws

@pytest.fixture
def server(): pass

@pytest.mark.slow
def test_with_a_mark(): pass
def test_with_a_fixture(server): pass
@pytest.mark.parametrize("kind", ["postgres", "csv"])
def test_with_a_parameter(kind): pass

def test_quick(): pass

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("engine", ["pandas", "polars lazy", "duckdb"])
def test_engines(engine, number): pass

DRAWN = []
@settings(max_examples=draws(30), database=None)
@given(st.integers())
def test_law(number): DRAWN.append(number)
def test_draws(): assert len(DRAWN) == int(os.environ["EXPECTED_DRAWS"])
"""


@pytest.fixture
def run_sample(tmp_path):
    """Run pytest on the sample in a process of its own; return what it printed."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("CI", "PYTEST"))}
    paths = os.pathsep.join([str(ROOT / "tests"), *filter(None, [ours.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", str(ROOT / "pyproject.toml")]
    command += ["--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    command += ["-o", "testpaths=test_sample.py"]

    def run(*arguments, **environment):
        done = subprocess.run(
            [*command, *arguments],
            env={**ours, "PYTHONPATH": paths, **environment},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_short_run_leaves_out_slow_tests_counts_them_and_draws_less(run_sample):
    printed = run_sample("-n1", "-v", EXPECTED_DRAWS="4")
    # Ten tests are quick. Six of them are cases of one test, and only one case runs.
    assert "5 passed" in printed
    assert "8 tests left out as slow; CI=true pytest runs them" in printed


def test_of_files_that_are_named_all_cases_run(run_sample):
    printed = run_sample("-n1", "-v", "test_sample.py", EXPECTED_DRAWS="4")
    assert "10 passed" in printed
    assert "3 tests left out as slow" in printed


def test_the_long_run_leaves_nothing_out_and_draws_as_many_as_the_law_says(run_sample):
    printed = run_sample("-n0", "-v", EXPECTED_DRAWS="30", CI="true")
    assert "13 passed" in printed
    assert "left out" not in printed


def test_slow_tests_can_be_chosen_without_ci(run_sample):
    printed = run_sample("-n0", "-v", "-m", "slow")
    assert "3 passed, 10 deselected" in printed
    assert "left out" not in printed
