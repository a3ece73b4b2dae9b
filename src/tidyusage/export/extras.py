"""The packages that targets need, and the extras that install them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage.errors import require_packages

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
    require_packages("This target needs", packages, extra)
