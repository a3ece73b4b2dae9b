"""The policy: the rule that makes one cost of a record's charges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tidyusage.catalogue import CHARGE_TYPES
from tidyusage.errors import OptionError, nearest
from tidyusage.sqltext import is_about, literal, quote, trimmed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidyusage.typing import Charge

BILLED: Final = "billed"
PARTS: Final = ("on_demand", "committed", "usage_based", "platform_fee")
_BILLED_OF: Final = ("net", "total", *PARTS, "included", "discount")


def kinds(charge: Charge) -> tuple[str, ...]:
    """Return what a policy takes, of whichever product; raise if it is none."""
    return tuple(dict.fromkeys(_policies(charge).values()))


def fields_of(charge: Charge) -> tuple[str, ...]:
    """Return the columns that a policy reads."""
    types = dict.fromkeys(
        type_ for kind in kinds(charge) for type_ in (_BILLED_OF if kind == BILLED else (kind,))
    )
    products = ("product.id",) if isinstance(charge, Mapping) else ()
    return (*(f"charges.{type_}" for type_ in types), "charges.currency", *products)


def cost(charge: Charge) -> str:
    """Return the SQL of a record's cost under a policy; null if it has none."""
    return _by_product(charge, _one)


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

    What a subscription covers is notional: it is taken off a total in which it can be seen.
    """
    net, total, included, discount = map(_amount, ("net", "total", "included", "discount"))
    present = f"coalesce({', '.join(map(_amount, PARTS))})"
    parts = " + ".join(f"coalesce({_amount(type_)}, 0)" for type_ in PARTS)
    is_whole = is_about(f"{parts} + {included}", total)
    is_alone = f"{present} is null and {included} <= {total}"
    is_inside = f"({is_alone} or {present} is not null and {is_whole})"
    return {
        "net": (f"{net} is not null", net),
        "total less included": (f"{total} is not null and {is_inside}", f"{total} - {included}"),
        "total": (f"{total} is not null", total),
        "parts": (f"{present} is not null", f"{parts} - coalesce(abs({discount}), 0)"),
    }


def _amount(type_: str) -> str:
    return quote(f"charges.{type_}")
