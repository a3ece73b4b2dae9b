"""One name for each model: exact rules, worked out by hand, in every library."""

import warnings
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from strategies import draws
from tidyusage.errors import FrameError, ModelWarning, OptionError, UnknownFieldError
from tidyusage.prepare import _name_rules


def _dictionary(table):
    place = table.column_names.index("model.id")
    return table.set_column(place, "model.id", table["model.id"].dictionary_encode())


def _relation(df, *, enum=False):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    connection.register("usage", pa.Table.from_pandas(df, preserve_index=False))
    relation = connection.sql("select * from usage")
    if enum and len(df):
        names_ = ", ".join(f"'{name}'" for name in df["model.id"].dropna().unique())
        type_ = f"enum({names_})"
        relation = relation.query(
            "u", f'select * replace (cast("model.id" as {type_}) as "model.id") from u'
        )
    return relation


FLAVOURS = {
    "pandas": lambda df: df,
    "pandas arrow": lambda df: df.convert_dtypes(dtype_backend="pyarrow"),
    "pandas object": lambda df: df.assign(**{"model.id": df["model.id"].astype(object)}),
    "pandas category": lambda df: df.assign(**{"model.id": df["model.id"].astype("category")}),
    "polars": pl.from_pandas,
    "polars lazy": lambda df: pl.from_pandas(df).lazy(),
    "polars category": lambda df: pl.from_pandas(df).cast({"model.id": pl.Categorical}),
    "polars enum": lambda df: pl.from_pandas(df).cast(
        {"model.id": pl.Enum(df["model.id"].dropna().unique().tolist())}
    ),
    "pyarrow": lambda df: pa.Table.from_pandas(df, preserve_index=False),
    "pyarrow dictionary": lambda df: _dictionary(pa.Table.from_pandas(df, preserve_index=False)),
    "duckdb": _relation,
    "duckdb enum": lambda df: _relation(df, enum=True),
    "underscores": lambda df: pl.from_pandas(
        df.rename(columns=lambda name: name.replace(".", "_"))
    ),
}


MODELS = [
    "claude-4.5-sonnet",
    None,
    "claude-sonnet-4-5-20250929",
    "gpt-5",
    "openai/gpt-5",
    "default",
]
NAMED = ["claude-sonnet-4-5", None, "claude-sonnet-4-5", "gpt-5", "gpt-5", "default"]


def usage(models, **more):
    records = [{"id": f"{n}", "model": {"id": model}} for n, model in enumerate(models)]
    df = tu.flatten_usage(records)[["id", "model.id", "start_date", "usage.tokens.input"]]
    return df.assign(team="core", **more)


def models(frame):
    name = next(name for name in columns(frame) if name in {"model.id", "model_id"})
    return [None if row[name] is None else str(row[name]) for row in rows(frame)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_library_gives_each_model_one_name(flavour):
    frame = FLAVOURS[flavour](usage(MODELS))
    before = rows(frame)
    named = tu.rename_models(frame)
    assert type(named) is type(frame)
    assert models(named) == NAMED
    assert columns(named) == columns(frame)
    for old, new in zip(before, rows(named), strict=True):
        assert {n: v for n, v in old.items() if "model" not in n} == {
            n: v for n, v in new.items() if "model" not in n
        }
    assert rows(frame) == before


@pytest.mark.parametrize(
    ("name", "model", "rule"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5", "known"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "date"),
        ("gpt-4o-2024-08-06", "gpt-4o", "date"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5", "date"),
        ("nobody-knows-20250101", "nobody-knows", "date"),
        ("nobody-knows-20250931", None, None),  # September has 30 days
        ("nobody-knows-2025-0101", None, None),  # nor is that a date
        ("nobody-knows-19990101", None, None),  # before there were models
        ("claude-3-5-haiku-latest", "claude-3-5-haiku", "vendor"),
        ("chatgpt-4o-latest", "chatgpt-4o-latest", "known"),  # a model of that name
        ("claude-3.5-sonnet", "claude-3-5-sonnet", "vendor"),
        ("claude-4-sonnet", "claude-sonnet-4", "vendor"),
        ("claude-opus-4-0", "claude-opus-4", "vendor"),
        ("claude-4.5-sonnet-thinking", "claude-sonnet-4-5", "vendor"),
        ("gpt-5.5-high", "gpt-5.5", "vendor"),
        ("gpt-5.1-codex-max", "gpt-5.1-codex-max", "known"),
        ("kimi-k2-thinking", "kimi-k2-thinking", "known"),  # a model of its own
        ("kimi-k3-thinking", None, None),  # which may be one too
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5", "vendor"),
        ("openrouter/anthropic/claude-3.7-sonnet", "claude-3-7-sonnet", "vendor"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro", "vendor"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", "vendor"),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet", "vendor"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6", "vendor"),
        ("anthropic.claude-v2:1", "claude-2.1", "vendor"),  # v2 is its name, not a revision
        ("vertex_ai/claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet", "vendor"),
        ("Claude-Opus-5", "claude-opus-5", "vendor"),
        (" gpt-5 ", "gpt-5", "vendor"),
        ("default", "default", "known"),
        ("auto", "auto", "known"),
        ("gpt-5o", None, None),  # near to one, and not it
        ("claude-sonnet-4-55", None, None),
        ("mistral-medium", None, None),
        ("Our-Own", None, None),
    ],
)
def test_a_name_matches_exactly_or_not_at_all(name, model, rule):
    frame = usage([name])
    assert rows(tu.model_names(frame)) == [
        {"model.id": name, "model": model, "rule": rule, "records": 1}
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert models(tu.rename_models(frame)) == [model or name]
    assert [each.category for each in caught] == ([] if model else [ModelWarning])


def test_every_name_of_the_table_is_its_own():
    table = _name_rules.known()
    assert set(table.values()) <= set(table)
    assert {name: table[name] for name in table.values()} == {name: name for name in table.values()}


@pytest.mark.parametrize("flavour", ["pandas", "polars", "polars lazy", "pyarrow"])
def test_names_that_match_nothing_stay_and_are_listed_with_their_rows(flavour):
    frame = FLAVOURS[flavour](usage(["ours", "gpt-5", "theirs", "ours", None, "ours", "  "]))
    named = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        named = tu.rename_models(frame)
        assert len(caught) == (0 if flavour == "polars lazy" else 1)
        found = models(named)
    assert found == ["ours", "gpt-5", "theirs", "ours", None, "ours", "  "]
    (warning,) = caught
    assert str(warning.message).startswith(
        "Nothing is known of the models 'ours' (3×), 'theirs' (1×); they keep their names."
    )
    if flavour != "polars lazy":  # which is collected by Polars
        assert Path(warning.filename) == Path(__file__)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_names_are_listed_in_every_library(flavour):
    frame = FLAVOURS[flavour](usage(["ours", "gpt-5-2025-08-07", "gpt-5", None, "gpt-5"]))
    found = [tuple(row.values()) for row in rows(tu.model_names(frame))]
    assert found == [
        ("ours", None, None, 1),
        ("gpt-5", "gpt-5", "known", 2),
        ("gpt-5-2025-08-07", "gpt-5", "date", 1),
    ]


# Aliases


def test_aliases_come_first_and_again_for_the_name_that_the_rules_give():
    frame = usage(["gpt-5-2025-08-07", "gpt-5", "claude-4.5-sonnet", "ours", "fine"])
    aliases = {"gpt-5": "GPT-5", "claude-4.5-sonnet": "Sonnet", "ours": "gpt-6", "fine": "fine"}
    named = tu.rename_models(frame, aliases)
    assert models(named) == ["GPT-5", "GPT-5", "Sonnet", "gpt-6", "fine"]
    assert models(tu.rename_models(named, aliases)) == models(named)
    assert {row["rule"] for row in rows(tu.model_names(frame, aliases))} == {"alias"}


def test_aliases_may_be_a_frame():
    aliases = pl.DataFrame({"alias": ["ours"], "model": ["gpt-5"]})
    assert models(tu.rename_models(usage(["ours"]), aliases)) == ["gpt-5"]


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ({"a": "b", "b": "c"}, "sends 'a' to 'b', and that to 'c'"),
        ({"a": ""}, "aliases= has 'a': ''"),
        ({"a": None}, "aliases= has 'a': None"),
        ({1: "a"}, "aliases= has 1: 'a'"),
        ("gpt", "aliases= is str"),
        (pd.DataFrame({"alias": ["a"]}), "no column 'model'"),
        (pd.DataFrame({"alias": ["a", "a"], "model": ["b", "c"]}), "two names for 'a'"),
    ],
)
def test_wrong_aliases_say_so(aliases, words):
    for function in (tu.rename_models, tu.model_names):
        with pytest.raises(OptionError, match=words):
            function(usage(["a"]), aliases)


# Dates


def test_dates_may_stay():
    frame = usage(["anthropic/claude-4-sonnet@20250514", "gpt-4o-2024-08-06", "x-20250101"])
    assert models(tu.rename_models(frame, dated=False)) == [
        "claude-sonnet-4-20250514",
        "gpt-4o-2024-08-06",
        "x-20250101",
    ]


# Frames


def test_a_long_frame_has_its_models_on_every_row():
    record = {
        "id": "a",
        "model": {"id": "gpt-5-2025-08-07"},
        "usage": {"tokens": {"input": 1, "output": 2}},
    }
    long = tu.flatten_usage([record], layout="long")
    assert models(tu.rename_models(long)) == ["gpt-5", "gpt-5"]
    assert rows(tu.model_names(long))[0]["records"] == 1


def test_index_dtypes_and_categories_are_kept():
    frame = usage(MODELS).set_index(pd.Index(list("uvwxyz"), name="key"))
    assert tu.rename_models(frame).index.equals(frame.index)
    for dtype in ("str", "string", "object", "string[python]"):
        old = frame.assign(**{"model.id": frame["model.id"].astype(dtype)})
        pd.testing.assert_series_equal(tu.rename_models(old).dtypes, old.dtypes)
    kept = frame.assign(
        **{
            "model.id": pd.Categorical(
                frame["model.id"],
                ["gpt-5", *sorted(MODELS[::2]), "default", "unused"],
                ordered=True,
            )
        }
    )
    categories = tu.rename_models(kept)["model.id"].cat
    assert (list(categories.categories), categories.ordered) == (
        ["gpt-5", "claude-sonnet-4-5", "default", "unused"],
        True,
    )
    assert tu.rename_models(FLAVOURS["polars category"](frame)).schema["model.id"] == pl.Categorical


def test_what_is_missing_in_a_column_of_objects_stays_as_it_was():
    frame = usage(
        ["gpt-5", "x", "x"], **{"model.id": pd.Series(["gpt-5", None, pd.NA], dtype=object)}
    )
    assert tu.rename_models(frame)["model.id"].tolist()[1:] == [None, pd.NA]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_frames_without_rows_or_models(flavour):
    empty = FLAVOURS[flavour](
        usage(MODELS).iloc[:0] if "enum" not in flavour else usage(["a"]).iloc[:0]
    )
    assert models(tu.rename_models(empty)) == []
    if "enum" not in flavour:
        none = FLAVOURS[flavour](usage([None, None]))
        assert models(tu.rename_models(none)) == [None, None]
        assert rows(tu.model_names(none)) == []


def test_columns_that_hold_no_text_say_so():
    assert models(tu.rename_models(usage([None, None], **{"model.id": [None, float("nan")]}))) == [
        None,
        None,
    ]
    numbers = usage(["1"], **{"model.id": [4.1]})
    for frame in (
        numbers,
        pl.from_pandas(numbers),
        pl.from_pandas(numbers).lazy(),
        _relation(numbers),
    ):
        with pytest.raises(FrameError, match=r"The column 'model.id' holds numbers"):
            tu.rename_models(frame)
    with pytest.raises(FrameError, match="values of several kinds"):
        tu.rename_models(usage(["1", "2"], **{"model.id": pd.Series(["a", 1], dtype=object)}))


def test_a_frame_without_models_says_so():
    for frame in (usage(["a"]).drop(columns="model.id"), tu.load_example(layout="charges")):
        with pytest.raises(UnknownFieldError, match=r"no column model.id"):
            tu.rename_models(frame)
        with pytest.raises(UnknownFieldError, match=r"no column model.id"):
            tu.model_names(frame)


def test_a_relation_keeps_the_order_of_its_rows():
    count = 300_000
    connection = duckdb.connect()
    relation = connection.sql(
        f"""select range as id, 'gpt-4o-2024-08-' || lpad(cast(range % 28 + 1 as varchar), 2, '0')
        as "model.id" from range({count})"""
    )
    found = tu.rename_models(relation).to_arrow_table()
    assert found["id"].to_pylist() == list(range(count))
    assert set(found["model.id"].to_pylist()) == {"gpt-4o"}


@settings(max_examples=draws(8), deadline=None)
@given(
    st.lists(
        st.none() | st.text(max_size=6) | st.sampled_from(sorted(_name_rules.known())), max_size=15
    )
)
def test_libraries_agree_and_known_names_are_fixed(drawn):
    frame = usage([None if name is None else name.replace("\x00", "") for name in drawn])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        ours = models(tu.rename_models(frame))
        for flavour in ("polars", "pyarrow", "duckdb"):
            assert models(tu.rename_models(FLAVOURS[flavour](frame))) == ours
        table = _name_rules.known()
        for old, new in zip(models(frame), ours, strict=True):
            assert new == table.get(old, new)
            assert table.get(new, new) == new
