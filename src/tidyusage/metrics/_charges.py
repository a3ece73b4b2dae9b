"""Charge policies: which of a record's charges is its cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import is_about, literal, quote, trimmed
from tidyusage.catalogue import CHARGE_TYPES
from tidyusage.errors import OptionError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from tidyusage.typing import Charge

BILLED: Final = "billed"
NET: Final = "charges.net"
OTHER_CHARGES: Final = ("charges.tax", "charges.credit")  # never part of what was billed
PARTS: Final = ("on_demand", "committed", "usage_based", "platform_fee")
_BILLED_OF: Final = ("net", "total", *PARTS, "included", "discount")


def kinds(charge: Charge) -> tuple[str, ...]:
    """Return what a policy takes, of whichever product; raise if it is none."""
    return tuple(dict.fromkeys(_policies(charge).values()))


def amounts_of(charge: Charge) -> tuple[str, ...]:
    """Return the columns of amounts that a policy reads."""
    types = dict.fromkeys(
        type_ for kind in kinds(charge) for type_ in (_BILLED_OF if kind == BILLED else (kind,))
    )
    return tuple(f"charges.{type_}" for type_ in types)


def fields_of(charge: Charge) -> tuple[str, ...]:
    """Return the columns that a policy reads."""
    products = ("product.id",) if isinstance(charge, Mapping) else ()
    return (*amounts_of(charge), "charges.currency", *products)


def cost(charge: Charge) -> str:
    """Return the SQL of a record's cost under a policy; null if it has none."""
    return _by_product(charge, _one)


def missing_columns(charge: Charge, known: Container[str]) -> dict[str, str]:
    """Return the charge columns that a policy reads and a wide frame lacks.

    Each comes with a SQL test, over rows with null for absent columns, of whether the column could
    change that row's cost.
    """
    missing = [field for field in amounts_of(charge) if field not in known]
    of_billed = _billed_depends_on(set(missing))

    def depends(field: str, kind: str) -> str:
        if kind == BILLED:
            return of_billed[field]
        return "true" if field == f"charges.{kind}" else "false"

    return {field: _by_product(charge, partial(depends, field)) for field in missing}


def _billed_depends_on(missing: Container[str]) -> dict[str, str]:
    """Test, for each column that "billed" reads, whether a row's cost could depend on it.

    A row with a net amount depends on nothing else.  Without one, `included` matters beside a
    total, the parts matter without a total or beside `included`, and `discount` beside the parts.
    """
    net, total, included = map(_amount, ("net", "total", "included"))
    parts = f"coalesce({', '.join(map(_amount, PARTS))}) is not null"
    lacks_net = f"{net} is null"
    lacks_total = f"{total} is null"
    may_have_total = "true" if "charges.total" in missing else f"{total} is not null"
    may_include = "true" if "charges.included" in missing else f"{included} is not null"
    may_have_parts = "true" if any(f"charges.{type_}" in missing for type_ in PARTS) else parts
    of_parts = f"{lacks_net} and ({lacks_total} or {may_include})"
    return {
        "charges.net": "true",
        "charges.total": lacks_net,
        **{f"charges.{type_}": of_parts for type_ in PARTS},
        "charges.included": f"{lacks_net} and {may_have_total}",
        "charges.discount": f"{lacks_net} and {lacks_total} and {may_have_parts}",
    }


def code(currency: str) -> str:
    """Return the SQL of a currency's code."""
    return f"nullif(upper({trimmed(currency)}), '')"


def rule(charge: Charge) -> str:
    """Return the SQL of the name of the rule that gives a record's cost; null if none does."""
    return _by_product(charge, _rule)


def _by_product(charge: Charge, figure: Callable[[str], str]) -> str:
    policies = _policies(charge)
    default = policies.pop("*")
    cases = " ".join(
        f"when {literal(product)} then {figure(kind)}" for product, kind in policies.items()
    )
    return f'case "product.id" {cases} else {figure(default)} end' if cases else figure(default)


def _policies(charge: Charge) -> dict[str, str]:
    """Return each product's policy, and under * that of all others."""
    policies = dict(charge) if isinstance(charge, Mapping) else {"*": charge}
    allowed = (BILLED, *CHARGE_TYPES)
    for product, kind in policies.items():
        if not isinstance(product, str):
            raise OptionError(f"charge= names the product {product!r}.", "Name products as text.")
        if kind not in allowed:
            raise OptionError(f"charge={kind!r} is no policy.", nearest(str(kind), allowed))
    return {"*": BILLED, **policies}


def _one(kind: str) -> str:
    return billed() if kind == BILLED else _amount(kind)


def _rule(kind: str) -> str:
    if kind != BILLED:
        return f"case when {_amount(kind)} is not null then {literal(kind)} end"
    return _first({name: (test, literal(name)) for name, (test, _) in _rules().items()})


def billed() -> str:
    """Return the SQL of what was charged: the first of net, total and its parts that is there."""
    return _first(_rules())


def _first(rules: dict[str, tuple[str, str]]) -> str:
    cases = "\n      ".join(f"when {test}\n        then {value}" for test, value in rules.values())
    return f"case\n      {cases}\n    end"


def _rules() -> dict[str, tuple[str, str]]:
    """Return the rules of what was charged in their order: when each holds, and its amount.

    What a subscription covers is notional: it is taken off a total in which it can be seen.  That
    is the case where it and the parts add up to the total, or where there are no parts and it has
    the total's sign and is not larger.
    """
    net, total, included, discount = map(_amount, ("net", "total", "included", "discount"))
    present = f"coalesce({', '.join(map(_amount, PARTS))})"
    parts = " + ".join(f"coalesce({_amount(type_)}, 0)" for type_ in PARTS)
    is_whole = is_about(f"{parts} + {included}", total)
    is_within = f"sign({included}) = sign({total}) and abs({included}) <= abs({total})"
    is_alone = f"{present} is null and {is_within}"
    is_inside = f"({is_alone} or {present} is not null and {is_whole})"
    return {
        "net": (f"{net} is not null", net),
        "total less included": (f"{total} is not null and {is_inside}", f"{total} - {included}"),
        "total": (f"{total} is not null", total),
        "parts": (f"{present} is not null", f"{parts} - coalesce(abs({discount}), 0)"),
    }


def _amount(type_: str) -> str:
    return quote(f"charges.{type_}")
