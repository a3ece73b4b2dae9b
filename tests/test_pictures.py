"""The pictures in the docs say what the charts say now; where their marks stand is Vega's."""

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import tidyusage as tu

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_pictures.py"))  # docs/ is no package
CHARTS = SCRIPT["charts"]()


def texts(path):
    svg = ET.parse(path).getroot()  # noqa: S314 - ours
    return ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_is_up_to_date(name, tmp_path):
    tu.plot.save(CHARTS[name], tmp_path / "now.svg")
    stored = DOCS / "_static" / f"{name}.svg"
    assert texts(stored) == texts(tmp_path / "now.svg"), "run docs/make_pictures.py"


@pytest.mark.parametrize("name", CHARTS)
def test_a_picture_is_shown(name):
    pages = (DOCS / "charts.md", DOCS.parent / "README.md")
    assert any(f"_static/{name}.svg" in page.read_text(encoding="utf-8") for page in pages)
