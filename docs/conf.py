"""How Sphinx builds these pages."""

# ruff: noqa: INP001 - no package

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.config import Config

project = "tidyusage"
author = "The tidyusage developers"
version = release = installed_version("tidyusage")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
myst_heading_anchors = 3
smartquotes = False  # "wide" is a value to be typed

# Notebooks are shown with the outputs that are stored in them: the tests run each one, and fail
# where an output is not what its cell gives.
nb_execution_mode = "off"
nb_merge_streams = True

# A signature names types as the source does; the docstring says what they mean.
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
default_role = "code"  # what stands in single quotes in a docstring is typed, not stressed
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_title = f"tidyusage {version}"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}  # without it the theme complains on the console
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
}
# The pages of a section stand at its side, where a section has several.
# The table of fields needs the room.
_ALONE = ("index", "explanation", "reference", "fields", "engines", "migration", "changelog")
html_sidebars = {"**": ["sidebar-nav-bs"]} | {page: [] for page in (*_ALONE, "search", "genindex")}
html_static_path = ["_static"]
html_css_files = ["tables.css", "pages.css"]
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the steps that are ours."""
    app.connect("config-inited", _bring_notebooks)
    app.connect("doctree-read", _strip_blocks)
    app.connect("doctree-read", _name_pictures)


def _bring_notebooks(app: Sphinx, _: Config) -> None:
    """Copy ../notebooks to where Sphinx finds pages; what is the same stays untouched."""
    pages = Path(app.srcdir) / "notebooks"
    pages.mkdir(exist_ok=True)
    notebooks = {
        path.name: path.read_bytes() for path in pages.parents[1].glob("notebooks/*.ipynb")
    }
    for page in pages.glob("*.ipynb"):
        if page.name not in notebooks:
            page.unlink()
    for name, content in notebooks.items():
        page = pages / name
        if not page.exists() or page.read_bytes() != content:
            page.write_bytes(content)


def _strip_blocks(_: Sphinx, page: nodes.document) -> None:
    """Take the blank line off the end of examples; doctest needs it, a reader does not."""
    from docutils import nodes

    for block in page.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block[:] = [nodes.Text(block.rawsource)]


def _name_pictures(_: Sphinx, page: nodes.document) -> None:
    """Say what a notebook's picture is, for those who do not see it; its path says nothing."""
    from docutils import nodes

    for image in page.findall(nodes.image):
        image.setdefault("alt", "What the cell above draws")
