"""How far the figures can be trusted: findings, double counting, and explanations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tidyusage.engines.columns import columns
from tidyusage.errors import UnknownFieldError
from tidyusage.metrics._overlap import REPEATED_HINT, repeated_rows, speak
from tidyusage.metrics.explain import rules as rules_of
from tidyusage.prepare.grains import pairs_query
from tidyusage.quality import findings
from tidyusage.reporting.asked import fact, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.reporting.asked import Asked, Row
    from tidyusage.typing import Overlap

# Findings of one check that a page shows.
_SHOWN: Final = 20
_HINT: Final = (
    "tu.overlaps(df) shows them, tu.at_grain(df, 'finest') keeps one grain and the total; "
    "overlap='ignore' reports them all the same."
)
# Metrics whose rules are among those of another, which needs the columns of both.
_WITHIN: Final = {"cost_by": "cost_per_token", "tokens_by": "cost_per_token"}
_WORDS: Final = {"equals": "equal", "contains": "contain"}
EXPLAINED: Final = {
    "cost_per_token": "Cost of tokens",
    "cost_by": "Cost",
    "tokens_by": "Tokens",
    "cache_hit_rate": "Cache hit rate",
    "active_users": "Active users",
    "acceptance_rate": "Acceptance",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of how figures are made: what it is about, and what it did in this frame."""

    title: str
    lines: list[str] = field(default_factory=list)


def suspects(asked: Asked, *, users: bool) -> list[Row]:
    """Return what is suspect: the first of each check, and then how many more there are.

    Without users' names, how many there are of each check: what findings say may name users, and
    so may the ids of records.
    """
    found = rows(findings(asked.frame, overlap="ignore"))
    counts = Counter(row["check"] for row in found)
    if not users:
        first = {row["check"]: row for row in reversed(found)}
        return [_counted(first[check], counts[check]) for check in dict.fromkeys(counts)]
    seen: Counter[str] = Counter()
    shown = []
    for row in found:
        seen[row["check"]] += 1
        if seen[row["check"]] <= _SHOWN:
            shown.append(row)
    rest = {check: count - _SHOWN for check, count in counts.items() if count > _SHOWN}
    firsts = {row["check"]: row for row in found}
    return shown + [_counted(firsts[check], count, "more ") for check, count in rest.items()]


def _counted(row: Row, count: int, more: str = "") -> Row:
    """Return what stands for findings of a check, of which nothing but their number is told."""
    words = f"{count:,} {more}finding{'' if count == 1 else 's'} of this check."
    return {**row, "records": None, "message": words}


def twice(asked: Asked, overlap: Overlap) -> list[str]:
    """Return what is counted twice, in words; warn of it once or raise, as a metric does."""
    if overlap == "ignore":
        return []
    found = columns(asked.frame)
    repeated = repeated_rows(asked.frame)
    pairs = asked.run(pairs_query(found))
    words = list(dict.fromkeys(map(_pair, pairs)))
    facts = [repeated.fact] if repeated else []
    facts += [f"The sums count some usage twice. {'; '.join(words[:3])}."] if words else []
    if facts:
        hints = [REPEATED_HINT] * bool(repeated) + [_HINT] * bool(words)
        speak(" ".join(facts), "\n".join(hints), overlap)
    return [*([repeated.fact] if repeated else []), *words]


def check_charges(asked: Asked) -> None:
    """Warn of missing charge columns that could change a cost, as a metric would."""
    usage, money = asked.usage(), asked.money
    missing = usage.missing_charges(money.charge)
    if missing and money.has_amounts(usage):
        missing.warn(asked.frame)


def _pair(pair: Row) -> str:
    product = pair.get("product.id", pair.get("product_id"))
    unit = pair["unit"] or "of unknown currency"
    amount = f"{pair['finer_sum']:,.{0 if unit == 'tokens' else 2}f} {unit}"
    return (
        f"{product or 'No product'}: rows by {pair['coarser']} {_WORDS[pair['relation']]} those by "
        f"{pair['finer']} ({amount})"
    )


def explained(asked: Asked, names: Iterable[str]) -> list[Rule]:
    """Return how figures are made, each rule once, with how many records it was for."""
    rules: dict[str, Rule] = {}
    told: set[str] = set()
    for name in names:
        if _WITHIN.get(name) in told:
            continue
        try:
            lines = rules_of(asked.frame, name, **_options(asked, name)).lines
        except UnknownFieldError as error:
            rules[name] = Rule(EXPLAINED[name], [fact(error)])
            continue
        told.add(name)
        for rule in _rules(lines):
            rules.setdefault(rule.title, rule)
    return list(rules.values())


def _options(asked: Asked, name: str) -> dict[str, Any]:
    from tidyusage import metrics

    options = asked.of(getattr(metrics, name))
    return options | ({"freq": asked.freq} if name != "cache_hit_rate" else {})


def _rules(lines: Iterable[str]) -> list[Rule]:
    found: list[Rule] = []
    for line in lines:
        if line.lstrip().startswith("- "):
            found[-1].lines.append(line)
        else:
            found.append(Rule(line))
    return found
