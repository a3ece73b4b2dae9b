"""A headless Chromium, and how the tests read a page as its reader does."""

import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DRAWN = (
    "() => [...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg'))"
)


@contextmanager
def chromium():
    """Yield a browser; skip where there is none, which CI does not forgive."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page in a browser, and all that it said, asked for or threw."""

    def __init__(self, browser, path, **context):
        self.path = str(path)
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **context}
        )
        self.page = self.context.new_page()
        self.said, self.requests = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"file://{path}")
        self.drawn()

    def drawn(self):
        self.page.wait_for_function(DRAWN)

    def cards(self):
        """Return the headlines by key: the label, the figure, and what is said of it."""
        found = self.page.eval_on_selector_all(
            ".card",
            "cards => cards.map((card) => [card.dataset.card, [...card.children].map((e) => e.textContent)])",
        )
        return dict(found)

    def figures(self):
        return {key: words[1] for key, words in self.cards().items()}

    def table(self, name):
        """Return the rows of a table, its foot too, as text."""
        return self.page.eval_on_selector(
            f'[role="region"][aria-label="{name}"]',
            "region => [...region.querySelectorAll('tbody tr, tfoot tr')].map((row) => [...row.cells].map((cell) => cell.textContent))",
        )

    def tables(self):
        return {
            name: self.table(name)
            for name in self.page.eval_on_selector_all(
                '[role="region"]', "regions => regions.map((region) => region.ariaLabel)"
            )
        }

    def marks(self, section, kind, chart=0):
        """Return how many marks of a kind a chart of a section has."""
        return (
            self.page.locator(f'[data-section="{section}"] .chart')
            .nth(chart)
            .locator(f".mark-{kind} path")
            .count()
        )

    def labels(self, section, chart=0, axis="x"):
        """Return the texts of a chart's axis, those that can be seen."""
        return self.page.eval_on_selector_all(
            f'[data-section="{section}"] .chart',
            "(charts, place) => [...charts[place].querySelectorAll('.role-axis-label text')]"
            ".filter((text) => text.getAttribute('opacity') !== '0').map((text) => text.textContent)",
            chart,
        )

    def choose(self, products=None, first=None, last=None):
        """Choose products by name, and periods by name; what is not given stays."""
        if products is not None:
            for label in self.page.locator("#products label").all():
                label.locator("input").set_checked(label.inner_text().strip() in products)
        for select, value in (("#from", first), ("#to", last)):
            if value is not None:
                self.page.select_option(select, label=value)
        self.drawn()

    def reset(self):
        self.page.click("#reset")
        self.drawn()

    def status(self):
        return self.page.inner_text('[role="status"]')

    def faults(self):
        """Return what axe-core finds that is serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        return [
            (found["id"], found["nodes"][0]["html"][:200])
            for found in Axe().run(self.page).response["violations"]
            if found["impact"] in {"serious", "critical"}
        ]

    def close(self):
        self.context.close()
