"""What is legal in a frame, and suspect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tidyusage import answers
from tidyusage.checks.findings import cents, currency, days, money, people, running, tokens
from tidyusage.checks.findings.check import RESULTS
from tidyusage.checks.findings.money import CHARGES, ENTRIES
from tidyusage.errors import OptionError, known_options, nearest
from tidyusage.metrics.query import usage
from tidyusage.sqltext import clauses, literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.answers import Query
    from tidyusage.checks.findings.check import Check
    from tidyusage.metrics.query import Usage
    from tidyusage.typing import FrameT

CHECKS: Final = {
    check.name: check
    for module in (money, currency, tokens, running, cents, people, days)
    for check in module.CHECKS
}
_RANKS: Final = ("error", "warning", "info")


@known_options
def findings(frame: FrameT, *, only: str | Iterable[str] | None = None) -> FrameT:
    """Return what is legal in a frame but suspect, one row a finding.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.
    only
        The name of a check, or several; all if not given.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.
    """
    asked = usage(frame, ())
    chosen = [check for check in _chosen(only) if check.applies(asked)]
    return answers.answer(frame, _query(asked, chosen))


def _chosen(only: str | Iterable[str] | None) -> list[Check]:
    """Return the checks of these names; raise for a name that none has."""
    if only is None:
        return list(CHECKS.values())
    names = [only] if isinstance(only, str) else list(only)
    for name in names:
        if name not in CHECKS:
            raise OptionError(f"There is no check {name!r}.", nearest(str(name), CHECKS))
    return [CHECKS[name] for name in dict.fromkeys(names)]


def _query(asked: Usage, chosen: list[Check]) -> Query:
    """Return the query of all checks that were chosen: their steps, each once, and their rows."""
    steps = dict.fromkeys(step for check in chosen for step in check.steps)
    texts = [text for step in steps if (text := step(asked))]
    rows = [_rows(check) for check in chosen] or [_none()]
    union = "\n  union all\n  ".join(rows)
    names = ", ".join(f'"{name}"' for name in RESULTS)
    ranks = " ".join(f"when {literal(name)} then {n}" for n, name in enumerate(_RANKS))
    sql = f"""{"".join(f"{text},{chr(10)}" for text in texts)}findings as (
  {union}
)
select {names}
from findings
order by case severity {ranks} end, "check", records desc, id nulls last, "column", value"""
    fields = dict.fromkeys(field for check in chosen for field in check.fields)
    query = asked.query(sql, fields or ("id",), RESULTS, portable=False)
    if not any(ENTRIES in text for text in texts):
        return query
    known = asked.columns.known
    own = tuple(known[path] for path in ("id", "product.id", CHARGES) if path in known)
    needs = tuple(dict.fromkeys((*query.needs, *own)))
    return replace(query, needs=needs, kinds={**query.kinds, known[CHARGES]: "list"})


def _rows(check: Check) -> str:
    columns = (
        f'{literal(check.name)} as "check"',
        f"{literal(check.severity)} as severity",
        *(f"cast({name} as varchar) as {name}" for name in ("id", '"column"', "value", "expected")),
        "cast(message as varchar) as message",
        "cast(records as bigint) as records",
    )
    return f"select {clauses(columns)}\n  from {check.name}"


def _none() -> str:
    """Return the SQL of no rows, for a frame that no check has anything to say of."""
    columns = (f'cast(null as varchar) as "{name}"' for name in RESULTS)
    return f"select {', '.join(columns)} from usage where false"
