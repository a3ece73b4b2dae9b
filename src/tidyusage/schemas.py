"""pandera schemas of every layout, made from the catalogue, to check with and to extend.

`wide`, `long`, `charges`, `resources` and `tool_actions` return schema objects; the classes
`PandasWide`, `PolarsWide` and so on are models to subclass, and to name in annotations that
`pandera.check_types` reads; `model` makes them for columns that are joined with `_`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from tidyusage.checks import quiet, rules
from tidyusage.errors import known_options, one_of
from tidyusage.typing import Layout, Separator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pandera.pandas import DataFrameModel as _PandasModel
    from pandera.polars import DataFrameModel as _PolarsModel

    class PandasWide(_PandasModel): ...

    class PandasLong(_PandasModel): ...

    class PandasCharges(_PandasModel): ...

    class PandasResources(_PandasModel): ...

    class PandasToolActions(_PandasModel): ...

    class PolarsWide(_PolarsModel): ...

    class PolarsLong(_PolarsModel): ...

    class PolarsCharges(_PolarsModel): ...

    class PolarsResources(_PolarsModel): ...

    class PolarsToolActions(_PolarsModel): ...


Library: TypeAlias = Literal["pandas", "polars"]

_MODELS: Final[dict[str, tuple[Layout, Library]]] = {
    f"{library.title()}{layout.title().replace('_', '')}": (layout, library)
    for library in get_args(Library)
    for layout in get_args(Layout)
}
__all__ = [  # noqa: PLE0604 - the models' names are made
    *sorted(_MODELS),
    "charges",
    "long",
    "model",
    "resources",
    "tool_actions",
    "wide",
]


@known_options
def wide(
    backend: Library = "pandas", *, sep: Separator = ".", currencies: Iterable[str] = ()
) -> Any:
    """Return the pandera schema of wide.
    """
    return _schema("wide", backend, sep, currencies)


def _schema(layout: Layout, backend: str, sep: str, currencies: Iterable[str]) -> Any:
    _check(backend, sep)
    further = rules.codes(currencies)
    quiet.load()
    from tidyusage.checks import contracts

    return contracts.build(layout, backend, cast("Separator", sep), further)


def _check(backend: str, sep: str) -> None:
    one_of("backend", backend, get_args(Library))
    one_of("sep", sep, get_args(Separator))


@known_options
def model(layout: Layout = "wide", backend: Library = "pandas", *, sep: Separator = ".") -> Any:
    """Return a class."""
    one_of("layout", layout, get_args(Layout))
    _check(backend, sep)
    name = next(name for name, of in _MODELS.items() if of == (layout, backend))
    quiet.load()
    from tidyusage.checks import contracts

    return contracts.model(layout, backend, sep, name, __name__)


def __getattr__(name: str) -> Any:
    """Make a model when it is asked for: importing tidyusage imports no pandera."""
    if name in _MODELS:
        layout, backend = _MODELS[name]
        return model(layout, backend)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
