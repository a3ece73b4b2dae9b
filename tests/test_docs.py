"""The pages as Sphinx builds them: links, search, phones. No test asks the network."""

import functools
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,  # Sphinx builds the pages, and a browser opens them
    pytest.mark.xdist_group("pages"),  # which are built once
]

# What pages may link to. Whether these answer is not asked: a test needs no network.
SITES = {
    "altair-viz.github.io",
    "filesystem-spec.readthedocs.io",
    "focus.finops.org",
    "github.com",
    "keepachangelog.com",
    "pandera.readthedocs.io",
    "posit-dev.github.io",
    "pydata-sphinx-theme.readthedocs.io",
    "semver.org",
    "sqlglot.com",
    "www.sphinx-doc.org",
}
SECTIONS = ["tutorial", "howto", "bi_tools", "explanation", "reference", "engines", "migration"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the pages, and what Sphinx said while it built them."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sphinx", "--keep-going", "--quiet"]
    command += ["--fail-on-warning", "-d", f"{folder}/doctrees"]
    command += [str(ROOT / "docs"), f"{folder}/html"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return folder / "html", done


@pytest.fixture(scope="module")
def pages(built):
    """What each page links to, loads, and can be linked at, by its path."""
    return {path: Page.of(path) for path in htmls(built[0])}


def htmls(folder):
    """Return the pages; the theme has a template of its own beside its styles."""
    return sorted(set(folder.rglob("*.html")) - set(folder.glob("_static/**/*.html")))


class Page(HTMLParser):
    """The links of one page."""

    def __init__(self):
        super().__init__()
        self.anchors, self.links, self.loads, self.pictures = {"", "top"}, [], [], []

    @classmethod
    def of(cls, path):
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in {
            "canonical",
            "index",
            "search",
            "next",
            "prev",
        }:
            self.loads.append(found["href"])
        elif found.get("src"):
            self.loads.append(found["src"])
        if tag == "img":
            self.pictures.append(found.get("alt", ""))


def test_the_build_says_nothing(built):
    _, done = built
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_section_and_notebook_has_its_page(built):
    folder, _ = built
    notebooks = [f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    for page in [*SECTIONS, *notebooks]:
        assert (folder / f"{page}.html").exists(), page


def test_links_lead_to_pages_and_anchors_that_are_there(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else {""}
            if not target.exists() or unquote(parts.fragment) not in anchors:
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_pages_load_nothing_that_is_not_beside_them(pages, built):
    strange = [
        f"{path.name}: {address}"
        for path, page in pages.items()
        for address in page.loads
        if not address.startswith("data:")
        and not (path.parent / unquote(urlsplit(address).path)).exists()
    ]
    assert not strange
    for sheet in built[0].rglob("*.css"):
        assert not re.findall(
            r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text("utf-8")
        ), sheet


def test_pictures_say_what_they_are(pages):
    pictures = [words for page in pages.values() for words in page.pictures]
    assert pictures
    assert all(words and "/" not in words for words in pictures)


def test_other_sites_are_few_and_asked_for_over_https(pages):
    outside = {link for page in pages.values() for link in page.links if urlsplit(link).scheme}
    assert {urlsplit(link).scheme for link in outside} == {"https"}
    assert {urlsplit(link).netloc for link in outside} <= SITES


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_of_the_first_files_lead_somewhere(name):
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            continue
        target = ROOT / parts.path if parts.path else ROOT / name
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors(target), link


def anchors(path):
    """Return the anchors of a Markdown file's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(built):
    """The address at which the pages are served: search loads its index, which files may not."""
    handler = functools.partial(Silent, directory=str(built[0]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tab(browser, site):
    """A page of a browser; what it complains of, and whom else it asks, fails the test."""
    found = browser.new_page()
    complaints = []
    found.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on(
        "request",
        lambda asked: asked.url.startswith((site, "data:")) or complaints.append(asked.url),
    )
    found.on("response", lambda got: got.ok or got.status == 304 or complaints.append(got.url))
    yield found
    found.close()
    assert not complaints


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("acceptance_rate", "reference.html"),
        ("cache hit rate", "metrics.html"),
        ("json_normalize", "migration.html"),
        ("nine odd records", "explanation.html"),
    ],
)
def test_search_finds_the_page(tab, site, words, page):
    tab.goto(f"{site}/search.html?q={words}")
    tab.wait_for_selector("#search-results ul.search li a")
    tab.wait_for_function("document.querySelector('.search-summary')?.innerText.match(/\\d/)")
    found = tab.eval_on_selector_all(
        "#search-results ul.search li > a", "links => links.map(link => link.href)"
    )
    assert page in {urlsplit(link).path.rpartition("/")[2] for link in found[:3]}, found[:5]


@pytest.mark.parametrize(
    "page", ["index", *SECTIONS, "metrics", "fields", "notebooks/01_first_look"]
)
def test_a_phone_scrolls_in_one_direction(tab, site, page):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(f"{site}/{page}.html")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
