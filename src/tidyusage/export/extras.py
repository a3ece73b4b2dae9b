"""The packages that targets need, and the extras that install them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from tidyusage.errors import MissingExtraError

if TYPE_CHECKING:
    from tidyusage.export.target import Kind

_NEEDED: Final[dict[Kind, tuple[str, tuple[str, ...]]]] = {
    "excel": ("excel", ("xlsxwriter",)),
    "hyper": ("hyper", ("pantab",)),
    "delta": ("delta", ("deltalake",)),
    "postgres": ("postgres", ("adbc_driver_manager", "adbc_driver_postgresql")),
}


def require_extra(kind: Kind) -> None:
    """Raise if a package is missing that a target needs."""
    extra, packages = _NEEDED.get(kind, ("", ()))
    if missing := [name for name in packages if find_spec(name) is None]:
        raise MissingExtraError(
            f"This target needs {missing[0]}, which is not installed.",
            f"Install tidyusage[{extra}].",
        )
