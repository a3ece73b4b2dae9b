"""FOCUS 1.2: one row per charge, and the charges that cannot be expressed in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from tidyusage import schema
from tidyusage._utils.sql import literal, quote
from tidyusage.errors import OptionError, one_of
from tidyusage.export import focus_charges, focus_columns, focus_currencies, focus_services
from tidyusage.export.focus_charges import CATEGORIES
from tidyusage.export.focus_records import Options, alias
from tidyusage.export.table import USAGE, Column, Table, described, spelled
from tidyusage.typing import CreditSign

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from tidyusage.export.focus_currencies import Price
    from tidyusage.export.focus_services import Service
    from tidyusage.export.table import Usage

VERSION: Final = "1.2"
CHARGES: Final = "focus"
SET_ASIDE: Final = "focus_set_aside"
_REASON: Final = "reason"


def tables(
    usage: Usage,
    *,
    version: str = VERSION,
    billing_account: str | None = None,
    virtual_currencies: Mapping[str, Price] | None = None,
    services: Mapping[str, Service] | None = None,
    credit_sign: CreditSign | None = None,
) -> list[Table]:
    """Return the charges, and those that are set aside with the reason why."""
    if version != VERSION:
        raise OptionError(f"version={version!r} of FOCUS is not written.", f"Use {VERSION!r}.")
    if credit_sign is not None:
        one_of("credit_sign", credit_sign, get_args(CreditSign))
    options = Options(
        _account(billing_account),
        focus_currencies.virtual_of(virtual_currencies),
        focus_services.services_of(services),
        credit_sign,
    )
    steps = focus_charges.steps(usage, options)
    found = (_charges(usage, steps), _set_aside(usage, steps))
    return [replace(table, parents=_records(usage, table)) for table in found]


def _records(usage: Usage, table: Table) -> str:
    """Return the query of all records: one of which nothing is left here had rows once."""
    of = zip(usage.identity, table.owner, strict=True)
    return f"select {', '.join(f'{quote(n)} as {quote(owner)}' for n, owner in of)} from {USAGE}"


def set_aside_counts(connection: duckdb.DuckDBPyConnection, table: Table) -> list[tuple[str, int]]:
    """Return how many charges are set aside, by reason, the most frequent first."""
    rows = connection.execute(f"""
select {_REASON}, count(*) as charges
from ({table.sql})
group by {_REASON}
order by charges desc, {_REASON}
""").fetchall()
    return [(str(reason), int(count)) for reason, count in rows]


def positive_credits(
    connection: duckdb.DuckDBPyConnection, table: Table
) -> list[tuple[str, int, float]]:
    """Return how many credits of the charges are positive, and their sum, by currency."""
    currency, cost = quote("BillingCurrency"), quote("BilledCost")
    rows = connection.execute(f"""
select {currency}, count(*) as credits, sum({cost}) as amount
from ({table.sql})
where {quote("ChargeCategory")} = 'Credit' and {cost} > 0
group by {currency}
order by {currency}
""").fetchall()
    return [(str(code), int(count), float(amount)) for code, count, amount in rows]


def _account(billing_account: object) -> str | None:
    if billing_account is None:
        return None
    if not isinstance(billing_account, str) or not billing_account.strip():
        raise OptionError(
            f"billing_account={billing_account!r} is no account.",
            "Give the id that the charges of records without an organization are to have.",
        )
    return billing_account


def _charges(usage: Usage, steps: str) -> Table:
    columns = focus_columns.columns(usage)
    identity = focus_columns.identity(usage)
    own = {ours: alias(place) for place, ours in enumerate(focus_columns.own(usage))}
    named = ", ".join(
        f"{quote(own[name])} as {quote(name)}" if name in own else quote(name)
        for name in focus_columns.names(columns)
    )
    return Table(
        CHARGES,
        "Charges as FOCUS 1.2 has them: usage, and tax and credits as rows of their own.",
        columns,
        f"with {steps}\nselect {named}\nfrom charges\nwhere tu__reason is null",
        key=(*identity, "ChargeCategory"),
        owner=identity,
        order=("ChargePeriodStart", *identity, "ChargeCategory"),
        sums=_sums(),
    )


def _sums() -> tuple[tuple[str, str, str | None], ...]:
    """Return the costs by currency, in all and by category."""
    cost, currency = quote("BilledCost"), quote("BillingCurrency")
    by_category = (
        (
            f"BilledCost {name}",
            f"case when {quote('ChargeCategory')} = {literal(name)} then {cost} end",
        )
        for name in CATEGORIES
    )
    return tuple((name, sql, currency) for name, sql in (("BilledCost", cost), *by_category))


def _set_aside(usage: Usage, steps: str) -> Table:
    text, number = schema.ARROW["string"], schema.ARROW["number"]
    told: dict[Column, str] = {
        described(path, required=path == "id"): quote(name)
        for name, path in focus_columns.fields(usage).items()
        if path in usage.identity
    } | {
        Column("charge_category", text, "Usage, Tax or Credit.", required=True): '"ChargeCategory"',
        Column(
            "amount", number, "What is payable; below zero, it reduces the cost.", "currency"
        ): "tu__charge.amount",
        Column("currency", text, "The currency, as the record has it."): "tu__currency",
        described("start_date"): "tu__start",
        described("end_date"): "tu__end",
        described("organization.id"): "tu__organization",
        Column(_REASON, text, "Why FOCUS cannot hold the charge.", required=True): "tu__reason",
    }
    named = ", ".join(f"{sql} as {quote(column.name)}" for column, sql in told.items())
    identity = tuple(map(spelled, usage.identity))
    return Table(
        SET_ASIDE,
        "Charges that FOCUS cannot hold, each with the reason.",
        tuple(told),
        f"with {steps}\nselect {named}\nfrom charges\nwhere tu__reason is not null",
        key=(*identity, "charge_category"),
        owner=identity,
        order=(*identity, "charge_category"),
    )
