"""The columns of a FOCUS dataset: the specification's, then ours with the prefix ``x_``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tidyusage import schema
from tidyusage.catalogue import BY_PATH, SOURCE
from tidyusage.errors import FrameError
from tidyusage.export.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.export.table import Usage

_TEXT: Final = schema.ARROW["string"]
_NUMBER: Final = schema.ARROW["number"]
_INSTANT: Final = schema.ARROW["timestamp"]
_MONEY: Final = "BillingCurrency"


def _text(name: str, description: str, *, required: bool = False) -> Column:
    return Column(name, _TEXT, description, required=required)


def _cost(name: str, description: str, unit: str = _MONEY) -> Column:
    return Column(name, _NUMBER, description, unit, required=True)


def _instant(name: str, description: str) -> Column:
    return Column(name, _INSTANT, description, required=True)


def _number(name: str, description: str, unit: str) -> Column:
    return Column(name, _NUMBER, description, unit)


# By the alphabet, as the specification's own examples have them.
FOCUS: Final = (
    _text("AvailabilityZone", "Where a resource stands; usage records do not tell it."),
    _cost("BilledCost", "What is payable, before tax and credits, which are rows of their own."),
    _text("BillingAccountId", "The organization that pays.", required=True),
    _text("BillingAccountName", "The organization's name."),
    _text("BillingAccountType", "What the billing account is.", required=True),
    _text(_MONEY, "The currency of the costs, by ISO 4217.", required=True),
    _instant("BillingPeriodEnd", "Where the billing period ends (exclusive)."),
    _instant("BillingPeriodStart", "The first of the month, in UTC, in which the charge begins."),
    _text("ChargeCategory", "Usage, Tax or Credit.", required=True),
    _text("ChargeClass", "Correction of an invoiced period; usage records do not tell it."),
    _text("ChargeDescription", "The service, meter, model and surface.", required=True),
    _text("ChargeFrequency", "Usage-Based, or One-Time for a credit.", required=True),
    _instant("ChargePeriodEnd", "Where the record's window ends (exclusive)."),
    _instant("ChargePeriodStart", "Where the record's window begins (inclusive)."),
    _text("CommitmentDiscountStatus", "Used or Unused; usage records do not tell it."),
    _number("ConsumedQuantity", "How much was used; of usage rows alone.", "ConsumedUnit"),
    _text("ConsumedUnit", "The unit of ConsumedQuantity."),
    _cost("ContractedCost", "The cost at the negotiated price, which is BilledCost's here."),
    _cost("EffectiveCost", "The cost after discounts, with what prepaid credits cost."),
    _text("InvoiceId", "The invoice; usage records do not tell it."),
    _text("InvoiceIssuerName", "Who issues the invoice.", required=True),
    _cost("ListCost", "The cost before discounts where a record tells it, else BilledCost."),
    _text("PricingCurrency", "The currency of the price; it may be virtual.", required=True),
    _cost("PricingCurrencyEffectiveCost", "EffectiveCost as it was priced.", "PricingCurrency"),
    _number("PricingQuantity", "How much was priced; of usage rows alone.", "PricingUnit"),
    _text("PricingUnit", "The unit of PricingQuantity."),
    _text("ProviderName", "Who sells the service.", required=True),
    _text("PublisherName", "Who makes the service.", required=True),
    _text("ResourceId", "The resource, if the record names just one."),
    _text("ResourceName", "The resource's name."),
    _text("ServiceCategory", "What kind of service it is; one of each service.", required=True),
    _text("ServiceName", "The product's name, else its id.", required=True),
    _text("ServiceSubcategory", "The kind within the category.", required=True),
    _text("SubAccountId", "The workspace, if the record's resources are in just one."),
    _text("SubAccountName", "The workspace's name, else its id."),
    _text("SubAccountType", "What the sub account is."),
)
# What a record says of itself, by the field that says it.
_FIELDS: Final = {
    "x_UsageId": "id",
    "x_ProductId": "product.id",
    "x_MetricName": "metric_name",
    "x_ModelId": "model.id",
    "x_ModelProvider": "model.provider",
    "x_UserId": "user.id",
    "x_UserEmail": "user.email",
    "x_UserName": "user.name",
    "x_Surface": "surface",
}
_MARKS: Final = {"source.account": "x_Account", "source.report_type": "x_ReportType"}
_MARKED: Final = {field.column: field for field in SOURCE}
# Counts stand on usage rows alone, so that no sum counts a record twice.
COUNTS: Final = (
    _text("x_TokenType", "The type of the tokens, if all are of one."),
    _number("x_InputTokens", "Input tokens, cached ones not among them.", "tokens"),
    _number("x_OutputTokens", "Output tokens.", "tokens"),
    _number("x_CacheReadTokens", "Tokens read from the prompt cache.", "tokens"),
    _number("x_CacheWriteTokens", "Tokens written to the prompt cache.", "tokens"),
    _number("x_TotalTokens", "All tokens.", "tokens"),
    _number("x_RequestCount", "All requests.", "requests"),
)


def fields(usage: Usage) -> dict[str, str]:
    """Return the columns that are fields of a record as they are, by their names in FOCUS."""
    return {name: path for path, name in _marks(usage).items()} | _FIELDS


def identity(usage: Usage) -> tuple[str, ...]:
    """Return the columns that tell a record from all others, by their names in FOCUS."""
    return (*_marks(usage).values(), "x_UsageId")


def own(usage: Usage) -> dict[str, str]:
    """Return the caller's own columns by their names in FOCUS: with an ``x_``, if not yet there."""
    names = {name: name if name.startswith("x_") else f"x_{name}" for name in usage.own}
    taken = {column.name.lower() for column in (*_told(usage), *COUNTS)}
    for name, ours in names.items():
        if ours.lower() in taken:
            raise FrameError(
                f"The frame's own column {name!r} would be {ours!r}, which the export has.",
                "Rename or drop it.",
            )
        taken.add(ours.lower())
    return {ours: name for name, ours in names.items()}


def columns(usage: Usage) -> tuple[Column, ...]:
    """Return all columns of the export."""
    return (*FOCUS, *_told(usage), *COUNTS, *_own(usage))


def names(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the names of columns."""
    return tuple(column.name for column in columns)


def _marks(usage: Usage) -> dict[str, str]:
    return {path: _MARKS[path] for path in usage.marks}


def _told(usage: Usage) -> tuple[Column, ...]:
    known = {**BY_PATH, **_MARKED}
    return tuple(
        _text(name, known[path].description, required=path == "id")
        for name, path in fields(usage).items()
    )


def _own(usage: Usage) -> tuple[Column, ...]:
    said = "A column of your own."
    ours = own(usage).items()
    return tuple(
        replace(usage.own_column(name), name=shown, description=said) for shown, name in ours
    )
