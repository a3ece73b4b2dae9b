"""The notebooks: each runs in a kernel of its own, through nbclient, and shows what that gives."""

import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPT = runpy.run_path(str(ROOT / "docs" / "execute_notebooks.py"))  # docs/ is no package

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_outputs_are_what_a_run_gives(path):
    stored, executed = nbformat.read(path, as_version=4), SCRIPT["execute"](path)
    cells = SCRIPT["stale"](stored, executed)
    assert not cells, f"{path.name} has stale outputs in {cells}: run `just notebooks`"


@each
def test_is_short(path):
    assert len(nbformat.read(path, as_version=4).cells) < 15


@each
def test_says_nothing_of_the_machine_that_ran_it(path):
    stored = nbformat.read(path, as_version=4)
    assert stored.metadata == SCRIPT["METADATA"]
    assert not any(cell.metadata for cell in stored.cells)
    assert str(ROOT) not in path.read_text(encoding="utf-8")
