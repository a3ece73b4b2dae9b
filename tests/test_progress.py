"""Bars of progress in a real kernel: with tqdm, and without."""

import nbformat
from nbclient import NotebookClient

READ = """
import json, warnings
import tidyusage as tu
from tidyusage._utils import progress
progress._PATIENCE_IN_NOTEBOOKS = 0
records = ({"id": str(n), "usage": {"tokens": {"total": n}}} for n in range(100_000))
text = "".join(json.dumps(record) + "\\n" for record in records)
with warnings.catch_warnings(action="error"):
    print(len(tu.flatten_usage(text)))
"""
WITHOUT_TQDM = """
import importlib.util, sys
sys.modules["tqdm"] = None
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "tqdm" else found(name, *more)
"""


def outputs_of(code):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return [(out.get("name"), out.get("text")) for out in notebook.cells[0].outputs]


def test_a_kernel_shows_a_bar_of_tqdm_while_it_reads():
    outputs = outputs_of(READ)
    errors = "".join(text for name, text in outputs if name == "stderr")
    assert "Reading:" in errors
    assert "Traceback" not in errors
    assert "".join(text for name, text in outputs if name == "stdout") == "100000\n"


def test_a_kernel_without_tqdm_reads_and_shows_nothing():
    assert outputs_of(WITHOUT_TQDM + READ) == [("stdout", "100000\n")]


def test_warnings_of_others_are_heard_while_a_bar_is_drawn():
    # What the bar silences in its own thread, it silences in all: warnings are a process's.
    code = """
import warnings
from tidyusage._utils import progress
progress._PATIENCE_IN_NOTEBOOKS = 0
import time
heard = []
warnings.showwarning = lambda message, *more: heard.append(str(message))
warnings.simplefilter("always")
with progress.bar("Reading"):
    for n in range(200):
        warnings.warn(f"{n}")
        time.sleep(0.001)
print(len(heard))
"""
    assert ("stdout", "200\n") in outputs_of(code)
