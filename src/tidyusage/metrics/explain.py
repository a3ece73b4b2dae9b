"""`explain`: the rules behind a figure, and how many records each of them applied to."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils import html
from tidyusage._utils.sql import quote
from tidyusage.engines import frames
from tidyusage.engines.dialects.translate import Table
from tidyusage.engines.query import run_query
from tidyusage.errors import OptionError, UnknownOptionError, nearest
from tidyusage.metrics import _cost_topics, _topics
from tidyusage.metrics._overlap import repeated_rows
from tidyusage.metrics._usage import INTEGER, Usage, usage
from tidyusage.metrics.acceptance import acceptance_rate
from tidyusage.metrics.cost import cost_by
from tidyusage.metrics.cost_per import cost_per
from tidyusage.metrics.cost_per_token import cost_per_token
from tidyusage.metrics.estimates import cache_savings, estimate_cost
from tidyusage.metrics.ranking import top, trend
from tidyusage.metrics.stickiness import stickiness
from tidyusage.metrics.summary import summary
from tidyusage.metrics.tokens import cache_hit_rate, tokens_by
from tidyusage.metrics.totals import totals
from tidyusage.metrics.users import active_users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tidyusage.metrics._topics import Topic


METRICS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        acceptance_rate,
        active_users,
        cache_hit_rate,
        cache_savings,
        cost_by,
        cost_per,
        cost_per_token,
        estimate_cost,
        stickiness,
        summary,
        tokens_by,
        top,
        totals,
        trend,
    )
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a metric's figures are made: ``lines`` in words, ``counts`` of records by name.

    Without a frame there are no counts.
    """

    metric: str
    lines: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join([self.metric, *(f"  {line}" for line in self.lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<b>{html.escaped(self.metric)}</b>{html.outline(self.lines)}"


def explain(frame: Any, *question: str, **options: Any) -> Explanation:
    """Return how a metric's figures are made, and how many records each rule decided.

    Parameters
    ----------
    frame
        A wide or long frame of any library; or the metric's name, to read the rules alone.
    *question
        The metric's name, then what it is asked, as in `explain(df, "cost_by", "model.id")`.
    **options
        The metric's own options.

    Returns
    -------
    Explanation
        It prints as text.  `counts` has the numbers by name, all of them records of the whole
        frame: those used and set aside, and of those used which rule gave the figure.  Where rows
        repeat an id over overlapping windows, `repeated.rows` is how many.  A lazy frame is
        collected for them.

    Raises
    ------
    OptionError
        For an unknown metric, or an option's value that it cannot have.
    UnknownOptionError
        For an option that the metric does not know.
    UnknownFieldError
        For an unknown dimension.

    Examples
    --------
    >>> import tidyusage as tu
    >>> print(tu.explain(tu.load_example(), "cache_hit_rate").lines[1])
    - have input and cache_read, and are used: 186 of 310 records
    """
    found = rules(frame, *question, **options)
    if isinstance(frame, str) or not (repeated := repeated_rows(frame)):
        return found
    lines = (*found.lines, _REPEATED, f"- {repeated.fact.removesuffix('.')}")
    return replace(found, lines=lines, counts={**found.counts, "repeated.rows": repeated.rows})


def rules(frame: Any, *question: str, **options: Any) -> Explanation:
    """Return the explanation of a metric alone, which says nothing of repeated rows."""
    words, has_frame = question, not isinstance(frame, str)
    if not has_frame:
        words = (frame, *question)
    metric, *arguments = words or ("",)
    given = frame if has_frame else None
    chosen = _chosen(metric, given, arguments, options)
    lines: list[str] = []
    counts: dict[str, int] = {}
    asked = usage(frame, chosen.get("by", ())) if has_frame else None
    for topic in _topics_of(metric, chosen):
        found = _counted(frame, asked, topic) if asked else {}
        lines += [topic.title, *(_line(topic, name, found) for name in topic.rules)]
        counts |= found
    return Explanation(metric, tuple(lines), counts)


_REPEATED: Final = (
    "Repeated ids: rows are added as they are, with a warning; latest() keeps the newest of each id"
)


def named(metric: str) -> Callable[..., Any]:
    """Return a metric by its name; raise if there is none."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise OptionError(f"There is no metric {metric!r}.", nearest(str(metric), METRICS))
    return METRICS[metric]


def bind(metric: str, *arguments: Any, **options: Any) -> inspect.BoundArguments:
    """Return a metric's arguments by name; raise if one is missing."""
    try:
        return inspect.signature(named(metric)).bind(*arguments, **options)
    except TypeError as error:
        raise OptionError(f"{metric}: {error}.", "Ask as you would ask the metric.") from error


def _chosen(
    metric: str, frame: Any, arguments: Iterable[Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a metric's options as they are chosen, or their defaults; refuse what it refuses."""
    function = named(metric)
    signature = inspect.signature(function)
    if unknown := [name for name in options if name not in signature.parameters]:
        raise UnknownOptionError(
            f"{metric}() got an unexpected keyword argument {unknown[0]!r}.",
            nearest(unknown[0], signature.parameters),
        )
    is_whole = frame is not None or arguments or options
    bound = (
        bind(metric, frame, *arguments, **options) if is_whole else signature.bind_partial(frame)
    )
    if is_whole:  # a table's answer is a text, and what the metric refuses it refuses then
        names = () if frame is None else tuple(frames.columns(frame))
        priced: dict[str, Any] = {"prices": {}} if "prices" in signature.parameters else {}
        function(Table("frame", columns_=names), *arguments, **{**priced, **options})
    bound.apply_defaults()
    return dict(bound.arguments)


def _counted(frame: Any, asked: Usage, topic: Topic) -> dict[str, int]:
    """Return how many records each rule of a topic decided."""
    whole = Usage(asked.columns, ())  # records, whatever they are grouped by
    steps, source = topic.steps(whole)
    sums = {
        name: f"sum(case when {test} then 1 else 0 end)" for name, (_, test) in topic.rules.items()
    }
    names = {"records": "(select count(*) from usage)"} | {
        f"{topic.name}.{name}": sql for name, sql in sums.items()
    }
    listed_ = ",\n  ".join(f"{sql} as {quote(name)}" for name, sql in names.items())
    types = dict.fromkeys(names, INTEGER)
    query = whole.query(
        f"{steps}{chr(10)}select {listed_}\nfrom {source}",
        topic.fields(whole),
        types,
        portable=False,
    )
    table = frames.collected(run_query(frame, query))
    return {name: int(count or 0) for name, count in table.to_pylist()[0].items()}


def _line(topic: Topic, name: str, counts: Mapping[str, int]) -> str:
    words = f"{'  ' if name in topic.within else ''}- {topic.rules[name][0]}"
    if not counts:
        return words
    first = next(iter(topic.rules)) if name in topic.within else ""
    of = counts[f"{topic.name}.{first}" if first else "records"]
    return f"{words}: {counts[f'{topic.name}.{name}']:,} of {of:,} records"


def _topics_of(metric: str, chosen: Mapping[str, Any]) -> list[Topic]:
    """Return the topics of a metric that is asked with certain options."""
    measure = chosen.get("measure", "cost")
    is_of_tokens = metric == "cost_per" and measure == "tokens"
    first = _FIRST.get("cost_per_token" if is_of_tokens else metric, ())
    made = [topic(chosen) for topic in first]
    if metric in {"top", "trend"}:
        made = [_MEASURES.get(measure, _topics.measure_topic)(chosen)]
    if metric == "cost_per" and measure == "users":
        made.append(_topics.users_topic(chosen))
    if chosen.get("freq") is not None or metric == "stickiness":
        made.append(_topics.windows_topic(chosen, is_whole=metric in _WHOLE))
    return made


_FIRST: Final[dict[str, tuple[Callable[[Mapping[str, Any]], Topic], ...]]] = {
    "acceptance_rate": (_topics.acceptance_topic,),
    "active_users": (_topics.users_topic,),
    "cache_hit_rate": (_topics.cache_topic, _topics.tokens_topic),
    "cache_savings": (_cost_topics.savings_topic,),
    "cost_by": (_cost_topics.money_topic,),
    "cost_per": (_cost_topics.cost_per_topic, _cost_topics.money_topic),
    "cost_per_token": (_cost_topics.pairs_topic, _cost_topics.money_topic, _topics.tokens_topic),
    "estimate_cost": (_cost_topics.estimate_topic, _topics.tokens_topic),
    "stickiness": (_topics.users_topic,),
    "summary": (_cost_topics.money_topic, _topics.tokens_topic, _topics.users_topic),
    "tokens_by": (_topics.tokens_topic,),
    "totals": (_topics.totals_topic,),
}
_MEASURES: Final = {"cost": _cost_topics.money_topic, "tokens": _topics.tokens_topic}
# Metrics in which a record is of one period or of none.
_WHOLE: Final = ("active_users", "stickiness")
