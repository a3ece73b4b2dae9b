"""`export_usage`."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tidyusage._utils.progress import bar
from tidyusage._utils.whole import telling
from tidyusage.engines import frames
from tidyusage.engines.columns import columns
from tidyusage.errors import UsageError, known_options
from tidyusage.export import charge_columns, executors
from tidyusage.export.plan import Plan, require_used
from tidyusage.export.privacy import Privacy
from tidyusage.export.pseudonyms import Key
from tidyusage.export.stage import staged
from tidyusage.export.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidyusage.typing import (
        CreditSign,
        Frame,
        Mode,
        Overlap,
        Path,
        Services,
        Tables,
        Texts,
        VirtualCurrencies,
    )


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


@hides(anonymise_key=Key.of, target=Target.of)
@known_options
def export_usage(
    frame: Frame,
    target: Path,
    *,
    tables: Tables = "wide",
    mode: Mode = "error",
    partition_by: Texts = (),
    anonymise: Texts = (),
    anonymise_key: str | bytes | None = None,
    drop: Texts = (),
    version: str = "1.2",
    billing_account: str | None = None,
    virtual_currencies: VirtualCurrencies | None = None,
    services: Services | None = None,
    credit_sign: CreditSign | None = None,
    overlap: Overlap = "warn",
    progress: bool | None = None,
) -> dict[str, Any]:
    """Write a frame where BI tools read it: whole, typed, and described.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.  A relation of a file, as
        `read_usage(…, backend="duckdb")` gives it, goes through without being held in memory;
        where it has a `memory_limit`, within that.
    target
        Its name says its kind: a file `.parquet`, `.csv`, `.csv.gz`, `.xlsx`, `.duckdb` or
        `.hyper`; a folder of Parquet files, as in `"exports/"`; Delta Lake tables in a folder, as
        in `"delta:exports"`; or PostgreSQL, as in
        `"postgresql://user@host/database?schema=usage"`.
    tables
        "wide", a table `usage_wide`; "long", `usage_long`; "star", facts and dimensions; "focus",
        FOCUS 1.2's Cost and Usage.  A star needs a target that holds several tables.
    mode
        What is there already: "error"; "overwrite" it; "append" to it; or "upsert": rows of records
        that are exported again are replaced, all others stay.
    partition_by
        How Parquet files and Delta tables are parted: "year", "month" or "day" of `start_date` in
        UTC, or columns of the table.
    anonymise
        Fields, or objects such as "user", for which keyed hashes (HMAC-SHA-256, in hex) are to
        stand.  Where it is of users, e-mails are replaced in all other text too, and those of the
        record's own user's id and name that are hidden, as whole words of free text;
        `remote_data`, `extra` and columns of bytes are left out.
    anonymise_key
        The key, which is written nowhere; else that of the environment variable `TIDYUSAGE_KEY`.
        The same key gives a person the same pseudonym in every export.
    drop
        Fields or objects to leave out, such as "user".
    version
        Of FOCUS: "1.2".
    billing_account
        Of FOCUS: the account of records that name no organization.
    virtual_currencies
        Of FOCUS: what one of a virtual currency costs, such as `{"credits": ("USD", 0.04)}`.
    services
        Of FOCUS: provider, category and subcategory by product id, such as
        `{"KAFKA": ("Confluent", "Integration", "Messaging")}`; "*" is any other product.
    credit_sign
        For FOCUS, where a credit below zero reduces the cost: "keep" writes credits with the sign
        that they have, "negative" writes all of them below zero.  None keeps signs too, and warns
        of positive credits.
    overlap
        What to do about rows that repeat an `id` over overlapping windows, so that sums over the
        target count them twice: "warn", "ignore", or "raise" an `OverlapError` before anything is
        written.  Whatever it is, a star, PostgreSQL and `mode="upsert"` refuse every repeated `id`.
    progress
        As in `read_usage`.

    Returns
    -------
    dict
        The manifest: `exported_at`, `mode`, and by table `rows`, `rows_in_target` after the export,
        `columns`, `key`, and the sums of `money` by currency and of `tokens` by which a load can
        be checked.  It is written to `_manifest.json` in a folder, to `<file>_manifest.json` beside
        a file, and to a table `tidyusage_manifest` in a database.  For a frame without the column
        of currencies, wide and long exports leave out the sums of money; for one that lacks charge
        columns that a cost depends on, they leave out the sum of the costs.

    Raises
    ------
    ExportError
        If the target is there already, has other columns, or cannot be written; it then is as it
        was before.
    FrameError
        If the frame is no usage frame, a column is of the wrong dtype, or an `id` that must tell
        rows apart stands on several.
    UnknownFieldError
        If a star or FOCUS is to be made of amounts without `charges.currency`, or FOCUS of
        quantities without `usage.unit` or of a frame without any amount.
    OptionError
        If an option has a value that it cannot have, or a target does not say its kind.
    OverlapError
        With `overlap="raise"`.
    MissingExtraError
        If a target needs a package that an extra installs.

    Warns
    -----
    MissingColumnWarning
        If the frame lacks charge columns that could change the costs of a star, or the charges of
        FOCUS.
    CreditSignWarning
        If an export to FOCUS has positive credits and `credit_sign` is None: how many, and their
        sum in each currency.
    OverlapWarning
        If rows repeat an `id` over overlapping windows: how many, and what they add.
    RejectWarning
        If charges cannot be told in FOCUS: how many, and why.  They are in a table of their own.

    Notes
    -----
    Columns are spelled with `_`.  Lists are JSON where a target has none.  FOCUS is the FinOps Open
    Cost and Usage Specification, https://focus.finops.org.

    Examples
    --------
    >>> import tempfile
    >>> import tidyusage as tu
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     told = tu.export_usage(tu.load_example(), f"{folder}/usage.parquet")
    >>> told["tables"]["usage_wide"]["rows"]
    310
    >>> round(told["tables"]["usage_wide"]["money"]["USD"]["cost"], 2)
    5031.76
    """
    key = cast("Key | None", anonymise_key)
    of_focus = {
        "billing_account": billing_account,
        "virtual_currencies": virtual_currencies,
        "services": services,
        "credit_sign": credit_sign,
    }
    require_used(tables, of_focus)
    plan = Plan.of(
        target, tables, mode, partition_by, Privacy.of(anonymise, drop, key), overlap=overlap
    )
    charge_columns.require_columns(tables, columns(frame))
    if frames.backend_of(frame) == "pyspark":
        return executors.exported(frame, plan, version=version, **of_focus)
    with (
        bar("Exporting", progress),
        telling(plan.place.place),
        staged(frame) as (connection, usage),
    ):
        return plan.executed(connection, usage, version=version, **of_focus)
