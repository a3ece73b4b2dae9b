"""The query from raw records to wide rows, in Spark.

Spark's `from_json` makes text of whatever stands where text belongs, takes the last of two equal
keys, and stops reading where a record ends.  `io.spark.raw` has a second look at each line:
what is broken comes marked, and of a record with text that may have been none, `LOOK` holds the
same leaves with their types.
"""

from typing import ClassVar, Final

from tidyusage._utils.sql import literal, quote
from tidyusage.catalogue import LISTS, Field
from tidyusage.engines.dialects import spark_functions
from tidyusage.io.diagnose import NUMBER
from tidyusage.io.parse_sql import Exact, member, raw_at, raw_name

BROKEN: Final = "tu__broken"
LOOK: Final = "tu__look"
EXTRA: Final = "extra"
# A record's text, and where it stands: its file, the part of the file, and a number that rises.
LINE: Final = "value"
FILE: Final = "tu__file"
START: Final = "tu__start"
PLACE: Final = "tu__place"
PLACES: Final = (FILE, START, PLACE)


class Lines(Exact):
    """The query over lines that Spark has read, in DuckDB's words but for those of `words`."""

    __slots__ = ()
    beside: ClassVar[tuple[str, ...]] = (BROKEN, LOOK)

    def wrong_record(self) -> str:
        """Return the test of a line that is not a record."""
        return quote(raw_name(BROKEN))

    def text(self, x: str) -> str:
        """Return the text as it is."""
        return x

    def typed(self, field: Field, x: str) -> str:
        """Return a field's value of its raw one; flags are typed already."""
        return x if field.dtype == "boolean" else super().typed(field, x)

    def number(self, x: str) -> str:
        """Return the number that a text is, or null: Spark alone casts 1d."""
        return (
            f"case when regexp_full_match({x}, {literal(NUMBER)}) then try_cast({x} as double) end"
        )

    def timestamp(self, x: str) -> str:
        """Return the instant of a date's text; without a zone it is UTC."""
        return f"{spark_functions.INSTANT}({x})"

    def wrong(self, field: Field) -> str:
        """Return the test of a faulty value; it may be null where the value is."""
        return "false" if field.dtype == "boolean" else super().wrong(field)

    def wrong_text(self, x: str) -> str:
        """Return the test of what is no text, which is seen where there was a look."""
        return f"{spark_functions.NO_TEXT}({x})"

    def looked(self, field: Field) -> str:
        """Return where it can be seen whether a field's value is text."""
        return raw_at(f"{LOOK}.{field.path}")

    def wrong_list(self, name: str) -> str:
        """Return the test of a list with an entry that is faulty."""
        texts = (member(field, "e") for field in LISTS[name] if field.dtype == "string")
        wrong = " or ".join(map(self.wrong_text, texts))
        entries = f"{raw_at(LOOK)}.{quote(name)}"
        return f"len(list_filter({entries}, lambda e: {wrong})) > 0"

    def typed_counts(self, x: str) -> str:
        """Return ``tool_actions`` as a list of tool, action and count; what is no count is NaN."""
        return (
            f"list_filter({self.count_leaves(f'map_entries({x})')}, lambda e: e.count is not null)"
        )

    def is_object(self, x: str) -> str:
        """Return the test of a raw value that is an object."""
        return f"starts_with({x}, '{{')"

    def members(self, x: str) -> str:
        """Return the raw values of an object with their keys, as a list."""
        return f"{spark_functions.MEMBERS}({x})"

    def count_text(self, x: str) -> str:
        """Return the text of a raw value among the counts."""
        return x


class Curious(Lines):
    """The query that keeps the keys that the schema does not know."""

    __slots__ = ()
    beside: ClassVar[tuple[str, ...]] = (BROKEN, LOOK, EXTRA)
    kept: ClassVar[tuple[str, ...]] = (EXTRA,)


class Judging(Lines):
    """The query that keeps each record's line and place beside its fault."""

    __slots__ = ()
    beside: ClassVar[tuple[str, ...]] = (BROKEN, LOOK, LINE, *PLACES)
    kept: ClassVar[tuple[str, ...]] = (LINE, *PLACES)
