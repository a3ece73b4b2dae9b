"""The fast query for clean records; it marks records that need the exact query.

Nearly every record is plain: its text is text, its dates end in Z, its charges are whole.  So text
comes in as VARCHAR, which costs DuckDB half of JSON, and values are cast, so that what cannot be
one ends the query.  A row is marked if what it holds may have been no text, or is written in a way
that needs more care.  A row without a mark is what `io.parse_sql.Exact` makes of its record;
a marked one may be right or wrong.
"""

from collections.abc import Iterator
from typing import ClassVar, Final

from tidyusage import catalogue
from tidyusage._utils.sql import literal, quote
from tidyusage.catalogue import LISTS, Field, Tree
from tidyusage.io.parse_sql import (
    COUNTS,
    NAN,
    Exact,
    before,
    currency,
    member,
    oddly_written,
    raw_at,
    raw_name,
    renamed_action,
)

# An object, a list, a word without quotation marks, or a number with an exponent, which may be
# infinite, and which DuckDB writes in another way than in JSON.
_NO_TEXT: Final = literal(
    r"^(?:[\[{]|true$|false$|-?(?i:nan|inf|infinity)$|-?[\d.]+(?:e[-+]\d+|[eE]\+?\d{3,})$)"
)
# Digits that may be an infinite number.
_LONG: Final = 300
_DATE: Final = literal(r"[12]\d{3}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:[0-5]\d(?:\.\d{1,6})?Z")
_ACTIONS: Final = "map(varchar, map(varchar, varchar))"


class Plain(Exact):
    """The query that marks every row that is not plainly right."""

    __slots__ = ()
    text_type: ClassVar[str] = "VARCHAR"

    def text(self, x: str) -> str:
        """Return the text as it is."""
        return x

    def wrong_text(self, x: str) -> str:
        """Return the test of text that may have been an object, a list or a word of JSON."""
        return f"regexp_matches({x}, {_NO_TEXT}) or strlen({x}) > {_LONG}"

    def typed(self, field: Field, x: str) -> str:
        """Return a field's value of its raw one; what is none ends the query."""
        if field.dtype == "number":
            return f"cast({self.present(x)} as double)"
        if field.dtype == "timestamp":
            return f"cast({x} as timestamptz)"
        return super().typed(field, x)

    def tests(self) -> Iterator[tuple[str, str]]:
        """Yield each place that may not be plain, with the test of the rows that are not."""
        yield "$", self.wrong_record()
        for field in catalogue.SCALARS:
            if field.dtype == "timestamp":
                yield field.path, self.wrong_date(before(field))
            elif field.dtype == "number":
                yield field.path, oddly_written(before(field))
            else:
                yield field.path, self.wrong(field)
        for name in LISTS:
            yield name, self.wrong_list(name)
        yield "charges", self.wrong_charges()
        numbers = [quote(field.column) for field in catalogue.SCALARS if field.dtype == "number"]
        numbers += [f"list_sum(list_transform({COUNTS}, lambda e: coalesce(abs(e.count), {NAN})))"]
        all_ = ", ".join(numbers)  # NaN is the greatest of all
        yield "usage", f"not isfinite(greatest({all_})) or not isfinite(least({all_}))"

    def wrong_date(self, x: str) -> str:
        """Return the test of a date that is not in the usual form."""
        return f"not regexp_full_match({x}, {_DATE})"

    def typed_list(self, name: str) -> str:
        """Return a list with typed entries: where all is text, the list as it is."""
        is_text = all(field.dtype == "string" for field in LISTS[name])
        return self.entries(name) if is_text else super().typed_list(name)

    def entries(self, name: str) -> str:
        """Return all entries of a list."""
        return f"raw.{quote(name)}"

    def holds(self, tree: Tree, x: str) -> str:  # noqa: ARG002 - the exact query looks into it
        """Return the test of an object that is there."""
        return f"{x} is not null"

    def typed_member(self, field: Field, x: str) -> str:
        """Return the value of a field of a list's entry."""
        if field.path == "charges[].currency" and self.currency:
            return f"coalesce({x}, {literal(self.currency)})"
        return self.typed(field, x)

    def wrong_list(self, name: str) -> str:
        """Return the test of a list with an entry that is empty, or holds what may be no text."""
        fields = LISTS[name]
        # A charge's currency is text if the record's is a code and all are the same.
        texts = [field for field in fields if field.dtype == "string"]
        texts = [field for field in texts if field.path != "charges[].currency"]
        doubts = [self.wrong_text(member(field, "e")) for field in texts]
        if name == "charges":
            doubts += ["e.amount is null", "e.type is null", oddly_written("e.amount")]
            doubts += [] if self.currency else ["e.currency is null"]
        else:
            doubts += [" and ".join(f"{member(field, 'e')} is null" for field in fields)]
        for path, tree, _ in catalogue.objects(catalogue.entry(name)):
            x = f"e.{quote(path)}"
            doubts += [f"{x} is not null and not ({Exact.holds(self, tree, x)})"]
        is_doubtful = f"lambda e: {' or '.join(doubts)}"
        return f"list_bool_or(list_transform({quote(raw_name(name))}, {is_doubtful}))"

    def wrong_charges(self) -> str:
        """Return the test of charges that cannot be one row, or whose currency is not its code."""
        return (
            f"{super().wrong_charges()} or not regexp_full_match({currency('list_min')}, '[A-Z]+')"
        )

    def typed_counts(self, x: str) -> str:
        """Return ``tool_actions`` of two levels as a list of tool, action and count."""
        number = f"cast({self.present('f.value')} as double)"
        count = f"case when {oddly_written('f.value')} then {NAN} else {number} end"
        leaf = f"{{tool: e.key, action: {renamed_action('f.key')}, count: {count}}}"
        leaves = f"list_transform(map_entries(e.value), lambda f: {leaf})"
        return f"flatten(list_transform(map_entries(cast({x} as {_ACTIONS})), lambda e: {leaves}))"


class Loose(Plain):
    """The quick query over `tidyusage.io.memory`: an object without members may have been none."""

    __slots__ = ()

    def tests(self) -> Iterator[tuple[str, str]]:
        """Yield each place that may not be plain, with the test of the rows that are not."""
        yield from super().tests()
        for path, tree, _ in catalogue.objects():
            if path not in LISTS and "[]" not in path:
                members = " and ".join(
                    _is_null(child, f"{path}.{key}") for key, child in tree.items()
                )
                yield path, f"({raw_at(path)} is not null and {members})"


def _is_null(child: object, path: str) -> str:
    is_typed = isinstance(child, Field) and child.dtype != "counts"
    return f"{quote(path) if is_typed else raw_at(path)} is null"
