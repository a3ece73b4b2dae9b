"""How far a coarser amount may differ from the sum of its rounded parts.

A vendor that reports an organization's cost in cents rounds it once, and rounds or keeps the cost
of each user on its own.  So the two differ by up to half a cent for each user.  This is the one
tolerance for amounts of money: of the overlap check and `overlaps`, `at_grain`, `reconcile` and
the finding `parts_not_total`.
"""

from __future__ import annotations

from typing import Final

LEAST_PLACES: Final = 2
_MOST_PLACES: Final = 8
# Never more than this share of the coarser sum.
SHARE: Final = 0.01
# Differences of floats: of two that are added up in another order, and of what is computed from
# others in one record (100000.1 - 99999.05 is 1.0500000000029104).
_NOISE: Final = "1e-12"
_EPSILON: Final = "1e-15"


def places_sql(amount: str, *computed_from: str) -> str:
    """Return the SQL of how many decimals an amount has, from two to eight.

    They are the decimals of the shortest text that reads back as the float.  An amount that is
    ``computed_from`` others is off by their noise.
    """
    sizes = ", ".join(f"abs(coalesce({name}, 0))" for name in (amount, *computed_from))
    size = f"greatest({sizes})" if computed_from else f"abs({amount})"
    cases = " ".join(
        f"when abs({amount} - round({amount}, {places})) <= {_EPSILON} * {size} then {places}"
        for places in range(LEAST_PLACES, _MOST_PLACES)
    )
    return f"case {cases} else {_MOST_PLACES} end"


def rounding_sql(places: str, rows: str, total: str) -> str:
    """Return the SQL of the tolerance between a coarser ``total`` and the sum of its parts.

    Half a unit of the last decimal of ``places``, those that amounts of the coarser grain have in
    the product and currency, for each of the finer ``rows``; and at most `SHARE` of the total.
    Without decimals, as of tokens, there is nothing to round and it is 0.
    """
    half_units = f"0.5e0 * power(10e0, -({places})) * ({rows})"
    allowed = f"least({half_units}, {SHARE} * abs({total})) + {_NOISE} * abs({total})"
    # `least` skips nulls.
    return f"case when {half_units} is not null then {allowed} else 0e0 end"
