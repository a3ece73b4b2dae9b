"""Turn options that contain secrets into objects that do not show them."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tidyusage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def hides(**readers: Callable[[Any], Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have options read before a function is called: tracebacks may show what frames hold."""

    def hiding(function: Callable[P, R]) -> Callable[P, R]:
        places = {name: place for place, name in enumerate(inspect.signature(function).parameters)}

        @functools.wraps(function)
        def hidden(*args: P.args, **kwargs: P.kwargs) -> R:
            given, options = list(cast("tuple[Any, ...]", args)), cast("dict[str, Any]", kwargs)
            del args
            failure: UsageError | None = None
            try:
                for name, read in readers.items():
                    if options.get(name) is not None:
                        options[name] = read(options.pop(name))
                    elif places[name] < len(given):
                        given.insert(places[name], read(given.pop(places[name])))
            except UsageError as error:
                given.clear()
                options.clear()
                failure = error.with_traceback(None)
                failure.__context__ = None
            if failure:
                raise failure
            return cast("Callable[..., R]", function)(*given, **options)

        return hidden

    return hiding
