"""Check the options of an export, then run it."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from tidyusage._utils.sql import FRAME, quote
from tidyusage._utils.whole import together
from tidyusage.engines import relations
from tidyusage.engines.columns import Columns
from tidyusage.errors import (
    CreditSignWarning,
    FrameError,
    OptionError,
    RejectWarning,
    counted,
    named,
    one_of,
    require_packages,
    warn,
)
from tidyusage.export import (
    charge_columns,
    focus,
    manifest,
    partitions,
    star,
    upsert,
    usage,
)
from tidyusage.export.job import Job
from tidyusage.export.table import USAGE
from tidyusage.export.target import Target
from tidyusage.metrics import _duplicates
from tidyusage.metrics._overlap import tell_repeated
from tidyusage.typing import Overlap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from tidyusage.export.manifest import Manifest
    from tidyusage.export.privacy import Privacy
    from tidyusage.export.table import Table, Usage
    from tidyusage.export.target import Kind
    from tidyusage.metrics._duplicates import Duplicates
    from tidyusage.typing import Mode, Path, Tables, Texts


_FORMS: Final = ("wide", "long", "star", "focus")
_MODES: Final = ("error", "overwrite", "append", "upsert")
_MODES_OF: Final[dict[Kind, tuple[Mode, ...]]] = {
    "csv": ("error", "overwrite", "append"),
    "excel": ("error", "overwrite"),
    "hyper": ("error", "overwrite", "append"),
}
_WRITERS: Final[dict[Kind, str]] = {
    "parquet": "tidyusage.export.parquet",
    "csv": "tidyusage.export.delimited",
    "excel": "tidyusage.export.excel",
    "duckdb": "tidyusage.export.database",
    "hyper": "tidyusage.export.hyper",
    "folder": "tidyusage.export.folder",
    "delta": "tidyusage.export.delta",
    "postgres": "tidyusage.export.postgres",
}
_ASIDE: Final = "_set_aside"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where an export goes, in which form, and what is to become of what is there."""

    place: Target
    form: Tables
    mode: Mode
    partition_by: Texts
    privacy: Privacy
    overlap: Overlap = "warn"

    @classmethod
    def of(
        cls,
        target: Path,
        form: Tables,
        mode: Mode,
        partition_by: Texts,
        privacy: Privacy,
        *,
        overlap: Overlap = "warn",
    ) -> Plan:
        """Look at the options; raise if they cannot be, or if a file is there already."""
        one_of("tables", form, _FORMS)
        one_of("mode", mode, _MODES)
        one_of("overlap", overlap, get_args(Overlap))
        plan = cls(Target.of(target), form, mode, partition_by, privacy, overlap)
        plan._require_mode()
        plan._require_star_fits()
        require_extra(plan.place.kind)
        plan._require_free()
        return plan

    def executed(
        self, connection: duckdb.DuckDBPyConnection, given: Usage, **of_focus: Any
    ) -> dict[str, Any]:
        """Write what was asked for, and return the manifest."""
        is_unique = self.mode == "upsert" or self.place.kind == "postgres" or self.form == "star"
        if not is_unique and self.overlap != "ignore":
            tell_repeated(_repeated(connection, given), self.overlap)
        charge_columns.warn_of_missing(connection, self.form, given)
        shown = self.privacy.applied(connection, given)
        if is_unique:
            require_unique(connection, shown)
        made = self._made(connection, shown, of_focus)
        require_distinct(made)
        names = self._partitions(made)
        told = self.begun(connection, made, names)
        keeps = self.mode != "overwrite"
        with together(keeps=keeps) as files:
            _write(connection, Job(made, self.place, self.mode, names, told, files))
        tell_of_aside(connection, made, told)
        if of_focus.get("credit_sign") is None:
            warn_of_positive_credits(connection, made)
        return told.told()

    def begun(
        self, connection: duckdb.DuckDBPyConnection, made: Sequence[Table], names: Sequence[str]
    ) -> Manifest:
        """Return the manifest of tables, as a connection counts them."""
        return manifest.begun(
            connection,
            made,
            partition_by=names,
            target=self.place.place,
            form=self.form,
            mode=self.mode,
            anonymised=list(self.privacy.anonymise),
            dropped=list(self.privacy.drop),
        )

    def _made(
        self, connection: duckdb.DuckDBPyConnection, shown: Usage, of_focus: dict[str, Any]
    ) -> list[Table]:
        """Return the tables that were asked for; those that take work are made once."""
        found = tables_of(self.form, shown, of_focus)
        takes_work = self.form in {"star", "focus"}
        return [_made_once(connection, table) for table in found] if takes_work else found

    def _partitions(self, made: Sequence[Table]) -> tuple[str, ...]:
        names = partitions.check(self.partition_by, made)
        if names and self.place.kind not in {"folder", "delta"}:
            raise OptionError(
                f"{self._name!r} cannot be parted.",
                "partition_by= is for a folder, as in 'exports/', and for delta:FOLDER.",
            )
        return names

    @property
    def _name(self) -> str:
        return os.path.basename(self.place.place)

    def _require_mode(self) -> None:
        allowed = _MODES_OF.get(self.place.kind, _MODES)
        if self.mode not in allowed:
            raise OptionError(
                f"mode={self.mode!r} is not for {self._name!r}.",
                f"Use one of {', '.join(map(repr, allowed))}; Parquet, Delta Lake and databases "
                "take all.",
            )

    def _require_star_fits(self) -> None:
        if self.form == "star" and self.place.holds_one:
            raise OptionError(
                f"A star is of several tables, and {self._name!r} holds one.",
                "Name a folder, .duckdb, .xlsx, .hyper, delta:FOLDER or a database.",
            )
        if self.form == "star" and self.place.kind == "hyper" and self.mode == "append":
            raise OptionError("A star cannot be added to in Hyper.", "Use mode='overwrite'.")

    def _require_free(self) -> None:
        """Raise if a file is there that nobody said to change; what holds tables looks for them."""
        if not self.place.is_file or self.place.kind == "duckdb" or self.mode != "error":
            return
        beside = [self.place.beside(_ASIDE[1:])] if self._sets_aside else []
        for place in (self.place, *beside):
            if os.path.exists(place.place):
                raise upsert.is_there(repr(place.place))

    @property
    def _sets_aside(self) -> bool:
        return self.form == "focus" and self.place.holds_one


def tables_of(form: Tables, shown: Usage, of_focus: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a form."""
    if form == "wide":
        return [usage.wide(shown)]
    if form == "long":
        return [usage.long(shown)]
    return star.tables(shown) if form == "star" else focus.tables(shown, **of_focus)


def require_used(form: Tables, of_focus: Mapping[str, Any]) -> None:
    """Raise for an option of FOCUS where none is asked for."""
    given = [name for name, value in of_focus.items() if value is not None]
    if given and form != "focus":
        raise OptionError(f"{given[0]}= is an option of FOCUS.", "Give tables='focus'.")


def require_distinct(made: Sequence[Table]) -> None:
    """Raise if a table's columns are the same but for case, which few targets tell apart."""
    for table in made:
        found: dict[str, list[str]] = {}
        for name in table.names:
            found.setdefault(name.lower(), []).append(name)
        if twice := [names for names in found.values() if len(names) > 1]:
            raise FrameError(
                f"The table {table.name} would have the columns {twice[0]}, which few targets can "
                "tell apart.",
                "Rename or drop all but one.",
            )


def require_unique(connection: duckdb.DuckDBPyConnection, shown: Usage) -> None:
    """Raise if what should tell records apart does not."""
    keys = ", ".join(map(quote, shown.identity))
    repeated = f"""select id, count(*) as times
from {USAGE}
group by {keys}
having times > 1 or id is null
order by times desc, id"""
    if found := connection.execute(repeated).fetchall():
        raise FrameError(
            f"{len(found):,} id{'s' if len(found) > 1 else ''} cannot tell records apart: "
            f"{named(found)}.",
            "tu.latest(df) keeps the newest record of each id.",
        )


def _repeated(connection: duckdb.DuckDBPyConnection, given: Usage) -> Duplicates | None:
    """Return what rows add that repeat an id over overlapping windows; most usage has none."""
    ids = f"select count(id) > count(distinct hash(id)) from {USAGE}"
    if not connection.sql(ids).fetchall()[0][0]:
        return None
    known = {name: name for name in given.types if name not in given.own}
    found = Columns("wide", ".", known, given.own)
    usage = connection.sql(f"from {USAGE} limit 0")
    types = dict(zip(usage.columns, map(str, usage.types), strict=True))
    columns = ", ".join(
        f"{relations.plain(name, types[name])} as {quote(name)}"
        for name in _duplicates.needs(found)
    )
    rows = connection.sql(f"""with {FRAME} as (
  select {columns}
  from {USAGE}
),
{_duplicates.steps(found)}
{_duplicates.SUPERSEDED}""")
    return _duplicates.added(rows.to_arrow_table())


def _made_once(connection: duckdb.DuckDBPyConnection, table: Table) -> Table:
    name = quote(f"tu__made_{table.name}")
    connection.execute(f"create temp table {name} as {table.sql}")
    return replace(table, sql=f"select * from {name}")


def _write(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Write what a job says; what stands beside a file, after it."""
    writer, kind = importlib.import_module(_WRITERS[job.target.kind]), job.target.kind
    _require_same_privacy(job)
    aside = [table for table in job.tables if table.name.endswith(_ASIDE)]
    aside = aside if job.target.holds_one else []
    writer.write(connection, replace(job, tables=[t for t in job.tables if t not in aside]))
    for table in aside:
        _write_beside(connection, job, table)
    if job.target.is_file and kind != "duckdb":
        with job.files.written(manifest.beside(job.target.place)) as partial:
            job.told.write(partial)


def _require_same_privacy(job: Job) -> None:
    """Raise if rows would be added to others in which other things are hidden; databases look."""
    read = manifest.of_file if job.target.is_file else manifest.of_folder
    if job.adds and (before := read(job.target.place)):
        manifest.require_same_privacy(job.target.place, job.told, [before])


def _write_beside(connection: duckdb.DuckDBPyConnection, job: Job, table: Table) -> None:
    """Write what was set aside to a file of its own; where there is nothing, there is no file."""
    place = job.target.beside(_ASIDE[1:])
    if job.told.tables[table.name]["rows"] or (job.adds and os.path.exists(place.place)):
        writer = importlib.import_module(_WRITERS[place.kind])
        writer.write(connection, replace(job, tables=[table], target=place))
        return
    job.told.stands(table.name, 0)
    if not job.adds:
        job.files.remove(place.place)


def tell_of_aside(
    connection: duckdb.DuckDBPyConnection, made: Sequence[Table], told: Manifest
) -> None:
    """Say how many charges FOCUS cannot hold, and why."""
    for table in made:
        if table.name.endswith(_ASIDE):
            _tell_of(connection, table, told.tables[table.name]["rows"])


def warn_of_positive_credits(connection: duckdb.DuckDBPyConnection, made: Sequence[Table]) -> None:
    """Warn of credits that add to the cost, since usage records do not declare a credit's sign."""
    charges = [table for table in made if table.name == focus.CHARGES]
    found = [row for table in charges for row in focus.positive_credits(connection, table)]
    if not found:
        return
    count = sum(credits_ for _, credits_, _ in found)
    amounts = ", ".join(f"{amount:,.2f} {currency}" for currency, _, amount in found)
    verb = "is positive and adds" if count == 1 else "are positive and add"
    warn(
        f"{counted(count, 'credit')} {verb} {amounts} to the cost: usage records do not say "
        "which sign credits have, so signs are kept.\n\n"
        "Pass credit_sign='negative' if all credits reduce the cost, whatever their sign, or "
        "credit_sign='keep' if positive ones take earlier credits back.",
        CreditSignWarning,
    )


def _tell_of(connection: duckdb.DuckDBPyConnection, table: Table, rows: int) -> None:
    if rows:
        reasons = named(focus.set_aside_counts(connection, table))
        warn(
            f"{rows:,} charge{'s are' if rows > 1 else ' is'} not told in FOCUS, and stand"
            f"{'' if rows > 1 else 's'} in {table.name}: {reasons}.",
            RejectWarning,
        )


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
