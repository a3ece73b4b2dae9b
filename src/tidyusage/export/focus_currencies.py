"""National currencies by ISO 4217, and virtual ones such as credits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.iso4217 import NATIONAL
from tidyusage._utils.sql import literal, values
from tidyusage.errors import OptionError, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

# What a virtual currency was bought in, and what one of it cost.
Price = tuple[str, float]

_SHAPE: Final = "Give {'credits': ('USD', 0.04)}: what they were bought in, and what one cost."


def virtual_of(currencies: Mapping[str, Price] | None) -> dict[str, Price]:
    """Look at the option ``virtual_currencies``; refuse what has no price in money."""
    if currencies is None:
        return {}
    if not isinstance(currencies, Mapping):
        raise OptionError(f"virtual_currencies={currencies!r} is no mapping.", _SHAPE)
    for name, price in currencies.items():
        _check(name, price)
    codes = [_code(name) for name in currencies]
    if twice := [name for name in currencies if codes.count(_code(name)) > 1]:
        raise OptionError(f"virtual_currencies= names {twice[0]!r} twice.", "Name it once.")
    return {
        name.strip(" "): (_code(money), float(one)) for name, (money, one) in currencies.items()
    }


def _check(name: object, price: object) -> None:
    if not isinstance(name, str) or not _code(name):
        raise OptionError(f"virtual_currencies= names {name!r}.", _SHAPE)
    if _code(name) in NATIONAL:
        raise OptionError(f"virtual_currencies= names {name!r}, a national currency.", _SHAPE)
    pair: tuple[Any, ...] = tuple(price) if isinstance(price, tuple | list) else ()
    match pair:
        case (str() as money, one) if _code(money) in NATIONAL and is_number(one) and one >= 0:
            return
    raise OptionError(f"virtual_currencies= has {price!r} for {name!r}.", _SHAPE)


def _code(text: str) -> str:
    return text.strip(" ").upper()


def is_national(code: str) -> str:
    """Return the SQL of whether a code is that of a national currency."""
    return f"{code} in ({values(sorted(NATIONAL))})"


def billing(code: str, virtual: Mapping[str, Price]) -> str:
    """Return the SQL of the national currency in which a charge is billed; null if in none."""
    bought = _case(code, virtual, lambda _, price: literal(price[0]))
    return f"case when {is_national(code)} then {code} else {bought} end"


def pricing(code: str, virtual: Mapping[str, Price]) -> str:
    """Return the SQL of the currency in which a charge is priced, as it was named."""
    named = _case(code, virtual, lambda name, _: literal(name))
    return f"case when {is_national(code)} then {code} else {named} end"


def price(code: str, virtual: Mapping[str, Price]) -> str:
    """Return the SQL of what one of a virtual currency cost; null if it is none."""
    return f"cast({_case(code, virtual, lambda _, price: literal(price[1]))} as double)"


def _case(code: str, virtual: Mapping[str, Price], value: Callable[[str, Price], str]) -> str:
    cases = " ".join(
        f"when {literal(_code(name))} then {value(name, of)}" for name, of in virtual.items()
    )
    return f"case {code} {cases} end" if cases else "null"
