"""FOCUS held to the FinOps Foundation's own validator, slice by slice.

It masks a wrong value of a list by a right one elsewhere in the file; so each ChargeCategory of
each service is a file of its own.  `test_focus` has the rules that it does not see.  It needs Python
3.12 and older libraries than ours: an environment of its own, or the program that
``TIDYUSAGE_FOCUS_VALIDATOR`` names.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

import tidyusage as tu
from focus_cases import MESSY, staged
from tidyusage.export import focus
from tidyusage.export.focus_services import SUBCATEGORIES

pytestmark = pytest.mark.slow  # it installs the validator

REQUIREMENTS = ("focus-validator==2.2.1", "pyarrow<22")
MODEL = "1.2.0.1"
# What usage records can tell; the validator takes all of their columns for given then.
CRITERIA = (
    "USAGE_MEASUREMENT_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED",
    "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED",
)
# InvoiceId must be null without an invoice, and must not with one: the validator asks for both.
CONTRADICTION = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}
OPTIONS = {"billing_account": "acct", "virtual_currencies": {"credits": ("USD", 0.04)}}


def newer_python():
    """Return a Python that the validator runs on, or None."""
    found = [Path(sys.executable)] if sys.version_info >= (3, 12) else []
    found += [Path(path) for n in (12, 13) if (path := shutil.which(f"python3.{n}"))]
    found += sorted(Path.home().glob(".pyenv/versions/3.1[23]*/bin/python"))
    return next((path for path in found if works(path, "-c", "import venv, ensurepip")), None)


def works(program, *arguments):
    command = [str(program), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 0


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The validator; one that is made is shared by all workers."""
    if named := os.environ.get("TIDYUSAGE_FOCUS_VALIDATOR"):
        return Path(named)
    home = tmp_path_factory.getbasetemp()
    home = (home.parent if "PYTEST_XDIST_WORKER" in os.environ else home) / "focus-validator"
    made = home / "bin" / "focus-validator"
    with FileLock(f"{home}.lock"):
        if not made.exists():
            if (python := newer_python()) is None:
                pytest.skip("focus-validator needs Python 3.12 or 3.13, and there is none")
            works(python, "-m", "venv", home)
            if not works(home / "bin" / "pip", "install", "--quiet", *REQUIREMENTS):
                shutil.rmtree(home, ignore_errors=True)
                pytest.skip(f"pip cannot install {REQUIREMENTS[0]}: is a registry in reach?")
    return made


@pytest.fixture(scope="module")
def rules(program):
    """The folder of the validator's rules."""
    where = "import focus_validator as f; print(f.__path__[0])"
    command = [str(program.with_name("python")), "-c", where]
    return Path(subprocess.check_output(command, text=True).strip()) / "rules"


@pytest.fixture
def validate(program, rules, tmp_path):
    """Judge files: how many rules each passes, and which it fails."""
    # It looks for its list of currencies from the folder that it is started in.
    (tmp_path / "focus_validator" / "rules").mkdir(parents=True)
    shutil.copy(rules / "currency_codes.csv", tmp_path / "focus_validator" / "rules")

    def judge(path):
        command = [str(program), "--data-file", str(path), "--validate-version", MODEL]
        command += ["--block-download", "--applicability-criteria", ",".join(CRITERIA)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        (passed,) = re.findall(r"^Total: \d+ \| Pass: (\d+)", done.stdout, re.MULTILINE)
        return int(passed), set(re.findall(r"^- (\S+): violations", done.stdout, re.MULTILINE))

    return judge


def exported(frame):
    with staged(frame) as (connection, usage):
        charges, _ = focus.tables(usage, **OPTIONS)
        return pl.from_arrow(connection.sql(charges.ordered).to_arrow_table())


def slices(frame, folder):
    """Write each ChargeCategory of each service to a file; every other one is Parquet."""
    paths = []
    for place, (_, part) in enumerate(frame.group_by("ChargeCategory", "ServiceName")):
        suffix = "parquet" if place % 2 else "csv"
        paths.append(folder / f"{place}.{suffix}")
        if place % 2:
            part.write_parquet(paths[-1])
        else:
            part.write_csv(paths[-1], datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return paths


@pytest.mark.parametrize("name", ["example", "messy"])
def test_the_official_validator_lets_every_slice_pass(name, validate, tmp_path):
    frame = exported(tu.load_example(backend="pyarrow") if name == "example" else MESSY)
    assert set(frame["ChargeCategory"]) == {"Usage", "Tax", "Credit"}
    paths = slices(frame, tmp_path)
    assert len(paths) >= 7
    with ThreadPoolExecutor(2) as pool:
        for path, (passed, failed) in zip(paths, pool.map(validate, paths), strict=True):
            assert failed <= CONTRADICTION, path
            assert len(failed) == 1, path
            assert passed > 150, path


def test_the_official_validator_can_fail(validate, tmp_path):
    frame = exported(MESSY).filter(ServiceName="Claude", ChargeCategory="Usage")
    wrong = frame.with_columns(BillingCurrency=pl.lit("credits"), ChargeCategory=pl.lit("Refund"))
    wrong.write_parquet(tmp_path / "wrong.parquet")
    _, failed = validate(tmp_path / "wrong.parquet")
    assert {"ChargeCategory-C-003-M", "BillingCurrency-C-006-M"} & failed
    assert failed > CONTRADICTION & failed


def test_categories_are_those_of_the_validators_rules(rules):
    model = json.loads((rules / f"model-{MODEL}.json").read_text("utf-8"))["ModelRules"]
    allowed = model["ServiceSubcategory-C-004-M"]["ValidationCriteria"]["Requirement"]["Items"]
    pairs = {tuple(check["Value"] for check in pair["Items"]) for pair in allowed}
    assert pairs == {(part, kind) for kind, parts in SUBCATEGORIES.items() for part in parts}
