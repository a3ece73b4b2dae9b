"""The notebooks: each runs in a kernel of its own, through nbclient, and shows what that gives."""

import runpy
from pathlib import Path

import nbformat
import pytest

import servers

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPT = runpy.run_path(str(ROOT / "docs" / "execute_notebooks.py"))  # docs/ is no package

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    """Return the notebook as it is stored."""
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@each
def test_outputs_are_what_a_run_gives(path):
    stored = read(path)
    if any("pyspark" in cell.source for cell in stored.cells if cell.cell_type == "code"):
        servers.require_java()
    cells = SCRIPT["stale"](stored, SCRIPT["execute"](path))
    assert not cells, f"{path.name} has stale outputs in {cells}: run `just notebooks`"


@each
def test_is_short(path):
    assert len(read(path).cells) < 15
    assert path.stat().st_size < 400_000  # with its pictures


@each
def test_is_told_in_prose(path):
    cells = read(path).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    prose = [cell for cell in cells if cell.cell_type == "markdown"]
    assert all(cell.source.startswith("## ") for cell in prose[1:])
    assert len(prose) >= len(cells) // 2 - 1


@each
def test_says_nothing_of_the_machine_that_ran_it(path):
    stored = read(path)
    assert stored.metadata == SCRIPT["METADATA"]
    assert not any(cell.metadata for cell in stored.cells)
    assert str(ROOT) not in path.read_text(encoding="utf-8")


@each
def test_warns_of_nothing(path):
    outputs = [output for cell in read(path).cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_an_image_is_no_text():
    assert SCRIPT["stale"](drawn("b2xk"), drawn("bmV3")) == []
    assert SCRIPT["stale"](drawn("b2xk"), drawn(None)) == ["chart"]


def drawn(pixels):
    """Return a notebook of one cell, which shows an image (base64) or, without one, text alone."""
    data = {"text/plain": "alt.Chart(...)"} | ({"image/png": pixels} if pixels else {})
    output = nbformat.v4.new_output("display_data", data)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(id="chart", outputs=[output])])
