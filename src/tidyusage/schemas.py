"""pandera schemas for every layout, built from the catalogue, to validate with and to extend.

`wide`, `long`, `charges`, `resources` and `tool_actions` return schema objects; the classes
`PandasWide`, `PolarsWide` and so on are models to subclass, and to name in annotations that
`pandera.check_types` reads; `model` makes them for columns that are joined with `_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from tidyusage.errors import known_options, one_of
from tidyusage.quality import rules
from tidyusage.typing import Layout, Separator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pandera.pandas import DataFrameModel as _PandasModel
    from pandera.polars import DataFrameModel as _PolarsModel

    class PandasWide(_PandasModel):
        """The wide layout, of pandas."""

    class PandasLong(_PandasModel):
        """The long layout, of pandas."""

    class PandasCharges(_PandasModel):
        """The layout of charges, of pandas."""

    class PandasResources(_PandasModel):
        """The layout of resources, of pandas."""

    class PandasToolActions(_PandasModel):
        """The layout of tool actions, of pandas."""

    class PolarsWide(_PolarsModel):
        """The wide layout, of Polars."""

    class PolarsLong(_PolarsModel):
        """The long layout, of Polars."""

    class PolarsCharges(_PolarsModel):
        """The layout of charges, of Polars."""

    class PolarsResources(_PolarsModel):
        """The layout of resources, of Polars."""

    class PolarsToolActions(_PolarsModel):
        """The layout of tool actions, of Polars."""


Library: TypeAlias = Literal["pandas", "polars"]

_MODELS: Final[dict[str, tuple[Layout, Library]]] = {
    f"{library.title()}{layout.title().replace('_', '')}": (layout, library)
    for library in get_args(Library)
    for layout in get_args(Layout)
}
__all__ = [
    "PandasCharges",
    "PandasLong",
    "PandasResources",
    "PandasToolActions",
    "PandasWide",
    "PolarsCharges",
    "PolarsLong",
    "PolarsResources",
    "PolarsToolActions",
    "PolarsWide",
    "charges",
    "long",
    "model",
    "resources",
    "tool_actions",
    "wide",
]


def __dir__() -> list[str]:
    return [*__all__]


@known_options
def wide(
    backend: Library = "pandas", *, sep: Separator = ".", currencies: Iterable[str] = ()
) -> Any:
    """Return pandera's schema of the wide layout.

    All of the layout's columns must be there; columns of your own may be.  Each is of the
    catalogue's dtype, in any flavour of its library (NumPy, nullable or Arrow in pandas).

    Parameters
    ----------
    backend
        The library of the frames.
    sep
        What joins a path into a column's name.
    currencies
        Further currencies that charges may have, beside three capital letters as in ISO 4217.

    Returns
    -------
    pandera.pandas.DataFrameSchema or pandera.polars.DataFrameSchema
        Of one check a rule; `failure_cases` has one row for each row and rule.  A lazy frame is
        checked when it is collected, its data too.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> schema = tu.schemas.wide("polars")
    >>> schema.validate(tu.load_example(backend="polars")).shape
    (310, 78)
    >>> schema.columns["usage.requests.tab_accepted"].checks
    [<Check not_negative: not_negative>, <Check at_most_tab_shown>]
    """
    return _schema("wide", backend, sep, currencies)


@known_options
def long(
    backend: Library = "pandas", *, sep: Separator = ".", currencies: Iterable[str] = ()
) -> Any:
    """Return pandera's schema of the long layout.

    Parameters
    ----------
    backend, sep, currencies
        As in `wide`.

    Returns
    -------
    pandera.pandas.DataFrameSchema or pandera.polars.DataFrameSchema
        As `wide` does.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.schemas.long("polars").validate(tu.load_example(layout="long", backend="polars")).shape
    (5580, 17)
    """
    return _schema("long", backend, sep, currencies)


@known_options
def charges(
    backend: Library = "pandas", *, sep: Separator = ".", currencies: Iterable[str] = ()
) -> Any:
    """Return pandera's schema of charges, one row a charge.

    Parameters
    ----------
    backend, sep, currencies
        As in `wide`.

    Returns
    -------
    pandera.pandas.DataFrameSchema or pandera.polars.DataFrameSchema
        As `wide` does.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.schemas.charges().validate(tu.load_example(layout="charges")).shape
    (1116, 5)
    """
    return _schema("charges", backend, sep, currencies)


@known_options
def resources(backend: Library = "pandas", *, sep: Separator = ".") -> Any:
    """Return pandera's schema of resources, one row a record and resource.

    Parameters
    ----------
    backend, sep
        As in `wide`.

    Returns
    -------
    pandera.pandas.DataFrameSchema or pandera.polars.DataFrameSchema
        As `wide` does.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.schemas.resources().validate(tu.load_example(layout="resources")).shape
    (177, 6)
    """
    return _schema("resources", backend, sep, ())


@known_options
def tool_actions(backend: Library = "pandas", *, sep: Separator = ".") -> Any:
    """Return pandera's schema of tool actions, one row an entry.

    Parameters
    ----------
    backend, sep
        As in `wide`.

    Returns
    -------
    pandera.pandas.DataFrameSchema or pandera.polars.DataFrameSchema
        As `wide` does.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.schemas.tool_actions().validate(tu.load_example(layout="tool_actions")).shape
    (496, 5)
    """
    return _schema("tool_actions", backend, sep, ())


def _schema(layout: Layout, backend: str, sep: str, currencies: Iterable[str]) -> Any:
    _check(backend, sep)
    further = rules.codes(currencies)
    from tidyusage.quality import pandera_schemas

    return pandera_schemas.build(layout, backend, cast("Separator", sep), further)


def _check(backend: str, sep: str) -> None:
    one_of("backend", backend, get_args(Library))
    one_of("sep", sep, get_args(Separator))


@known_options
def model(layout: Layout = "wide", backend: Library = "pandas", *, sep: Separator = ".") -> Any:
    """Return a layout as a class: a pandera model to subclass, or to name in annotations.

    Parameters
    ----------
    layout
        The layout.
    backend, sep
        As in `wide`.

    Returns
    -------
    type
        A subclass of pandera's ``DataFrameModel``.  Its fields are the columns: ``charges__net``
        is the column ``charges.net``, and ``charges_net`` the column of that name.

    Raises
    ------
    OptionError
        For a value that an option cannot have.

    Examples
    --------
    >>> import pandera.pandas as pa
    >>> import tidyusage as tu
    >>> class Teams(tu.schemas.PandasWide):
    ...     team: str = pa.Field(isin=["core", "data"])
    >>> frame = tu.load_example().assign(team="core")
    >>> Teams.validate(frame).shape
    (310, 79)
    """
    one_of("layout", layout, get_args(Layout))
    _check(backend, sep)
    name = next(name for name, of in _MODELS.items() if of == (layout, backend))
    from tidyusage.quality import pandera_schemas

    return pandera_schemas.model(layout, backend, sep, name, __name__)


def __getattr__(name: str) -> Any:
    """Make a model when it is asked for: importing tidyusage imports no pandera."""
    if name in _MODELS:
        layout, backend = _MODELS[name]
        return model(layout, backend)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
