"""The pictures in the docs say what the charts say now; where their marks stand is Vega's."""

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import tidyusage as tu

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_pictures.py"))  # docs/ is no package
NAMES = sorted({path.stem for path in (DOCS / "_static").glob("*.svg")} - {"favicon"})


@pytest.fixture(scope="module")
def charts():
    return SCRIPT["charts"]()


def test_every_chart_has_its_picture(charts):
    assert sorted(charts) == NAMES


def texts(path):
    svg = ET.parse(path).getroot()  # noqa: S314 - ours
    return ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_up_to_date(name, charts, tmp_path):
    tu.plot.save(charts[name], tmp_path / "now.svg")
    stored = DOCS / "_static" / f"{name}.svg"
    assert texts(stored) == texts(tmp_path / "now.svg"), "run docs/make_pictures.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_shown(name):
    pages = (DOCS / "charts.md", DOCS.parent / "README.md")
    assert any(f"_static/{name}.svg" in page.read_text(encoding="utf-8") for page in pages)
