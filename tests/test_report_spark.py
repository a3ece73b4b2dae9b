"""`report` of a Spark frame: what its page is made of is what every other library gives.

A whole page is some forty questions, of a second each on Spark.
"""

import pytest

import tidyusage as tu
from test_report import RECORDS
from tidyusage.reporting import calendar
from tidyusage.reporting.activity import activity
from tidyusage.reporting.asked import Asked
from tidyusage.reporting.cubes import Cubes
from tidyusage.reporting.members import MODELS, PRODUCTS, USERS, Members

pytestmark = [pytest.mark.xdist_group("spark"), pytest.mark.filterwarnings("ignore")]
OPTIONS = {
    "charge": "billed",
    "rates": None,
    "to": None,
    "tz": "Asia/Tokyo",
    "end": "exclusive",
    "fiscal_year_start": 1,
    "week_start": "monday",
    "token_convention": "auto",
}


def cubes(frame):
    rows = tu.summary(tu.flatten_usage(RECORDS, backend="polars", sep="_")).to_dicts()
    days = next(row for row in rows if row["figure"] == "days")
    span = calendar.Span.of(days["start_date"], days["end_date"], OPTIONS["tz"])
    products = Members(PRODUCTS, ("alpha", "beta"), ("alpha", "beta"))
    return Cubes(Asked(frame, OPTIONS, "1mo"), calendar.periods("1mo", span), products)


def test_spark_gives_the_same_sums_and_people(spark):
    ours = cubes(spark.createDataFrame(tu.flatten_usage(RECORDS, backend="pyarrow", sep="_")))
    theirs = cubes(tu.flatten_usage(RECORDS, backend="polars", sep="_"))
    models, people = theirs.members(MODELS), theirs.members(USERS)
    assert ours.members(USERS) == people
    assert ours.cost(people) == theirs.cost(people)
    assert ours.unit(models) == theirs.unit(models)
    assert ours.acceptance() == theirs.acceptance()
    assert sorted(activity(ours).patterns) == sorted(activity(theirs).patterns)
