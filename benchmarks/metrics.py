"""Metrics beside code written by hand for the same question: ``python benchmarks/metrics.py``.

The handwork follows the same rules (one figure of the charges, who decides a token convention, who
is active, pairs of tool actions), and must give the same figures before anything is measured.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import tidyusage as tu
from run import DATA, _ready
from tidyusage.engines import frames as engines
from tidyusage.engines.columns import columns as columns_of
from tidyusage.metrics import _duplicates, _mixed_grains, _overlap

PARTS: Final = ("on_demand", "committed", "usage_based", "platform_fee")
ACTIONS: Final = "usage.code.tool_actions"
KINDS: Final = ("requests", "sessions", "conversations", "code", "tokens", "tools")
NEAR: Final = 1e-6


def main() -> None:
    arguments = _arguments()
    frame = wide(arguments.rows)
    frames = {"Polars": frame, "pandas": engines.to_pandas(frame.to_arrow())}
    lines = [f"{arguments.rows:,} wide rows, {arguments.rounds} rounds, medians.", ""]
    lines += [
        "| metric | library | by hand, ms | ours, ms | ours over handwork | a look for overlaps over none |"
    ]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for name, (ask, hands, columns) in METRICS.items():
        for library, of in frames.items():
            ours_, hand = partial(ask, of, overlap="ignore"), partial(hands[library], of)
            same(ours_(), hand(), columns)
            ours, theirs = timed(ours_, hand, arguments.rounds)
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            looking, plain = timed(partial(ask, of), ours_, arguments.rounds)
            look = statistics.median(a / b for a, b in zip(looking, plain, strict=True))
            by_hand, of_ours = (f"{statistics.median(s) * 1e3:.0f}" for s in (theirs, ours))
            lines.append(
                f"| `{name}` | {library} | {by_hand} | {of_ours} | {ratio:.2f}× | {look:.2f}× |"
            )
    print("\n".join([*lines, "", *overlap_check(frames, arguments.rounds)]))


def overlap_check(frames: dict[str, Any], rounds: int) -> list[str]:
    """Return what the overlap check of clean frames takes, in CPU time, beside its bar.

    The bar is 1.1 times the look for several grains, and the time of counting the distinct ids.
    """
    lines = [
        "The overlap check, milliseconds of CPU, medians; bar: 1.1 × grains + n_unique.",
        "",
        "| library | grains | repeated ids | both | n_unique of ids | of the bar |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for library, frame in frames.items():
        found = columns_of(frame)
        ids = frame["id"]
        calls: tuple[Call, ...] = (
            partial(_mixed_grains.products, frame, found),
            partial(_duplicates.suspects, frame, found),
            partial(_overlap.found, frame, found),
            ids.n_unique if library == "Polars" else ids.nunique,
        )
        grains, repeats, both, distinct = (cpu(call, rounds) for call in calls)
        share = both / (1.1 * grains + distinct)
        figures = " | ".join(
            f"{seconds * 1e3:.0f}" for seconds in (grains, repeats, both, distinct)
        )
        lines.append(f"| {library} | {figures} | {share:.0%} |")
    return lines


def cpu(call: Call, rounds: int) -> float:
    """Return the CPU seconds of a call, the median of several; a machine may be shared."""
    seconds = []
    for _ in range(rounds):
        gc.collect()
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def wide(rows: int) -> pl.DataFrame:
    """Return so many wide rows: 100,000 records as often as it takes, under other ids."""
    path = Path(DATA) / "usage-100000.ndjson"
    _ready(path, 100_000)
    once = tu.read_usage(path, backend="polars")
    copies = range(-(-rows // once.height))
    renamed = (once.with_columns(pl.format(f"{{}}-{copy}", "id").alias("id")) for copy in copies)
    return pl.concat(renamed).head(rows).rechunk()


def timed(ours: Call, hand: Call, rounds: int) -> tuple[list[float], list[float]]:
    """Time both in turn, so that a slow minute hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kept, call in zip(seconds, (ours, hand), strict=True):
            gc.collect()
            begin = time.perf_counter()
            call()
            kept.append(time.perf_counter() - begin)
    return seconds


def same(ours: Any, hand: Any, columns: tuple[str, ...]) -> None:
    """Raise if the figures differ; rows are matched by their sorted figures."""

    def figures(frame: Any, column: str) -> list[float]:
        values = (math.nan if x is None else float(x) for x in frame[column].to_list())
        return sorted(value for value in values if not math.isnan(value))

    for column in columns:
        np.testing.assert_allclose(figures(ours, column), figures(hand, column), rtol=1e-9)


Call = Callable[[], Any]


# Polars by hand


def cost_pl() -> pl.Expr:
    net, total, included, discount = (
        pl.col(f"charges.{name}") for name in ("net", "total", "included", "discount")
    )
    present = pl.coalesce(*(pl.col(f"charges.{part}") for part in PARTS))
    parts = pl.sum_horizontal(pl.col(f"charges.{part}").fill_null(0) for part in PARTS)
    is_whole = (parts + included - total).abs() <= NEAR * total.abs()
    inside = pl.when(present.is_null()).then(included <= total).otherwise(is_whole)
    return (
        pl.when(net.is_not_null())
        .then(net)
        .when(total.is_not_null() & inside)
        .then(total - included)
        .when(total.is_not_null())
        .then(total)
        .when(present.is_not_null())
        .then(parts - discount.abs().fill_null(0))
    )


def cost_by_pl(df: pl.DataFrame) -> pl.DataFrame:
    code = pl.when(pl.col("priced") > 0).then(pl.col("code").str.strip_chars().str.to_uppercase())
    return (
        df.lazy()
        .select("model.id", cost_pl().alias("cost"), pl.col("charges.currency").alias("code"))
        .group_by("model.id", "code")
        .agg(
            pl.col("cost").sum(), pl.len().alias("records"), pl.col("cost").count().alias("priced")
        )
        .with_columns(code.alias("code"))
        .group_by("model.id", "code")
        .agg(pl.col("cost", "records", "priced").sum())
        .with_columns((pl.col("cost") / pl.col("cost").sum().over("code")).alias("share"))
        .filter(pl.col("priced") > 0)
        .sort("cost", descending=True)
        .collect()
    )


def tokens_pl() -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return whether the input holds cached tokens, and the tokens if not and if so."""

    def of(name: str) -> pl.Expr:
        return pl.col(f"usage.tokens.{name}")

    lives = [of(f"cache_write_ephemeral_{life}") for life in ("5m", "1h")]
    either = pl.when(pl.coalesce(*lives).is_not_null()).then(
        lives[0].fill_null(0) + lives[1].fill_null(0)
    )
    written = pl.coalesce(of("cache_write"), either)
    cached = of("cache_read").fill_null(0) + written.fill_null(0)
    rest = of("total") - of("input") - of("output").fill_null(0)
    own = (
        pl.when(~(cached > 0))
        .then(None)
        .when((rest - cached).abs() <= NEAR * of("total").abs())
        .then(0)
        .when(rest.abs() <= NEAR * of("total").abs())
        .then(1)
    )
    any_ = pl.coalesce(of("input"), of("output"), of("cache_read"), written).is_not_null()
    within = of("input").fill_null(0) + of("output").fill_null(0)
    apart = pl.coalesce(of("total"), pl.when(any_).then(within + cached))
    inside = pl.coalesce(of("total"), pl.when(any_).then(within))
    return own, apart, inside


def cost_per_token_pl(df: pl.DataFrame) -> pl.DataFrame:
    own, apart, inside = tokens_pl()
    both = pl.col("cost").is_not_null() & pl.col("apart").is_not_null()
    votes = (pl.col("len") * (2 * pl.col("own") - 1)).sum().over("model.provider")
    is_in = pl.coalesce(
        pl.col("own"), (pl.col("model.provider").is_not_null() & (votes > 0)).cast(int)
    )
    return (
        df.lazy()
        .select(
            "model.id",
            "model.provider",
            pl.col("charges.currency").alias("code"),
            cost_pl().alias("cost"),
            own.alias("own"),
            apart.alias("apart"),
            inside.alias("inside"),
        )
        .group_by("model.id", "code", "model.provider", "own")
        .agg(
            pl.len(),
            both.sum().alias("records"),
            *(pl.col(name).filter(both).sum() for name in ("cost", "apart", "inside")),
        )
        .with_columns(pl.when(is_in == 1).then("inside").otherwise("apart").alias("tokens"))
        .filter(pl.col("records") > 0)
        .with_columns(pl.col("code").str.strip_chars().str.to_uppercase())
        .group_by("model.id", "code")
        .agg(pl.col("cost", "tokens", "records").sum())
        .with_columns((pl.col("cost") / pl.col("tokens")).alias("cost_per_token"))
        .sort("cost_per_token", descending=True)
        .collect()
    )


def counts(columns: list[str]) -> list[str]:
    """Return the counts that tell of activity."""
    return [
        name
        for name in columns
        if name.startswith(tuple(f"usage.{kind}." for kind in KINDS))
        and "file_extensions" not in name
        and name not in {ACTIONS, "usage.requests.tab_shown"}
    ]


def active_users_pl(df: pl.DataFrame) -> pl.DataFrame:
    start, end = (pl.col(name).dt.replace_time_zone(None) for name in ("start_date", "end_date"))
    actions = pl.col(ACTIONS).list.eval(pl.element().struct.field("count")).list.max()
    most = pl.max_horizontal(*counts(df.columns), actions)
    active = pl.coalesce(pl.col("usage.activity.is_active"), most > 0).fill_null(value=False)
    last = pl.when(end > start).then(end).otherwise(start + pl.duration(days=1))
    is_over = (last - pl.duration(microseconds=1)).dt.date() != start.dt.date()
    user = pl.coalesce(blank(pl.col("user.id")), blank(pl.col("user.email").str.to_lowercase()))
    found = (
        df.lazy()
        .filter(pl.col("start_date").is_not_null())
        .select(
            start.dt.date().alias("period"),
            "user.id",
            "user.email",
            active.alias("active"),
            (active & is_over).alias("over"),
        )
        .group_by("period", "user.id", "user.email")
        .agg(pl.col("active").max(), pl.col("over").sum())
        .select("period", user.alias("user"), "active", "over")
        .group_by("period")
        .agg(pl.col("user").filter("active").n_unique().alias("active_users"), pl.col("over").sum())
        .sort("period")
        .collect()
    )
    if found["over"].sum():
        sys.exit("An active user's window crosses midnight.")
    return found


def blank(column: pl.Expr) -> pl.Expr:
    stripped = column.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def acceptance_pl(df: pl.DataFrame) -> pl.DataFrame:
    def both(accepted: str, other: str) -> list[pl.Expr]:
        is_there = pl.col(accepted).is_not_null() & pl.col(other).is_not_null()
        return [pl.col(name).filter(is_there).sum() for name in (accepted, other)]

    pairs = (
        ("usage.requests.tab_accepted", "usage.requests.tab_shown"),
        ("usage.code.accepts", "usage.code.rejects"),
        ("usage.code.lines_accepted_added", "usage.code.lines_added"),
    )
    lazy = df.lazy()
    plain = lazy.group_by("user.id").agg(*(e for pair in pairs for e in both(*pair)))
    entries = (
        lazy.select("user.id", ACTIONS)
        .with_row_index("row")
        .filter(pl.col(ACTIONS).list.len() > 0)
        .explode(ACTIONS)
        .unnest(ACTIONS)
        .filter(pl.col("count").is_not_null())
    )
    is_ = {name: pl.col("action") == name for name in ("accepted", "rejected")}
    tools = (
        entries.group_by("user.id", "row", "tool")
        .agg(
            *(pl.col("count").filter(test).sum().alias(name) for name, test in is_.items()),
            *(test.any().alias(f"has_{name}") for name, test in is_.items()),
        )
        .filter("has_accepted", "has_rejected")
        .group_by("user.id")
        .agg(pl.col("accepted", "rejected").sum())
    )
    plain, tools = pl.collect_all([plain, tools])
    (tab, shown), (accepts, rejects), (lines, added) = pairs
    kinds = [
        plain.select("user.id", pl.col(tab).alias("accepted"), pl.col(shown).alias("offered")),
        plain.select(
            "user.id",
            pl.col(accepts).alias("accepted"),
            (pl.col(accepts) + pl.col(rejects)).alias("offered"),
        ),
        plain.select("user.id", pl.col(lines).alias("accepted"), pl.col(added).alias("offered")),
        tools.select(
            "user.id", "accepted", (pl.col("accepted") + pl.col("rejected")).alias("offered")
        ),
    ]
    found = pl.concat(kinds).filter(pl.col("offered") > 0)
    return found.with_columns((pl.col("accepted") / pl.col("offered")).alias("acceptance_rate"))


# pandas by hand


def cost_pd(df: pd.DataFrame) -> np.ndarray:
    money = {
        n: df[f"charges.{n}"].to_numpy() for n in (*PARTS, "net", "total", "included", "discount")
    }
    present = ~np.all([np.isnan(money[part]) for part in PARTS], axis=0)
    parts = np.nansum([money[part] for part in PARTS], axis=0)
    net, total, included = money["net"], money["total"], money["included"]
    is_whole = np.abs(parts + included - total) <= NEAR * np.abs(total)
    inside = np.where(present, is_whole, included <= total)
    summed = np.where(present, parts - np.nan_to_num(np.abs(money["discount"])), np.nan)
    of_total = np.where(inside, total - included, total)
    return np.where(~np.isnan(net), net, np.where(~np.isnan(total), of_total, summed))


def cost_by_pd(df: pd.DataFrame) -> pd.DataFrame:
    data = pd.DataFrame(
        {"model.id": df["model.id"], "code": df["charges.currency"], "cost": cost_pd(df)}
    )
    keys = ["model.id", "code"]
    found = (
        data.groupby(keys, dropna=False, sort=False)["cost"]
        .agg(["sum", "size", "count"])
        .reset_index()
    )
    found["code"] = found["code"].str.strip().str.upper().where(found["count"] > 0)
    found = found.groupby(keys, dropna=False, sort=False).sum().reset_index()
    found.columns = pd.Index([*keys, "cost", "records", "priced"])
    found["share"] = found["cost"] / found.groupby("code", dropna=False)["cost"].transform("sum")
    return found[found["priced"] > 0].sort_values("cost", ascending=False)


def cost_per_token_pd(df: pd.DataFrame) -> pd.DataFrame:
    names = ("input", "output", "cache_read", "cache_write", "total")
    of = {name: df[f"usage.tokens.{name}"].to_numpy() for name in names}
    lives = [df[f"usage.tokens.cache_write_ephemeral_{life}"].to_numpy() for life in ("5m", "1h")]
    either = np.where(np.isnan(lives[0]) & np.isnan(lives[1]), np.nan, np.nansum(lives, axis=0))
    written = np.where(np.isnan(of["cache_write"]), either, of["cache_write"])
    cached = np.nan_to_num(of["cache_read"]) + np.nan_to_num(written)
    within = np.nan_to_num(of["input"]) + np.nan_to_num(of["output"])
    rest = of["total"] - of["input"] - np.nan_to_num(of["output"])
    near = NEAR * np.abs(of["total"])
    own = np.where(np.abs(rest - cached) <= near, 0.0, np.where(np.abs(rest) <= near, 1.0, np.nan))
    own[cached <= 0] = np.nan
    has_total = ~np.isnan(of["total"])
    nothing = (
        np.isnan(of["input"])
        & np.isnan(of["output"])
        & np.isnan(of["cache_read"])
        & np.isnan(written)
    )
    cost = cost_pd(df)
    both = ~np.isnan(cost) & (has_total | ~nothing)
    data = pd.DataFrame(
        {
            "model.id": df["model.id"],
            "code": df["charges.currency"],
            "provider": df["model.provider"],
            "own": own,
            "cost": np.where(both, cost, 0),
            "apart": np.where(both, np.where(has_total, of["total"], within + cached), 0),
            "inside": np.where(both, np.where(has_total, of["total"], within), 0),
            "records": both,
            "all": 1,
        }
    )
    keys = ["model.id", "code", "provider", "own"]
    found = data.groupby(keys, dropna=False, sort=False).sum().reset_index()
    votes = (found["all"] * (2 * found["own"] - 1)).groupby(found["provider"]).transform("sum")
    is_in = found["own"].fillna((votes > 0).astype(float)) == 1
    found["tokens"] = np.where(is_in, found["inside"], found["apart"])
    found = found[found["records"] > 0]
    found["code"] = found["code"].str.strip().str.upper()
    sums = ["cost", "tokens", "records"]
    found = found.groupby(keys[:2], dropna=False, sort=False)[sums].sum().reset_index()
    found["cost_per_token"] = found["cost"] / found["tokens"]
    return found.sort_values("cost_per_token", ascending=False)


def entries_of(df: pd.DataFrame) -> pd.DataFrame:
    """Return the tool actions of all rows, with the number of each one's row."""
    lists: Any = pa.array(df[ACTIONS].array)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    flat = pc.list_flatten(lists)
    columns = {name: pc.struct_field(flat, name) for name in ("tool", "action", "count")}
    return pd.DataFrame(
        {
            "row": pc.list_parent_indices(lists).to_numpy(),
            "tool": columns["tool"].dictionary_encode().indices.to_numpy(zero_copy_only=False),
            "action": columns["action"].dictionary_encode().to_pandas(),
            "count": columns["count"].to_numpy(zero_copy_only=False),
        }
    )


def active_users_pd(df: pd.DataFrame) -> pd.DataFrame:
    df = df[df["start_date"].notna()]
    is_positive = np.zeros(len(df), dtype=bool)
    for name in counts(list(df.columns)):
        is_positive |= df[name].to_numpy() > 0
    entries = entries_of(df)
    is_positive[entries.loc[entries["count"] > 0, "row"].to_numpy()] = True
    given = df["usage.activity.is_active"]
    active = given.where(given.notna(), is_positive).astype(bool).to_numpy()
    start, end = (df[name].dt.tz_localize(None) for name in ("start_date", "end_date"))
    last = end.where(end > start, start + pd.Timedelta(days=1)) - pd.Timedelta(microseconds=1)
    day = start.dt.normalize()
    if (active & (last.dt.normalize() != day).to_numpy()).any():
        sys.exit("An active user's window crosses midnight.")
    data = pd.DataFrame(
        {"period": day, "id": df["user.id"], "email": df["user.email"], "active": active}
    )
    keys = ["period", "id", "email"]
    found = data.groupby(keys, dropna=False, sort=False)["active"].max().reset_index()
    id_, email = found["id"].str.strip(), found["email"].str.strip().str.lower()
    found["user"] = id_.where(id_.fillna("") != "", email)
    found = found[found["active"]].groupby("period")["user"].nunique()
    return found.rename("active_users").reset_index()


def acceptance_pd(df: pd.DataFrame) -> pd.DataFrame:
    pairs = {
        "tab": ("usage.requests.tab_accepted", "usage.requests.tab_shown"),
        "edit": ("usage.code.accepts", "usage.code.rejects"),
        "line": ("usage.code.lines_accepted_added", "usage.code.lines_added"),
    }
    user, sums = df["user.id"], []
    for kind, (accepted, other) in pairs.items():
        first, second = df[accepted].to_numpy(), df[other].to_numpy()
        offered = first + second if kind == "edit" else second
        both = ~np.isnan(first) & ~np.isnan(second)
        data = pd.DataFrame(
            {"user.id": user[both], "accepted": first[both], "offered": offered[both]}
        )
        sums.append(data.groupby("user.id", dropna=False).sum().reset_index())
    entries = entries_of(df)
    entries = entries[entries["count"].notna() & entries["action"].isin(["accepted", "rejected"])]
    keys = ["row", "tool", "action"]
    counted = entries.groupby(keys, observed=True)["count"].sum().unstack("action").dropna()
    rows = counted.index.get_level_values("row")
    counted["user.id"] = user.to_numpy()[rows]
    tools = counted.groupby("user.id", dropna=False)[["accepted", "rejected"]].sum().reset_index()
    tools["offered"] = tools["accepted"] + tools["rejected"]
    found = pd.concat([*sums, tools[["user.id", "accepted", "offered"]]])
    found = found[found["offered"] > 0]
    return found.assign(acceptance_rate=found["accepted"] / found["offered"])


METRICS: Final[
    dict[str, tuple[Callable[..., Any], dict[str, Callable[[Any], Any]], tuple[str, ...]]]
] = {
    'cost_by("model.id")': (
        lambda df, **options: tu.cost_by(df, "model.id", **options),
        {"Polars": cost_by_pl, "pandas": cost_by_pd},
        ("cost", "share"),
    ),
    'cost_per_token("model.id")': (
        lambda df, **options: tu.cost_per_token(df, "model.id", **options),
        {"Polars": cost_per_token_pl, "pandas": cost_per_token_pd},
        ("cost", "tokens", "cost_per_token"),
    ),
    'active_users(freq="1d")': (
        lambda df, **options: tu.active_users(df, freq="1d", **options),
        {"Polars": active_users_pl, "pandas": active_users_pd},
        ("active_users",),
    ),
    'acceptance_rate("user.id")': (
        lambda df, **options: tu.acceptance_rate(df, "user.id", **options),
        {"Polars": acceptance_pl, "pandas": acceptance_pd},
        ("accepted", "offered", "acceptance_rate"),
    ),
}

if __name__ == "__main__":
    main()
