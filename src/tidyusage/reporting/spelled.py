"""Format numbers in Python exactly as the page's scripts do."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tidyusage.reporting.cubes import plain

NOTHING = "–"


def number(value: float | None, decimals: int = 0) -> str:
    """Return a figure with separators, rounded as browsers round; a dash for none."""
    if value is None:
        return NOTHING
    exact = Decimal(repr(plain(value)))
    return f"{exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):,f}"


def money(value: float | None, currency: str | None) -> str:
    """Return an amount and its currency's code, which is not guessed."""
    if value is None:
        return NOTHING
    return f"{number(value, 2)} {currency or 'of unknown currency'}"


def rate(value: float | None) -> str:
    """Return a share of one in per cent."""
    return NOTHING if value is None else f"{number(value * 100, 1)} %"
