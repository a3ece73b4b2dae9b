"""An Excel sheet that writes text which looks like XlsxWriter's own markup."""

from __future__ import annotations

from typing import Any

from xlsxwriter.worksheet import Worksheet


class PlainSheet(Worksheet):  # type: ignore[misc]  # XlsxWriter tells no types
    """A sheet without rich strings, of which exports have none.

    Where rows are not kept in memory, XlsxWriter writes a text from ``<r>`` to ``</r>`` as the XML
    of such a string, formulas in it and all (3.3.1; try without at 4).
    """

    def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
        self._xml_inline_string(string, False, attributes)  # noqa: FBT003  (XlsxWriter's own)
