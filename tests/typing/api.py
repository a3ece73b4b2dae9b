"""Read by the type checkers, never run: uses that must pass, and uses that must not."""

from datetime import date, timedelta
from typing import Any

import duckdb
import pandas as pd
import polars as pl
from pyspark.sql import DataFrame as SparkFrame

import tidyusage as tu


def uses() -> None:
    frame: pd.DataFrame = tu.flatten_usage([{"id": "a"}])
    eager: pl.DataFrame = tu.read_usage("usage.ndjson", backend="polars", layout="long", sep="_")
    long: pd.DataFrame = tu.to_long(frame)
    lazy: pl.LazyFrame = tu.to_wide(eager.lazy())
    charges: pl.DataFrame = tu.charges(eager, duplicates="keep")
    restored: pd.DataFrame = tu.restore(frame, sep="_")
    piped: pd.DataFrame = frame.pipe(tu.to_long)
    cost: pd.DataFrame = tu.cost_by(frame, "model.id", charge={"cursor": "total", "*": "billed"})
    monthly: pl.LazyFrame = tu.cost_by(lazy, freq="1mo", tz="Europe/Berlin")
    tokens: pl.DataFrame = tu.tokens_by(eager, token_convention={"openai": "inclusive"})
    users: pd.DataFrame = frame.pipe(tu.active_users, "product.id", freq="1w")
    rates: pd.DataFrame = tu.acceptance_rate(frame, "user.id", kind="tab")
    dated: pl.LazyFrame = tu.cost_by(lazy, rates=eager, to="USD")
    seats: pd.DataFrame = tu.cost_per(frame, "users", "product.id", seats={"cursor": 40})
    ranked: pl.DataFrame = tu.top(eager, 5, "user.id", measure="tokens")
    trend: pd.DataFrame = tu.trend(frame, freq="1w", measure="commits")
    month: pl.LazyFrame = tu.stickiness(lazy, "product.id", tz="Asia/Tokyo")
    saved: pd.DataFrame = tu.cache_savings(frame, prices={"m": {"input": 3, "cache_read": 0.3}})
    guess: pl.DataFrame = tu.estimate_cost(eager, prices=frame, scope="all")
    first: pd.DataFrame = frame.pipe(tu.summary, "product.id")
    rules: dict[str, int] = dict(tu.explain(frame, "cost_by", "model.id").counts)
    text: str = tu.sql("cost_by", "model.id", sep=".", dialect="spark")

    fetched: pl.DataFrame = tu.fetch_usage(
        integrated_account_id=["a", "b"], start_date=date(2026, 1, 1), backend="polars", every="1d"
    )
    folder: str = tu.fetch_usage(report_type="cost", into="usage/", lookback=timedelta(7))
    ids: list[str] = [record["id"] for record in tu.iter_usage(params={"bucket": "day"})]

    spark: SparkFrame = tu.read_usage("s3a://bucket/", backend="pyspark")
    by_model: SparkFrame = tu.cost_by(spark, "model_id")
    asked: Any = tu.usage(spark).cost_by("model_id")

    days: pl.LazyFrame = tu.daily(lazy, end={"cursor": "inclusive"}, tz="Asia/Tokyo")
    newest: pd.DataFrame = tu.latest(frame, key="natural")
    restated: pl.DataFrame = tu.restatements(eager, end="inclusive")
    whole: pd.DataFrame = tu.complete_until(frame, {"claude": "30d", "*": timedelta(3)})

    tu.flatten_usage([], layout="lng")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.flatten_usage([], layot="long")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tu.read_usage("x", backend="dask")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.to_long([1, 2])  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    tu.cost_by(frame, charge="nett")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.cost_by(frame, end={"cursor": "open"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    tu.latest(frame, key="ids")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.complete_until(frame, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.cost_by(frame, freq="1m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.acceptance_rate(frame, kind="tabs")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.top(frame, "user.id")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.trend(frame, freq=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.cost_by(frame, rates={"EUR": "1"}, to="USD")  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    tu.estimate_cost(frame, scope="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.at_grain(frame, "finer")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tu.cost_by(frame, overlap="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong: pl.DataFrame = tu.to_long(frame)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def shows(frame: pd.DataFrame, lazy: pl.LazyFrame) -> None:
    drawn: Any = tu.plot.cost_by(frame, "model.id", freq="1w", colors={"gpt-5.5": "#6f6eff"})
    picture: str = tu.plot.save(drawn, "cost.svg")
    page: str = tu.report(lazy, "report.html", freq="1w", users=False, people={"a@x.org": "ada"})
    shown: Any = tu.table(frame, title="Cost", rows=10)


def trust(frame: pd.DataFrame, eager: pl.DataFrame, lazy: pl.LazyFrame) -> None:
    sound: pl.LazyFrame = tu.validate_usage(lazy, currencies=["CREDITS"])
    parted: tuple[pd.DataFrame, pd.DataFrame] = tu.filter_usage(frame)
    suspect: pl.DataFrame = tu.findings(eager, only=["late_days"], overlap="ignore")
    changed: pd.DataFrame = tu.drift(frame, eager)
    beside: pl.LazyFrame = tu.reconcile(lazy, frame, "model.id", measure="tokens")
    levels: pl.LazyFrame = tu.grains(lazy)
    pairs: pd.DataFrame = frame.pipe(tu.overlaps)
    one: pl.DataFrame = tu.at_grain(eager, "finest")
    named: pd.DataFrame = tu.rename_models(frame, {"opus": "claude-opus-5"})
    parts: pd.DataFrame = tu.allocate(frame, weights={"lkc-1": 2, "*": 1})
    spread: pl.DataFrame = tu.allocate_shared(eager, {"user.id": None}, "user.id", by="requests")
    counted: pd.DataFrame = tu.totals(frame, overlap="raise")


def export(frame: pd.DataFrame, lazy: pl.LazyFrame, relation: duckdb.DuckDBPyRelation) -> None:
    told: dict[str, Any] = tu.export_usage(frame, "usage.parquet", mode="upsert")
    star: dict[str, Any] = tu.export_usage(lazy, "bi/", tables="star", partition_by=["month"])
    focus: dict[str, Any] = tu.export_usage(
        relation,
        "focus.csv",
        tables="focus",
        virtual_currencies={"CREDITS": ("USD", 0.04)},
        services={"kafka": ("Confluent", "Integration", "Messaging")},
        credit_sign="negative",
    )
    hidden: dict[str, Any] = frame.pipe(
        tu.export_usage, "usage.csv", anonymise="user", anonymise_key=b"secret"
    )
    tu.export_usage(frame, "usage.csv", mode="replace")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
