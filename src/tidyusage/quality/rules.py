"""The rules that a usage frame is held to, each said once: as SQL, over dotted names.

What validates in SQL and what pandera runs are both made of these; so is the table of rules in
the documentation.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import is_about, literal, quote, values
from tidyusage.errors import OptionError
from tidyusage.layouts.convert_sql import CHARGES, COUNTS
from tidyusage.quality._rule import Rule

if TYPE_CHECKING:
    from tidyusage.catalogue import Field
    from tidyusage.typing import Layout

CURRENCY: Final = "[A-Z]{3}"
# A window that ends, and a figure that is changed, before it begins.
_ORDERED: Final = (("end_date", "start_date"), ("updated_at", "created_at"))
_KEYS: Final[dict[Layout, tuple[str, ...]]] = {
    "wide": ("id",),
    "long": ("id", "metric"),
    "charges": ("id", "position"),
    "resources": ("id", "position"),
    "tool_actions": ("id", "position"),
}


@cache
def rules(layout: Layout, currencies: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Return the rules of a layout, in the order of its columns."""
    every = {
        "wide": _wide,
        "long": _long,
        "charges": _charges,
        "resources": _child,
        "tool_actions": _tool_actions,
    }[layout](layout, currencies)
    order = list(schema.layout_types(layout))
    return tuple(sorted(every, key=lambda rule: order.index(rule.column)))


def codes(currencies: Any) -> tuple[str, ...]:
    """Return further currencies as a frame spells them: upper case, without blanks around."""
    if isinstance(currencies, str) or not hasattr(currencies, "__iter__"):
        raise OptionError(
            f"currencies={currencies!r} is no list of codes.",
            "Give those that are no ISO codes, such as currencies=['CREDITS'].",
        )
    if wrong := [code for code in currencies if not isinstance(code, str) or not code.strip()]:
        raise OptionError(f"{wrong[0]!r} is no currency.", "Give codes as text.")
    return tuple(sorted({code.strip().upper() for code in currencies}))


def is_count(field: Field) -> bool:
    """Tell whether a field counts something: what is metered or charged may be taken back."""
    return field.dtype == "number" and field.addition != "within"


def parts() -> dict[str, str]:
    """Return the counts that are part of another and make no partition of it, with that one."""
    return {
        field.column: field.part_of
        for field in catalogue.MEASURES
        if field.part_of and not field.partition
    }


def _wide(layout: Layout, currencies: tuple[str, ...]) -> list[Rule]:
    whole, lifetimes = _cache_writes()
    return [
        *_keys(layout),
        *_named(),
        *(_not_negative(field.column) for field in catalogue.MEASURES if is_count(field)),
        *(_at_most(part, of) for part, of in parts().items()),
        _sum(whole, lifetimes),
        *(_not_before(later, earlier) for later, earlier in _ORDERED),
        _currency("charges.currency", currencies),
        _of_entries("known_type", "charges", _is_unknown("tu__e.type"), "tu__e.type", _TYPES),
        _of_entries("not_negative", COUNTS, "tu__e.count < 0", "tu__e.count", _COUNTED),
    ]


def _long(layout: Layout, currencies: tuple[str, ...]) -> list[Rule]:
    metric, value = quote("metric"), quote("value")
    whole, lifetimes = _cache_writes()
    counts = [field.column for field in catalogue.MEASURES if is_count(field)]
    is_counted = f"({metric} in ({values(counts)}) or starts_with({metric}, '{COUNTS}.'))"
    is_charge = f"starts_with({metric}, '{CHARGES}')"
    type_ = f"substr({metric}, {len(CHARGES) + 1})"
    return [
        *_keys(layout),
        _required("metric"),
        _required("value"),
        *_named(),
        _not_before(*_ORDERED[0]),
        _row(
            "known_type",
            "metric",
            "A charge is of a type of the schema.",
            f"{is_charge} and {_is_unknown(type_)}",
        ),
        _row("not_negative", "value", _COUNTED, f"{is_counted} and {value} < 0", "metric"),
        *(
            _of_record(
                _most(of), part, (of,), f"{_leaf(part)} is at most {_leaf(of)}.", "{0} > {1}"
            )
            for part, of in parts().items()
        ),
        _of_record(_SUM, whole, lifetimes, f"{_leaf(whole)} is the sum of its lifetimes.", _NO_SUM),
        _currency("unit", currencies, f"{is_charge} and ", "metric"),
    ]


def _charges(layout: Layout, currencies: tuple[str, ...]) -> list[Rule]:
    type_ = "charges.type"
    return [
        *_child(layout, currencies),
        _currency("charges.currency", currencies),
        _row("known_type", type_, _TYPES, _is_unknown(quote(type_))),
    ]


def _tool_actions(layout: Layout, currencies: tuple[str, ...]) -> list[Rule]:
    return [*_child(layout, currencies), _not_negative("count")]


def _child(layout: Layout, _: tuple[str, ...]) -> list[Rule]:
    return [*_keys(layout), _required("position"), _not_negative("position")]


_TYPES: Final = "Charges are of the schema's types, or of none."
_COUNTED: Final = "A count is not negative."
_SUM: Final = "sum_of_5m_and_1h"
_NO_SUM: Final = f"not ({is_about('({1} + {2})', '{0}')})"


def _keys(layout: Layout) -> list[Rule]:
    """Return the rules of what tells rows apart."""
    keys = _KEYS[layout]
    last = keys[-1]
    sentence = "No other row has it." if len(keys) == 1 else "It stands once in its record."
    unique = Rule(
        "unique", last, sentence, "", keys, portable=False, keys=keys, having="count(*) > 1"
    )
    return [_required("id"), unique]


def _named() -> list[Rule]:
    """Return the rules of ids that the schema requires of an object, where the object is named."""
    needed = [field for field in catalogue.SCALARS if field.required and len(field.keys) > 1]
    named = [(field.column, ".".join([*field.keys[:-1], "name"])) for field in needed]
    return [
        _row(
            "required_with_name",
            column,
            f"It is there where {name} is.",
            f"{quote(column)} is null and {quote(name)} is not null",
            name,
            portable=True,
        )
        for column, name in named
    ]


def _required(column: str) -> Rule:
    return _row("required", column, "It is there.", f"{quote(column)} is null", portable=True)


def _not_negative(column: str) -> Rule:
    return _row("not_negative", column, _COUNTED, f"{quote(column)} < 0", portable=True)


def _at_most(part: str, of: str) -> Rule:
    sentence = f"It is at most {_leaf(of)}."
    broken = f"{quote(part)} > {quote(of)}"
    return _row(_most(of), part, sentence, broken, of, portable=True)


def _sum(whole: str, lifetimes: tuple[str, ...]) -> Rule:
    sentence = "It is the sum of its lifetimes, where all are there."
    broken = _NO_SUM.format(quote(whole), *map(quote, lifetimes))
    return _row(_SUM, whole, sentence, broken, *lifetimes, portable=True)


def _not_before(later: str, earlier: str) -> Rule:
    return _row(
        f"not_before_{earlier}",
        later,
        f"It is not before {earlier}.",
        f"{quote(later)} < {quote(earlier)}",
        earlier,
        portable=True,
    )


def _currency(column: str, currencies: tuple[str, ...], where: str = "", *reads: str) -> Rule:
    code = quote(column)
    others = f" and {code} not in ({values(currencies)})" if currencies else ""
    return _row(
        "currency_code",
        column,
        "A currency is three capital letters, as in ISO 4217, or one that was named.",
        f"{where}not regexp_full_match({code}, '{CURRENCY}'){others}",
        *reads,
    )


def _of_entries(name: str, column: str, broken: str, value: str, sentence: str) -> Rule:
    """Return the rule of every entry of a list."""
    those = f"list_filter({quote(column)}, lambda tu__e: {broken})"
    reported = f"array_to_string(list_transform({those}, lambda tu__e: {value}), ', ')"
    return Rule(name, column, sentence, f"len({those}) > 0", (column,), reported, portable=False)


def _row(
    name: str, column: str, sentence: str, broken: str, *reads: str, portable: bool = False
) -> Rule:
    columns = tuple(dict.fromkeys((column, *reads)))
    return Rule(name, column, sentence, broken, columns, portable=portable)


def _is_unknown(type_: str) -> str:
    """Write the test of a type of charge that the schema does not know."""
    return f"not list_contains([{values(catalogue.CHARGE_TYPES)}], {type_})"


def _of_record(name: str, metric: str, others: tuple[str, ...], sentence: str, broken: str) -> Rule:
    """Return the rule of a record's value of a metric, in long, beside its values of others."""
    rows = quote("metric")
    metrics = (metric, *others)
    found = [f"max(case when {rows} = {literal(one)} then {quote('value')} end)" for one in metrics]
    one = f"{rows} = {literal(metric)} and "
    return Rule(
        name,
        "value",
        f"Within a record, {sentence}",
        one,
        ("value", "metric", "id"),
        portable=False,
        keys=("id",),
        having=broken.format(*found),
        among=f"{rows} in ({values(metrics)})",
    )


def _cache_writes() -> tuple[str, tuple[str, ...]]:
    """Return the column of cache writes, and those of their lifetimes."""
    found = [field for field in catalogue.MEASURES if field.partition == "lifetime"]
    return str(found[0].part_of), tuple(field.column for field in found)


def _most(of: str) -> str:
    return f"at_most_{_leaf(of)}"


def _leaf(column: str) -> str:
    return column.rpartition(".")[2]
