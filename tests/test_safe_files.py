"""Files are written where a link points, under random names, with the umask's mode."""

import os
import stat

import pytest

import tidyusage as tu
from tidyusage._utils.atomic import replacing
from tidyusage.export import cells

BAD = {"id": "b", "usage": {"tokens": {"input": True}}}
GOOD = {"id": "a", "charges": [{"type": "net", "amount": 5, "currency": "USD"}]}


@pytest.fixture
def usage():
    return tu.flatten_usage(GOOD)


@pytest.mark.parametrize("name", ["usage.parquet", "usage.csv", "usage.xlsx", "usage.duckdb"])
def test_an_export_to_a_link_writes_its_target(usage, tmp_path, name):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / name, tmp_path / name
    usage.usage.export(str(target))
    before = target.stat().st_ino, target.read_bytes()
    link.symlink_to(target)
    more = tu.flatten_usage([{**GOOD, "id": "b"}, GOOD])
    more.usage.export(str(link), mode="overwrite")
    assert link.is_symlink()
    assert target.read_bytes() != before[1]
    assert sorted(os.listdir(tmp_path)) == ["real", name]


def test_an_export_to_a_link_to_a_folder_writes_into_the_folder(usage, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    usage.usage.export(f"{tmp_path}/link/")
    assert (tmp_path / "link").is_symlink()
    assert list((tmp_path / "real").rglob("*.parquet"))


def test_a_report_and_a_chart_written_to_a_link_reach_its_target(usage, tmp_path):
    for name in ("report.html", "cost.html"):
        (tmp_path / f"real-{name}").write_text("old")
        (tmp_path / name).symlink_to(tmp_path / f"real-{name}")
    usage.usage.report(tmp_path / "report.html")
    tu.plot.save(usage.usage.plot.cost_by(), tmp_path / "cost.html")
    for name in ("report.html", "cost.html"):
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / f"real-{name}").read_text().startswith("<!doctype html>")


def test_a_link_that_leads_nowhere_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with replacing(tmp_path / "link") as partial, open(partial, "w") as file:
        file.write("text")
    assert (tmp_path / "new").read_text() == "text"


def test_partial_files_have_random_names_and_are_created_exclusively(tmp_path):
    names = set()
    for _ in range(2):
        with replacing(tmp_path / "a.txt") as partial:
            names.add(partial)
            with pytest.raises(FileExistsError):
                os.open(partial, os.O_CREAT | os.O_EXCL)
    assert len(names) == 2
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail():
        with replacing(tmp_path / "a.txt") as partial, open(partial, "w") as file:
            file.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.filterwarnings("ignore:1 record set aside")
def test_every_file_has_the_mode_that_the_umask_gives(usage, tmp_path):
    before = os.umask(0o027)
    try:
        tu.flatten_usage([GOOD, BAD], rejects=tmp_path / "bad.ndjson")
        usage.usage.export(str(tmp_path / "usage.parquet"))
        tu.plot.save(usage.usage.plot.cost_by(), tmp_path / "cost.html")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)}
    assert set(modes.values()) == {0o640}, modes  # 0666 less 027


def test_what_an_export_returns_is_a_dict_that_shows_itself_in_a_few_lines(usage, tmp_path):
    target = os.path.realpath(tmp_path / "usage.parquet")
    made = usage.usage.export(target)
    assert repr(made) == f"Export to {target}\n  usage_wide: 1 row, USD 5.00"
    assert made["tables"]["usage_wide"]["rows"] == 1


FORMULAS = [
    "=1+1", "+1", "-1", "@a", "\t=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20a",
    "\0=1", " =1", "\xa0=1", "\u3000\uff1d1", "\ufeff=1", "'=1", "\x7f@a",
]  # fmt: skip
PLAIN = ["a=1", "1-2", "ada@example.com", " a", "é", "日本", "", "0", "'a", "a \uff1d b"]


@pytest.mark.parametrize("backend", ["pandas", "polars", "duckdb"])
def test_cells_that_spreadsheets_take_for_formulas_get_an_apostrophe(tmp_path, backend):
    texts = [*FORMULAS, *PLAIN]
    records = [{"id": f"{n:02}", "surface": text or None} for n, text in enumerate(texts)]
    target = tmp_path / "usage.csv"
    tu.export_usage(tu.flatten_usage(records, backend=backend), str(target))
    import csv

    with target.open(newline="", encoding="utf-8") as file:
        written = {row["id"]: row["surface"] for row in csv.DictReader(file)}
    for n, text in enumerate(texts):
        assert written[f"{n:02}"] == (f"'{text}" if text in FORMULAS else text), repr(text)


def test_the_sql_and_the_python_of_harmless_text_agree():
    import duckdb

    connection = duckdb.connect()
    for text in [*FORMULAS, *PLAIN]:
        (found,) = connection.execute(
            f"select {cells.harmless('?')}", [text] * cells.harmless("?").count("?")
        ).fetchone()
        assert found == cells.harmless_text(text) == (f"'{text}" if text in FORMULAS else text)
