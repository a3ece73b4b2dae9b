"""`plot.save`: write charts as PNG, SVG or standalone HTML."""

from __future__ import annotations

import html
import os
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.atomic import replacing
from tidyusage._utils.html import json_text, script_text
from tidyusage.errors import OptionError, SourceError
from tidyusage.io.paths import expand
from tidyusage.plot.draw import altair, vega

if TYPE_CHECKING:
    from tidyusage.typing import Path

_FORMATS: Final = (".html", ".png", ".svg")
_PADDING: Final = {"left": 5, "top": 5, "right": 28, "bottom": 5}
# No address may be asked for anything. Vega makes functions of its expressions.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:"
)
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 1.5rem; background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #333; }} }}
</style>
<script>{vega}</script>
</head>
<body>
<div id="chart"></div>
<script type="application/json" id="spec">{spec}</script>
<script>
const spec = JSON.parse(document.getElementById("spec").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const actions = {{ export: true, source: false, compiled: false, editor: false }};
vegaEmbed("#chart", spec, {{ renderer: "svg", theme: dark ? "dark" : undefined, actions }});
</script>
</body>
</html>
"""


def save(chart: Any, path: Path, *, scale: float = 2.0) -> str:
    """Write a chart as a picture, or as a page that holds all it needs.

    Parameters
    ----------
    chart
        An Altair chart: one of these, or any other.
    path
        A file whose name ends in `.png`, `.svg` or `.html`.
    scale
        Pixels of a PNG per pixel of the chart.

    Returns
    -------
    str
        The path.

    Raises
    ------
    OptionError
        For another ending, or what is no chart.
    SourceError
        If there is no such folder.
    MissingExtraError
        Without `tidyusage[plot]`.

    Notes
    -----
    `chart.save("cost.html")` of Altair itself writes a page that fetches Vega from the network
    when it is opened.  In this one nothing is fetched, and a group's name is never markup.

    Examples
    --------
    >>> import tempfile
    >>> import tidyusage as tu
    >>> chart = tu.load_example().usage.plot.cost_by("product.id")
    >>> tu.plot.save(chart, f"{tempfile.mkdtemp()}/cost.svg").endswith("cost.svg")
    True
    """
    altair()
    path = expand(path)
    if not hasattr(chart, "to_dict") or not hasattr(chart, "padding"):
        raise OptionError(
            f"{type(chart).__name__} is no chart.", "Give one, such as df.usage.plot.cost_by()."
        )
    format_ = os.path.splitext(path)[1].lower()
    if format_ not in _FORMATS:
        raise OptionError(
            f"{path!r} does not say a format that charts have.", "End it with .png, .svg or .html."
        )
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise SourceError(f"There is no folder {os.path.dirname(path)!r}.", "Make it first.")
    with replacing(path) as partial:
        if format_ == ".html":
            with open(partial, "w", encoding="utf-8") as file:
                file.write(_page(chart))
        else:
            options = {"scale_factor": scale} if format_ == ".png" else {}
            _padded(chart).save(partial, format=format_[1:], **options)
    return path


def _padded(chart: Any) -> Any:
    """Return a chart with room at its right: what shows an SVG may have wider letters."""
    from altair import Undefined

    return chart if chart.padding is not Undefined else chart.properties(padding=_PADDING)


def _page(chart: Any) -> str:
    """Return a page with the chart, its data and Vega in it."""
    spec = chart.to_dict()
    title = spec.get("title", "Chart")
    return _PAGE.format(
        policy=_POLICY,
        title=html.escape(title if isinstance(title, str) else str(title.get("text", "Chart"))),
        vega=script_text(vega()),
        spec=json_text(spec),
    )
