"""The token: where it is taken from, and that nothing shows it: no repr, log, error or file."""

import io
import logging
import pickle
import traceback

import pytest
from rich.console import Console
from rich.traceback import Traceback

import api_server
import tidyusage as tu
from api_server import TOKEN, refusal, serving
from tidyusage.api import client
from tidyusage.api.secret import Secret
from tidyusage.errors import ApiError, OptionError


@pytest.fixture
def service(monkeypatch, tmp_path):
    monkeypatch.setattr(client, "WAIT", 0.01)
    monkeypatch.delenv("TRUTO_API_TOKEN", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving() as (server, url):
        server.records = {("a1", None): api_server.records(250)}
        server.url = url
        yield server


def fetch(service, **options):
    return tu.fetch_usage(integrated_account_id="a1", base_url=service.url, **options)


def told(error, *, is_rendered=False):
    """Return all that an error's traceback can show, with the variables of every frame.

    What Rich would show is what it has extracted; to print it takes seconds.
    """
    # Frames of this test hold the token as their caller's do; those of the library must not.
    while error.__traceback__ and "/tests/" in error.__traceback__.tb_frame.f_code.co_filename:
        error.__traceback__ = error.__traceback__.tb_next
    plain = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=10_000
    )
    text = io.StringIO()
    if is_rendered:
        Console(file=text, width=4_000).print(shown)
    chain = [error]
    while chain[-1] is not None:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    held = [
        repr(frame.f_locals)
        for one in chain[:-1]
        for frame, _ in traceback.walk_tb(one.__traceback__)
    ]
    return "\n".join([plain, repr(shown.trace), text.getvalue(), repr(error), str(error), *held])


def test_it_is_taken_from_the_argument_the_environment_or_netrc(service, monkeypatch, tmp_path):
    with pytest.raises(OptionError, match=r"no token for 127\.0\.0\.1\.\n\nGive token="):
        fetch(service)
    # The default entry is for whatever host: it is not sent.
    (tmp_path / "netrc").write_text(f"default login token password {TOKEN}\n")
    with pytest.raises(OptionError, match="no token"):
        fetch(service)
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login token password {TOKEN}\n")
    assert len(fetch(service)) == 250
    monkeypatch.setenv("TRUTO_API_TOKEN", "of-the-environment")
    with pytest.raises(ApiError, match="401"):
        fetch(service)
    assert service.headers[-1]["authorization"] == "Bearer of-the-environment"
    assert len(fetch(service, token=f" {TOKEN}\n")) == 250
    assert list(tu.iter_usage(integrated_account_id="a1", base_url=service.url, token=TOKEN))


def test_a_netrc_file_that_cannot_be_read_is_not_quoted(service, tmp_path):
    (tmp_path / "netrc").write_text(f"mashine 127.0.0.1 password {TOKEN}\n")
    with pytest.raises(OptionError, match="cannot be read") as e:
        fetch(service)
    assert TOKEN not in told(e.value)


def test_it_has_no_repr_and_is_not_pickled():
    secret = Secret(TOKEN)
    assert TOKEN not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(secret)
    assert secret.reveal() == TOKEN
    assert TOKEN not in secret.digest()


# What comes back in a header is in lower case: at DEBUG the HTTP library logs what it receives.
FAULTS = {
    "refused": lambda _: refusal(403, "Forbidden", f"the token {TOKEN} may not"),
    "echoed": lambda _: (400, f"Bearer {TOKEN} was sent".encode()),
    "in the insight": lambda _: refusal(
        422, "Bad", "no", truto_error_insight={"remote_error": {"sent": {"token": TOKEN}}}
    ),
    "in what is cut": lambda _: refusal(400, "Bad", f"{'x' * 490}{TOKEN}"),
    "in an insight that is cut": lambda _: refusal(
        400, "Bad", "no", truto_error_insight={"remote_error": {"a": f"{'x' * 485}{TOKEN}"}}
    ),
    "in no JSON": lambda _: (200, f"<html>{TOKEN}".encode()),
    "in a key": lambda _: (200, {TOKEN: 1}),
    "in the request's id": lambda _: (500, {"message": "x"}, {"x-request-id": TOKEN.lower()}),
    "in a host": lambda _: (
        302,
        {},
        {"location": f"https://{TOKEN.replace('_', '')}.example.com/"},
    ),
    "in a place that is none": lambda _: (
        302,
        {},
        {"location": f"http://127.0.0.1:99999/{TOKEN.lower()}"},
    ),
    "in a script": lambda _: (302, {}, {"location": f"javascript:{TOKEN.lower()}"}),
    "exhausted": lambda _: refusal(503, "Unavailable", "closed"),
    "cut": lambda _: "cut",
    "no page": lambda _: (200, {"result": None}),
    "elsewhere": lambda _: (302, {}, {"location": "http://localhost:1/x"}),
    "around": lambda query: (302, {}, {"location": f"{query['path']}?integrated_account_id=a1"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("into", [None, "landing"])
def test_no_error_log_or_file_shows_it(  # noqa: PLR0917 - fixtures
    service, fault, into, caplog, capfd, tmp_path
):
    caplog.set_level(logging.DEBUG)
    service.faults = [lambda query: FAULTS[fault](query) if query["number"] > 1 else None]
    folder = tmp_path / "landing"
    with pytest.raises(ApiError) as e:
        fetch(service, token=TOKEN, into=folder if into else None)
    assert caplog.text
    shown = told(e.value, is_rendered=fault == "refused").lower()
    assert not [TOKEN[:n] for n in range(8, len(TOKEN) + 1) if TOKEN[:n].lower() in shown]
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())
    for path in folder.rglob("*") if into else ():
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
    assert not into or (folder / "_manifest.ndjson").exists()


@pytest.mark.parametrize("token", ["", "  ", f"{TOKEN}\x00", f"{TOKEN} é", 12345678901234])
def test_a_token_that_is_none_is_refused_without_being_shown(service, token):
    with pytest.raises(OptionError, match=r"token= ") as e:
        fetch(service, token=token)
    assert TOKEN not in told(e.value)
    assert "12345678901234" not in told(e.value)
    assert not service.requests


def test_a_record_that_holds_it_comes_without_it(service):
    service.records["a1", None] = [{"id": "1", "user": {"name": f"key {TOKEN}"}}]
    assert fetch(service, token=TOKEN)["user.name"].tolist() == ["key ***"]


def test_a_misspelled_option_does_not_show_it(service):
    with pytest.raises(tu.errors.UnknownOptionError) as e:
        fetch(service, token=TOKEN, raport_type="cost")
    assert TOKEN not in told(e.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_goes_to_no_other_host_also_not_on_a_redirect(service, status):
    with serving() as (other, url):
        other.records = service.records
        place = url.replace("127.0.0.1", "localhost")
        for elsewhere in (url, place, f"//{place[7:]}", "https://example.invalid/x"):
            service.faults = [lambda _, to=elsewhere: (status, {}, {"location": to})]
            with pytest.raises(ApiError, match="which is not asked: the token is for the service"):
                fetch(service, token=TOKEN)
        assert not other.requests


def test_a_redirect_within_the_service_is_followed(service):
    service.records["a1", None] = api_server.records(3)
    service.faults = [
        lambda query: (
            (307, {}, {"location": f"{api_server.PATH}?integrated_account_id=a1&moved=1"})
            if "moved" not in query
            else None
        )
    ]
    assert len(fetch(service, token=TOKEN)) == 3
    assert [("moved" in query) for query in service.requests] == [False, True]
    assert all("authorization" in headers for headers in service.headers)


def test_a_redirect_in_a_circle_ends(service):
    service.faults = [FAULTS["around"]]
    with pytest.raises(ApiError, match="302"):
        fetch(service, token=TOKEN)
    assert len(service.requests) == 6


def test_proxies_of_the_environment_do_not_see_it_in_the_clear(service, monkeypatch):
    with serving() as (proxy, url):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        assert len(fetch(service, token=TOKEN)) == 250
        assert not proxy.requests
