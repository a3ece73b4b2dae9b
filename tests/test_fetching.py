"""The command `fetch`, and the bar: on a real terminal, in a real kernel, and where nobody looks."""

import os
import pty
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbclient import NotebookClient

import api_server
import tidyusage as tu
from api_server import TOKEN, serving
from processes import command

COMMAND = [sys.executable, "-m", "tidyusage.cli", "fetch"]


@pytest.fixture
def service():
    with serving() as (server, url):
        server.records = {("a1", None): api_server.records(280)}
        server.url = url
        yield server


def run(*arguments, token=TOKEN):
    env = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    env.pop("TRUTO_API_TOKEN", None)
    env |= {"TRUTO_API_TOKEN": token} if token else {"NETRC": os.devnull}
    return command("fetch", *arguments, environment=env)


def test_pages_land_and_the_other_commands_read_the_folder(service, tmp_path):
    folder = tmp_path / "usage"
    month = ("--since", "2026-01-01", "--until", "2026-02-01")
    where = ("--base-url", service.url, "--into", folder)
    done = run("--account", "a1", *month, *where)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"280 records on 3 pages landed in {folder}\n"
    # Again, it asks for the last 30 days of what it has: all but the 1st.
    done = run("--account", "a1", *month, *where)
    assert done.stderr == f"270 records on 3 pages landed in {folder}\n"
    done = run("--account", "a1", *month, *where, "--lookback", "0")
    assert done.stderr == f"0 records on 0 pages landed in {folder}\n"
    told = command("summary", folder, "--format", "csv", environment=os.environ)
    assert told.returncode == 0
    assert '"records","records",280' in told.stdout
    # 0 + … + 279 quarters of a dollar: 279 · 280 / 2 / 4
    assert '"cost","USD",9765' in told.stdout


def test_every_option_goes_out(service, tmp_path):
    service.records = {(a, r): [] for a in ("a1", "a2") for r in ("cost", "usage")}
    done = run(
        *("--account", "a1", "--account", "a2", "--report", "cost", "--report", "usage"),
        *("--product", "p", "--user", "u", "--model", "m", "--surface", "cli", "--surface", "api"),
        *("--param", "bucket=day", "--param", "g=1", "--param", "g=2", "--param", "only[]=x"),
        *("--since", "2026-01-01", "--until", "2026-01-03", "--every", "1d"),
        *("--remote-data", "json", "--partial", "warn"),
        *("--base-url", service.url, "--into", tmp_path / "usage"),
    )
    assert done.returncode == 0, done.stderr
    assert len(service.requests) == 8
    query = service.requests[0]
    assert query["truto_ignore_remote_data"] == "false"
    names = ("product_ids[]", "user_ids[]", "model_ids[]", "surfaces[]", "bucket", "g[]", "only[]")
    assert [query[name] for name in names] == [
        *(["p"], ["u"], ["m"], ["cli", "api"]),
        *("day", ["1", "2"], ["x"]),
    ]
    ranges = {(q["start_date"], q["end_date"]) for q in service.requests}
    assert ranges == {("2026-01-01", "2026-01-02"), ("2026-01-02", "2026-01-03")}


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (("--account", "zz"), TOKEN, "error: The service answered 404 Not Found to the default"),
        (("--account", "a1"), "wrong-token", "error: The service answered 401 Unauthorized"),
        (("--account", "a1"), None, "\n\nSet the environment variable TRUTO_API_TOKEN, or add"),
        (("--account", "a1", "--since", "soon"), TOKEN, "--since 'soon' is no date"),
        (("--account", "a1", "--every", "1d"), TOKEN, "Give --since"),
        (("--account", "a1", "--param", "x"), TOKEN, "'x' is no NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_a_command(
    service, tmp_path, arguments, token, words
):
    done = run(*arguments, "--base-url", service.url, "--into", tmp_path / "u", token=token)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr
    assert "wrong-token" not in done.stderr


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_has_come(service, tmp_path):
    service.delay = 0.3
    reader, terminal = pty.openpty()
    done = subprocess.Popen(
        [*COMMAND, "--account", "a1", "--base-url", service.url, "--into", str(tmp_path / "u")],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TRUTO_API_TOKEN": TOKEN, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(reader, 65_536):
            shown += block
    except OSError:  # the terminal's other end is closed
        pass
    assert done.wait(30) == 0
    text = shown.decode()
    assert "200 records" in text
    assert "2 pages, up to 2026-01-20" in text
    assert "/s" in text
    assert TOKEN not in text


@pytest.mark.slow
def test_a_kernel_shows_a_bar_of_tqdm(service):
    code = f"""
import warnings
import tidyusage as tu
options = dict(integrated_account_id="a1", base_url={service.url!r}, token={TOKEN!r})
with warnings.catch_warnings(action="error"):
    print(len(tu.fetch_usage(**options)), sum(1 for _ in tu.iter_usage(progress=False, **options)))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    said = {
        name: "".join(o.text for o in outputs if o.get("name") == name)
        for name in ("stdout", "stderr")
    }
    assert said["stdout"] == "280 280\n"
    assert "Fetching: 280 records" in said["stderr"]
    assert "3 pages, up to 2026-01-28" in said["stderr"]


@pytest.mark.slow
def test_what_is_printed_beside_a_bar_goes_where_it_was_sent(service, tmp_path):
    script = (
        "import tidyusage as tu\n"
        f"options = dict(integrated_account_id='a1', base_url={service.url!r}, token={TOKEN!r})\n"
        "for record in tu.iter_usage(progress=True, **options): print(record['id'])\n"
    )
    reader, terminal = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=out, stderr=terminal, check=True
        )
    os.close(terminal)
    os.close(reader)
    assert done.returncode == 0
    assert (tmp_path / "out").read_text().splitlines() == [f"a1-{n:06}" for n in range(280)]


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once_and_it_can_be_gone_on_with(service, tmp_path):
    # The second page is to be waited for a minute.
    late = (*api_server.refusal(429, "Too Many Requests", "slow"), {"retry-after": "60"})
    service.faults = [lambda query: late if "next_cursor" in query else None]
    into = tmp_path / "usage"
    command = [*COMMAND, "--account", "a1", "--base-url", service.url, "--into", str(into)]
    env = {**os.environ, "TRUTO_API_TOKEN": TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as done:
        while len(service.requests) < 2 and done.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        done.send_signal(signal.SIGINT)
        assert done.wait(20) == 130
        assert "Traceback" not in done.stderr.read()
    service.faults = []
    run("--account", "a1", "--base-url", service.url, "--into", into)
    assert len(tu.read_usage(into, duplicates="raise")) == 280


@pytest.mark.slow
def test_nothing_is_left_running(service):
    found = tu.iter_usage(integrated_account_id="a1", base_url=service.url, token=TOKEN)
    next(found)
    script = (
        "import tidyusage as tu\n"
        f"found = tu.iter_usage(integrated_account_id='a1', base_url={service.url!r}, token={TOKEN!r})\n"
        "print(next(found)['id'])\n"
    )
    service.page_size = 1
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("a1-000000\n", "")
    found.close()
