"""Cut long queries for Spark, which plans a step again wherever another one refers to it.

Steps that name others several times each multiply, and a plan of ten thousand steps fills the
driver's memory.  So a query of very many runs in parts: what several steps share is computed once,
when the question is asked, and the executors keep it for as long as the answer is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# So many steps are planned in some seconds; no metric has as many.
MOST: Final = 500
# A step that is shared is computed for itself from so many on.
_ENOUGH: Final = 10
_PART: Final = "tu__part_"


def run(tree: Any, plan: Callable[[Any, Mapping[str, Any]], Any]) -> Any:
    """Return the answer to a query of steps, which ``plan`` makes of it and frames by name."""
    from sqlglot import exp

    steps = {step.alias: step for step in tree.ctes}
    body = tree.copy()
    body.set("with_", None)
    named = {name: _tables(step, steps) for name, step in steps.items()}
    named[""] = _tables(body, steps)
    weights: dict[str, int] = {}
    _weigh(named, weights)
    if weights[""] <= MOST:
        return plan(tree, {})
    parts: dict[str, Any] = {}
    for name, step in steps.items():
        uses = sum(tables.count(name) for tables in named.values())
        if uses > 1 and (weights[name] >= _ENOUGH or _is_numbered(step)):
            asked = _with(exp.select("*").from_(name), steps, named)
            parts[_PART + name] = plan(asked, parts).localCheckpoint()
            step.set("this", exp.select("*").from_(_PART + name))
            named[name] = []
            _weigh(named, weights)
    # Spark Connect lets go of the parts with their frames: the answer stands for itself.
    return plan(_with(body, steps, named), parts).localCheckpoint()


def _tables(node: Any, steps: Mapping[str, Any]) -> list[str]:
    """Return the steps that a step or query names, each as often as it does."""
    from sqlglot import exp

    return [table.name for table in node.find_all(exp.Table) if table.name in steps]


def _weigh(named: Mapping[str, list[str]], weights: dict[str, int]) -> None:
    """Find as how many each step is planned; one names only those before it."""
    for name, tables in named.items():
        weights[name] = 1 + sum(weights[table] for table in tables)


def _is_numbered(step: Any) -> bool:
    """Tell whether a step numbers rows in the order in which they come, which may be another."""
    from sqlglot import exp

    windows = step.find_all(exp.Window)
    return any(
        isinstance(window.this, exp.RowNumber) and not window.args.get("order")
        for window in windows
    )


def _with(query: Any, steps: dict[str, Any], named: Mapping[str, list[str]]) -> Any:
    """Return a query with the steps before it that it needs, and no others."""
    from sqlglot import exp

    needed = set(_tables(query, steps))
    for name in reversed(steps):
        needed |= set(named[name]) if name in needed else set()
    query = query.copy()
    query.set("with_", exp.With(expressions=[steps[n].copy() for n in steps if n in needed]))
    return query
