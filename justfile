# What to run before a pull request: `just check`. CI runs it with CI=true, which adds the slow tests.

# Tools come from the active environment, else from .venv, else from the PATH.
environment := env("VIRTUAL_ENV", justfile_directory() / ".venv")
export PATH := environment / "bin" + ":" + env("PATH")

# list the recipes
default:
    @just --list

# all that must pass
check: lint types test docs

# tests, and every example in docstrings, README and docs; CI=true adds the slow ones
test *arguments:
    python -m pytest {{ arguments }}

# style, format, docstrings
lint:
    ruff check
    ruff format --check
    python docs/check_docstrings.py

# both type checkers
types:
    mypy
    pyright

# the pages, a warning being an error; the table of fields must be up to date
docs:
    python docs/generate_fields.py --check
    python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

# write docs/fields.md from the catalogue
fields:
    python docs/generate_fields.py

# write the docs' pictures of charts
pictures:
    python docs/make_pictures.py

# execute the notebooks, and write them with their outputs
notebooks:
    python docs/execute_notebooks.py

# read mutated records in every container, as `just fuzz --records 1000000 --seed 1`
fuzz *arguments:
    python tests/fuzz.py {{ arguments }}

# a wheel, in dist/
build:
    python -m pip wheel --quiet --no-deps --wheel-dir dist .

# ours and the peers on one file; takes minutes (see benchmarks/README.md)
bench *arguments:
    python benchmarks/run.py {{ arguments }}

# kill reads, exports and fetches at random points; nothing may be half-written (just kill --times 500)
kill *arguments:
    python tests/kill.py {{ arguments }}
