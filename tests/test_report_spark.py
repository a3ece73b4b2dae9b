"""`report` of a Spark frame: the page that every other library gives."""

import pytest

import tidyusage as tu
from test_report import RECORDS, told

pytestmark = pytest.mark.xdist_group("spark")


def test_spark_gives_the_same_page(spark, tmp_path):
    options = {"title": "A & B", "freq": "1w"}
    frame = tu.flatten_usage(RECORDS, backend="polars", sep="_")
    expected = told(tu.report(frame, tmp_path / "polars.html", **options))
    given = spark.createDataFrame(tu.flatten_usage(RECORDS, backend="pyarrow", sep="_"))
    assert told(tu.report(given, tmp_path / "spark.html", **options)) == expected
