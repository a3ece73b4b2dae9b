"""How Sphinx builds these pages."""

# ruff: noqa: INP001 - no package

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

project = "tidyusage"
author = "The tidyusage developers"
version = release = installed_version("tidyusage")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
smartquotes = False  # "wide" is a value to be typed

# A signature names types as the source does; the docstring says what they mean.
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_title = f"tidyusage {version}"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
}
html_sidebars = {"**": []}
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the one step that is ours."""
    app.connect("doctree-read", _strip_blocks)


def _strip_blocks(_: Sphinx, page: nodes.document) -> None:
    """Take the blank line off the end of examples; doctest needs it, a reader does not."""
    from docutils import nodes

    for block in page.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip()
            block[:] = [nodes.Text(block.rawsource)]
