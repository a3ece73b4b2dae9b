"""`findings`: run the checks and return their cases as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import clauses, literal
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, known_options, nearest
from tidyusage.metrics import _duplicates as repeated
from tidyusage.metrics._usage import usage
from tidyusage.quality.findings import (
    cents,
    currency,
    days,
    duplicates,
    money,
    people,
    running,
    tokens,
)
from tidyusage.quality.findings.check import RESULTS
from tidyusage.quality.findings.money import CHARGES, ENTRIES

if TYPE_CHECKING:
    from tidyusage.engines.query import Query
    from tidyusage.metrics._usage import Usage
    from tidyusage.quality.findings.check import Check
    from tidyusage.typing import FrameT, Overlap

CHECKS: Final = {
    check.name: check
    for module in (duplicates, money, currency, tokens, running, cents, people, days)
    for check in module.CHECKS
}
_RANKS: Final = ("error", "warning", "info")


@known_options
def findings(
    frame: FrameT, *, only: str | Iterable[str] | None = None, overlap: Overlap = "warn"
) -> FrameT:
    """Return what is legal in a frame but suspect, one row a finding.

    What breaks a rule of the schema is not looked for here.  The page on findings has each check's
    exact rule, its tolerance, and what to do.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.  Where it lacks the columns that a
        check looks at, that check has nothing to say; long lacks the list `charges`.
    only
        The name of a check, or several; all of them if not given.
    overlap
        What to do about rows that the sums count twice, as in `cost_by`.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  `check` (str), `severity` (str: "error" where
        figures contradict each other, "warning" where an answer may be wrong, "info" where one
        should know), `id` (str; null where it is about several records), `column` (str, as the
        frame spells it), `value` and `expected` (str, since they are numbers, dates or names; a
        number has up to six decimals, and `expected` is null where nothing in particular is),
        `message` (str: the fact, and what to do), `records` (int64, how many it is about).  By
        severity, then check, then the most records first, then id.

    Raises
    ------
    OptionError
        For a name that no check has.
    FrameError
        For a frame that is neither wide nor long, or a column that holds values of a wrong kind.

    Notes
    -----
    ===========================  ========  ====================================================
    check                        severity  what it finds
    ===========================  ========  ====================================================
    parts_not_total              error     charges whose parts do not make their total
    net_not_total_less_discount  error     a net that is not the total less the discount
    tokens_not_total             error     a total of tokens that its parts make in no way
    cache_write_not_parts        error     cache writes that their two lifetimes do not make
    repeated_id                  error     one id on rows whose windows overlap
    running_totals               error     amounts that run up over the month
    discount_without_net         warning   a total that may be before or after its discount
    duplicate_charge_types       warning   one type of charge twice in a record
    currency_missing             warning   an amount without a currency
    amounts_in_cents             warning   amounts that are a hundred times too much
    api_key_users                warning   users who are keys or machines
    id_with_several_emails       warning   one user id that several people may share
    number_in_several_products   warning   a number that may be several people's user id
    cached_exceeds_input         warning   more cached tokens than the input should hold
    end_before_start             warning   a window that ends before it starts
    missing_days                 warning   days without a record within a daily series
    email_with_several_ids       info      one person with several user ids
    currency_not_iso             info      amounts in what is no currency, such as credits
    late_days                    info      a last day that falls far below those before
    ===========================  ========  ====================================================

    Examples
    --------
    >>> import tidyusage as tu
    >>> charges = [{"type": "total", "amount": 9}, {"type": "committed", "amount": 5},
    ...            {"type": "on_demand", "amount": 3}]
    >>> df = tu.flatten_usage({"id": "a", "charges": charges}, currency="USD")
    >>> tu.findings(df)[["check", "severity", "id", "column", "value", "expected"]]
                 check severity id         column value expected
    0  parts_not_total    error  a  charges.total     9        8
    """
    asked = usage(frame, (), overlap=overlap)
    chosen = [check for check in _chosen(only) if check.applies(asked)]
    return run_query(frame, _query(asked, chosen))


def _chosen(only: str | Iterable[str] | None) -> list[Check]:
    """Return the checks of these names; raise for a name that none has."""
    if only is None:
        return list(CHECKS.values())
    names = [only] if isinstance(only, str) else only
    if not isinstance(names, Iterable):
        raise OptionError(f"only={only!r} names no check.", "Give a name, or a list of names.")
    names = list(names)
    for name in names:
        if not isinstance(name, str) or name not in CHECKS:
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
    known, kinds = asked.columns.known, dict(query.kinds)
    own: tuple[str, ...] = ()
    if any(ENTRIES in text for text in texts):
        own = tuple(known[path] for path in ("id", "product.id", CHARGES) if path in known)
        kinds[known[CHARGES]] = "list"
    if duplicates.CHECKS[0] in chosen:
        own = (*own, *repeated.needs(asked.columns))
    return replace(query, needs=tuple(dict.fromkeys((*query.needs, *own))), kinds=kinds)


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
