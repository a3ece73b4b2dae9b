"""Errors and warnings, and the helpers that write their messages.

::

    UsageError
    ├── OptionError          ValueError    an option's value, or a combination of options
    ├── UnknownOptionError   TypeError     a keyword that the function does not know
    ├── UnknownFieldError    KeyError      a column or field that is not there
    ├── FrameError           TypeError     an object that is no frame, or no usage frame
    ├── SourceError          FileNotFoundError   nothing to read at that place
    ├── RecordError          ValueError    records that cannot be read
    ├── OverlapError         ValueError    sums would count some usage twice
    ├── MemoryLimitError     MemoryError   more is needed than a limit of memory allows
    ├── ApiError             OSError       the service refuses, fails, or sends what is no page
    ├── ExportError          OSError       a target that is there already, or cannot be written
    └── MissingExtraError    ImportError   a package that an extra installs

    UsageWarning (UserWarning)
    ├── RejectWarning        records were set aside
    ├── UnknownKeyWarning    keys that the schema does not know
    ├── DuplicateWarning     one id several times
    ├── ChargeTypeWarning    charge types that the schema does not know
    ├── OverlapWarning       sums count some usage twice
    ├── CreditSignWarning    credits that add to the cost instead of reducing it
    ├── MissingColumnWarning columns that could change an answer are not in the frame
    ├── AllocationWarning    shared rows that nothing bears
    ├── CrossingWarning      windows over a period's bound were left out
    ├── ModelWarning         models of whose names nothing is known
    ├── SeatsWarning         seats of a product or group that no row has
    ├── UndatedWarning       records without dates were left out of a date range
    ├── SpreadWarning        windows longer than a period are spread evenly over several
    ├── SkippedFileWarning   files in a folder or archive that are not read
    └── PartialWarning       records that a service has not sent, or a fetch has not got
"""

import functools
import inspect
import math
import numbers
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from importlib.util import find_spec
from typing import ParamSpec, TypeVar, cast

from tidyusage._utils.foreign import unwrapped, wrapped

__all__ = [
    "AllocationWarning",
    "ApiError",
    "ChargeTypeWarning",
    "CreditSignWarning",
    "CrossingWarning",
    "DuplicateWarning",
    "ExportError",
    "FrameError",
    "MemoryLimitError",
    "MissingColumnWarning",
    "MissingExtraError",
    "ModelWarning",
    "OptionError",
    "OverlapError",
    "OverlapWarning",
    "PartialWarning",
    "RecordError",
    "RejectWarning",
    "SeatsWarning",
    "SkippedFileWarning",
    "SourceError",
    "SpreadWarning",
    "UndatedWarning",
    "UnknownFieldError",
    "UnknownKeyWarning",
    "UnknownOptionError",
    "UsageError",
    "UsageWarning",
]

_SHOWN = 20
# scheme://user:password@host, and password=… in connection strings and queries
_USER_AND_PASSWORD = re.compile(r"(\w[\w+.-]*://[^/\s:@'\"]*):[^\s'\"]*@")
_PASSWORD_VALUE = re.compile(
    r"(?i)\b((?:ssl)?password|passwd|pwd|access_token|sig|x-amz-(?:signature|security-token))"
    r"\s*=\s*('[^']*'|[^&;#\s'\"]+)"
)
P = ParamSpec("P")
R = TypeVar("R")


def __dir__() -> list[str]:
    return [*__all__]


class UsageError(Exception):
    """Base of every error that tidyusage raises on purpose."""

    def __init__(self, fact: str, hint: str = "") -> None:
        super().__init__(masked(printable(f"{fact}\n\n{hint}" if hint else fact)))

    def __str__(self) -> str:
        return str(self.args[0])


class OptionError(UsageError, ValueError):
    """An option has a value that it cannot have."""


class UnknownOptionError(UsageError, TypeError):
    """A function does not know a keyword."""


class UnknownFieldError(UsageError, KeyError):
    """A column or field is not there."""


class FrameError(UsageError, TypeError):
    """An object is no frame, or not one that holds usage."""


class SourceError(UsageError, FileNotFoundError):
    """There is nothing to read at a place."""


class RecordError(UsageError, ValueError):
    """Records cannot be read."""


class OverlapError(UsageError, ValueError):
    """Sums would count some usage twice: rows repeat an id, or rows at several grains hold it."""


class MemoryLimitError(UsageError, MemoryError):
    """More memory, or room to spill into, is needed than there may be."""


class ApiError(UsageError, OSError):
    """The service refused a request, failed, or sent what is no page of records.

    ``status`` is that of the answer, None where there was none; ``request_id`` is what the
    service calls the request, for its support.
    """

    def __init__(
        self,
        fact: str,
        hint: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(fact, hint)
        self.status = status
        self.request_id = request_id


class ExportError(UsageError, OSError):
    """A target is there already, is not what an export would write, or cannot be written."""


class MissingExtraError(UsageError, ImportError):
    """A package is missing that one of tidyusage's extras installs."""


class UsageWarning(UserWarning):
    """Base of every warning that tidyusage gives."""


class RejectWarning(UsageWarning):
    """Records were set aside."""


class UnknownKeyWarning(UsageWarning):
    """Records hold keys that the schema does not know."""


class DuplicateWarning(UsageWarning):
    """One id stands on several records."""


class ChargeTypeWarning(UsageWarning):
    """Charges have types that the schema does not know."""


class OverlapWarning(UsageWarning):
    """Sums count some usage twice: rows repeat an id, or rows at several grains hold it."""


class CreditSignWarning(UsageWarning):
    """Credits are positive: they add to the cost unless `credit_sign=` says otherwise."""


class MissingColumnWarning(UsageWarning):
    """A frame lacks columns that could change an answer."""


class AllocationWarning(UsageWarning):
    """Shared rows were not allocated."""


class CrossingWarning(UsageWarning):
    """Windows that cross a bound of a period were left out."""


class ModelWarning(UsageWarning):
    """Nothing is known of the names of models."""


class SeatsWarning(UsageWarning):
    """Seats are given for a value that no row has."""


class UndatedWarning(UsageWarning):
    """Records without dates were left out of a date range."""


class SpreadWarning(UsageWarning):
    """Most windows are longer than the period, so figures are spread evenly over several."""


class SkippedFileWarning(UsageWarning):
    """Files in a folder or archive are not read, since their names are not those of data files."""


class PartialWarning(UsageWarning):
    """Records are missing that a service has not sent, or a fetch has not got."""


def require_packages(needing: str, packages: Iterable[str], extra: str) -> None:
    """Raise if a package is missing that an extra installs; ``needing`` begins the sentence."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise MissingExtraError(
            f"{needing} {missing[0]}, which is not installed.", f"Install tidyusage[{extra}]."
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list what there is."""
    known = list(dict.fromkeys(known))
    # `export` means `export_usage`, though `report` is nearer by its letters
    longer = [one for one in known if name and one.startswith((f"{name}_", f"{name}."))]
    matches = longer if len(longer) == 1 else get_close_matches(name, known, n=1)
    if matches:
        return f"Did you mean {matches[0]!r}?"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"Known: {', '.join(map(repr, known[:_SHOWN]))}{more}."


def is_number(value: object) -> bool:
    """Tell whether an option is a finite number, of Python's kinds or NumPy's."""
    is_one = isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool)
    try:
        return is_one and math.isfinite(float(cast("float", value)))
    except OverflowError:
        return False


def is_count(value: object) -> bool:
    """Tell whether an option is a whole number from one."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0


def one_of(
    option: str, value: object, allowed: Iterable[object], aliases: Mapping[str, str] | None = None
) -> None:
    """Raise if an option's value is not allowed; ``aliases`` are other words for allowed ones."""
    allowed = list(allowed)
    if not any(value is one or (isinstance(value, str) and value == one) for one in allowed):
        listed = ", ".join(map(repr, allowed))
        meant = (aliases or {}).get(str(value).lower())
        raise OptionError(
            f"{option}={value!r} is not a value of {option}.",
            f"{f'Did you mean {meant!r}? ' if meant else ''}Use one of {listed}.",
        )


def known_options(function: Callable[P, R]) -> Callable[P, R]:
    """Check the names of a public function's options, and unwrap its frames.

    An unknown keyword raises, and the error suggests the nearest one.  Pandas subclasses, narwhals
    frames and Arrow streams are replaced by the frames that they wrap (`_utils.foreign`).
    """
    every = inspect.signature(function).parameters
    lists = {name for name, of in every.items() if of.kind is inspect.Parameter.VAR_POSITIONAL}
    parameters = [name for name in every if name not in lists]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for keyword, value in kwargs.items():
            if keyword in lists:
                raise UnknownOptionError(
                    f"{function.__name__}() got an unexpected keyword argument {keyword!r}.",
                    "Pass dimensions by position, one by one, as in "
                    f"{function.__name__}(df, 'model.id', 'user.id').",
                )
            if keyword not in parameters:
                raise UnknownOptionError(
                    f"{function.__name__}() got an unexpected keyword argument {keyword!r}.",
                    nearest(keyword, parameters),
                )
            require_text(keyword, value)
        for name, value in zip(parameters[1:], args[1:], strict=False):
            require_text(name, value)
        options = {keyword: unwrapped(value) for keyword, value in kwargs.items()}
        answer = cast("Callable[..., R]", function)(*map(unwrapped, args), **options)
        return cast("R", wrapped(answer, args[0])) if args else answer

    return checked


def require_text(option: str, value: object) -> None:
    """Raise if an option holds half a surrogate pair, which no encoding has a byte for.

    Those that Python makes of bytes in file names, from U+DC80 to U+DCFF, may be in paths.
    """
    if isinstance(value, str) and not value.isascii():
        for character in value:
            if "\ud800" <= character < "\udc80" or "\udcff" < character <= "\udfff":
                raise OptionError(
                    f"{option}={value!r} holds half a surrogate pair.", "Remove or replace it."
                )


def warn(message: str, category: type[UsageWarning]) -> None:
    """Warn at the line outside of this package that led here."""
    home, level = os.path.dirname(__file__), 1
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings itself does
    while frame.f_back and frame.f_code.co_filename.startswith(home):
        frame, level = frame.f_back, level + 1
    warnings.warn(masked(printable(message)), category, stacklevel=level + 1)


def printable(text: str) -> str:
    """Return a text in which control characters are escaped, so that no terminal obeys them."""
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(
        sign
        if sign == "\n" or sign.isprintable() or unicodedata.category(sign) == "Zs"
        else sign.encode("unicode_escape", "backslashreplace").decode()
        for sign in text
    )


def masked(text: str) -> str:
    """Return text without the passwords of the addresses and connection strings in it."""
    text = _USER_AND_PASSWORD.sub(r"\1:***@", text)
    return _PASSWORD_VALUE.sub(r"\1=***", text)


def counted(count: int, noun: str = "record") -> str:
    """Return a count with its noun, as in "1 record" and "2,000 records"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def named(items: Iterable[tuple[object, int]], most: int = 5) -> str:
    """Name things with how often each stands there, the first few of them."""
    items = list(items)
    shown = [f"{item!r} ({count:,}×)" for item, count in items[:most]]
    more = [f"and {len(items) - most:,} more"] if len(items) > most else []
    return ", ".join([*shown, *more])
