"""`with_person`: write the person behind each row's user as a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage._utils.sql import literal, quote, trimmed
from tidyusage.engines import frames, relations
from tidyusage.engines import spark as sparks
from tidyusage.engines.columns import Columns, columns
from tidyusage.engines.query import Query, run_query
from tidyusage.errors import FrameError, UnknownFieldError, known_options
from tidyusage.metrics import _person, _source
from tidyusage.prepare import _rewrite
from tidyusage.prepare._rewrite import ROW

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from tidyusage.typing import FrameT, People

_USER: Final = ("user.id", "user.email")


@known_options
def with_person(frame: FrameT, *, people: People | None = None) -> FrameT:
    """Add a column `person`: who is behind each row's user.

    A person is an e-mail address, trimmed and in lower case (a `user.id` that is an address counts
    as one).  A row without one belongs to the single address that the frame shows for the same
    `user.id`: in the same product if the id is a plain number, in the whole frame otherwise.  Every
    other row belongs to its `user.id`.  An id with two addresses joins nobody; `findings` names it.

    Metrics look persons up in the same way.  They use the column where it exists, so that
    filtering and joining the frame afterwards cannot change who is who.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.
    people
        A mapping from user ids and e-mail addresses, in any case, to the people that they belong
        to, where the data does not show it.

    Returns
    -------
    frame
        The same frame with a last column `person` (str): the address, else the id, or the name
        that `people` gives.  It is null for rows without a user, and for API keys and service
        accounts, which are not people.  A `person` that the frame has already is kept, and filled
        in where it is null.  Lazy frames and relations stay lazy.

    Raises
    ------
    UnknownFieldError
        If the frame has neither `user.id` nor `user.email`.
    FrameError
        If the frame is neither wide nor long.
    OptionError
        If `people` is not a mapping from text to text.

    Examples
    --------
    >>> import tidyusage as tu
    >>> users = [{"id": "ada", "email": "Ada@x.io"}, {"id": "ada"}, {"email": "ada@x.io "}]
    >>> df = tu.flatten_usage([{"id": str(n), "user": user} for n, user in enumerate(users)])
    >>> tu.with_person(df)["person"].tolist()
    ['ada@x.io', 'ada@x.io', 'ada@x.io']
    """
    given, found = _person.checked(people), columns(frame)
    if found.layout not in {"wide", "long"}:
        raise FrameError(
            f"Expected a wide or long frame, got the layout {found.layout!r}.",
            "Call with_person() before making the child table.",
        )
    if not any(field in found.known for field in (*_USER, *_own(found))):
        raise UnknownFieldError(
            "The frame has neither user.id nor user.email.", "Keep at least one of them."
        )
    if frames.is_lazy(frame):
        lazy = cast("pl.LazyFrame", frame)
        schema = {**lazy.collect_schema(), _person.COLUMN: _text()}
        return cast(
            "FrameT",
            lazy.map_batches(lambda eager: with_person(eager, people=people), schema=schema),
        )
    if frames.backend_of(frame) == "duckdb":
        return cast("FrameT", _of_relation(cast("duckdb.DuckDBPyRelation", frame), found, given))
    if frames.backend_of(frame) == "pyspark":
        return cast("FrameT", _of_spark(frame, found, given))
    return _of_eager(frame, found, given)


def _text() -> Any:
    import polars as pl

    return pl.String()


def _own(found: Columns) -> tuple[str, ...]:
    """Return the column of persons that the frame has already, if it has one."""
    return (_person.COLUMN,) if _person.COLUMN in found.own else ()


def _of_eager(frame: FrameT, found: Columns, people: People | None) -> FrameT:
    names = _needs(found)
    if frames.backend_of(frame) == "pandas":
        table = cast("Any", frame)
        persons = run_query(table[names], _query(found, people))[_person.COLUMN]
        return cast("FrameT", table.assign(**{_person.COLUMN: persons.set_axis(table.index)}))
    if frames.backend_of(frame) == "polars":
        eager = cast("pl.DataFrame", frame)
        persons = run_query(eager.select(names), _query(found, people))
        return cast("FrameT", eager.with_columns(cast("Any", persons)[_person.COLUMN]))
    arrow = frames.to_arrow(frame)
    persons = run_query(arrow.select(names), _query(found, people))[_person.COLUMN]
    if _person.COLUMN in arrow.column_names:
        arrow = arrow.drop_columns([_person.COLUMN])
    return cast("FrameT", arrow.append_column(_person.COLUMN, persons))


def _needs(found: Columns) -> list[str]:
    """Return the frame's columns that tell a row's person."""
    return [found.known[f] for f in _person.FIELDS if f in found.known] + [*_own(found)]


def _query(found: Columns, people: People | None) -> Query:
    """Return the query of the persons of all rows, in their order."""
    sql = f"""{_steps(found, people)}
select {_person.PERSON}
from told
order by {ROW}"""
    return Query(
        sql,
        tuple(_needs(found)),
        {_person.COLUMN: pa.string()},
        {},
        kinds=_source.kinds(found, (field for field in _person.FIELDS if field in found.known)),
        keys={_person.COLUMN: _person.PERSON},
    )


def _steps(found: Columns, people: People | None, own: tuple[str, ...] = ()) -> str:
    """Return the steps from a frame to ``told``: each row's place and person."""
    has_column = bool(_own(found))
    kept = [*own, ROW]
    written = ""
    if has_column:
        text = f"nullif({trimmed(f'cast({quote(_person.COLUMN)} as varchar)')}, '')"
        cases = " ".join(
            f"when {literal(k)} then {literal(to)}" for k, to in (people or {}).items()
        )
        written = f"case lower({text}) {cases} else {text} end, " if people else f"{text}, "
    columns_ = ", ".join(f"usage.{name}" for name in kept)
    more = (*own, *_own(found))
    return f"""with {_rewrite.usage(found, _person.FIELDS, more)},
{_person.steps("usage", people)},
told as (
  select {columns_}, coalesce({written}persons.{_person.PERSON}) as {_person.PERSON}
  from usage
  left join persons on {_person.matched("usage")}
)"""


def _of_relation(
    relation: duckdb.DuckDBPyRelation, found: Columns, people: People | None
) -> duckdb.DuckDBPyRelation:
    numbered = relation.project(f"*, row_number() over () - 1 as {ROW}")
    query = f"{_steps(found, people)}\nselect {ROW}, {_person.PERSON}\nfrom told"
    steps, persons = relations.beside(numbered, _needs(found), query)
    left_out = ", ".join((ROW, *map(quote, _own(found))))
    return frames.queried(
        numbered,
        f"""{steps},
persons_of_rows as (
  {persons}
)
select {relations.ALL}.* exclude ({left_out}), {_person.PERSON} as {quote(_person.COLUMN)}
from {relations.ALL}
join persons_of_rows on {relations.ALL}.{ROW} = persons_of_rows.{ROW}
order by {relations.ALL}.{ROW}""",
    )


def _of_spark(frame: Any, found: Columns, people: People | None) -> Any:
    kept = sparks.kept(
        frame,
        lambda own: (
            f"{_steps(found, people, tuple(own))}\n"
            f"select {', '.join(own)}, {_person.PERSON}\nfrom told"
        ),
        _needs(found),
        _source.kinds(found, (field for field in _person.FIELDS if field in found.known)),
        {_person.PERSON: _ADDED if _own(found) else _person.COLUMN},
    )
    if not _own(found):
        return kept
    return kept.drop(_person.COLUMN).withColumnRenamed(_ADDED, _person.COLUMN)


_ADDED: Final = "tu__new_person"
