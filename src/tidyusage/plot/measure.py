"""Look up an additive measure for a chart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidyusage import metrics
from tidyusage.plot import labels
from tidyusage.plot.costs import titled
from tidyusage.plot.groups import GROUP, PANEL, asked

if TYPE_CHECKING:
    from tidyusage.plot.groups import Answer, Row
    from tidyusage.plot.periods import Times
    from tidyusage.typing import Charge, Conventions, Overlap, People, Rates

VALUE: Final = "value"
_ALL: Final = 1_000_000_000  # groups: `top` gives each its row
# The other columns of an answer.
_BESIDE: Final = (
    *("period", "currency", "change", "change_rate", "share", "records", "complete"),
    *("rank", "groups"),
    *("by", GROUP, PANEL),
)


class Measure:
    """A measure that charts ask for by name."""

    def __init__(
        self,
        name: str,
        *,
        charge: Charge,
        rates: Rates | None,
        to: str | None,
        assume_currency: str | None,
        token_convention: Conventions,
        people: People | None,
    ) -> None:
        self.is_cost = name == "cost"
        self.word = labels.words(name)
        self.title = titled(charge) if self.is_cost else self.word[:1].upper() + self.word[1:]
        self._options: dict[str, Any] = {
            "measure": name,
            "charge": charge,
            "rates": rates,
            "to": to,
            "assume_currency": assume_currency,
            "token_convention": token_convention,
            "people": people,
        }

    def unit(self, currency: str | None) -> str:
        """Return the title of an axis of it."""
        return labels.cost(currency) if self.is_cost else self.word

    def ranked(self, frame: Any, *by: Any, **options: Any) -> Any:
        """Return every group with what it has of the measure."""
        return metrics.top(frame, _ALL, *by, **self._options, **options)

    def over_time(
        self, frame: Any, by: tuple[str, ...], times: Times, overlap: Overlap, most: int
    ) -> Answer:
        """Return the measure of the largest groups by period."""
        measured = partial(metrics.trend, **self._options)
        rank = self.ranked if by else None
        return asked(
            measured,
            frame,
            by,
            size=self.value,
            most=most,
            overlap=overlap,
            rank=rank,
            **times.options,
        )

    def figure(self, value: float, currency: str | None) -> str:
        """Return a figure of it in words."""
        if self.is_cost:
            return f"{labels.exact(value, currency)} {labels.money(currency)}"
        return f"{labels.number(value)} {self.word}"

    def value(self, row: Row) -> Any:
        """Return the measure of a row, whose column has the measure's name."""
        return next(row[name] for name in row if name not in _BESIDE)

    def told(self, row: Row) -> Row:
        """Return the figure of a row, in numbers and in words."""
        value = self.value(row)
        return {
            VALUE: value,
            "figure": self.figure(value, row.get("currency")),
            "text": labels.price(value, row["currency"]) if self.is_cost else labels.amount(value),
            "part_of": labels.percent(row["share"]),
            "of_records": f"{row['records']:,}",
        }
