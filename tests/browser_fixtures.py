"""Real visits: the dashboard served from made-up records, looked at with headless Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from latency_fixtures import make_report, save_reports
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError
from playwright.sync_api import TimeoutError as TookTooLong
from record_fixtures import make_history, make_predictions, make_recipe, make_record

from benchmarks.dashboard import chromium, find_chromium, serving, settle
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore

BEST = "resnet18-full-finetune-5-s0"
FROZEN = "vgg16-frozen-frozen-20-s0"
LIMITED = "keras-cnn-full-finetune-5-limit20-s0"
FAILED = "vit-b-16-full-finetune-5-s0"
REASON = "out of memory: 12 GiB wanted, 8 GiB there; use a smaller batch"
#: A name that a spreadsheet would run.
FORMULA = '=HYPERLINK("x")'
WIDE, NARROW = 1440, 390
#: Opened by the address of a page, Streamlit's client first looks for its server below that page.
LOOKED_FOR = ("/_stcore/health", "/_stcore/host-config")


def save_runs(root: Path) -> None:
    """Three finished runs, one measured; one on a part of the data, one failed, one unreadable."""
    store = ResultsStore(root)
    frozen = make_recipe(name="frozen-20", epochs=20)
    done = [
        make_record(),
        make_record(seed=1, accuracy=0.6),
        make_record(model="vgg16", mode="frozen", recipe=frozen, accuracy=0.4),
        _with_cpu(make_record(model="keras-cnn", limit=20, not_comparable_because=["limit"])),
    ]
    for record in done:
        seed = record.spec.seed
        predictions = make_predictions(accuracy=0.6 if seed else 0.65, seed=seed)
        store.save(record, history=make_history(), predictions=predictions)
    save_reports(root / "fer2013" / BEST, [make_report()])
    store.save(make_record(model="vit-b-16", status="failed", error=REASON))
    broken = root / "fer2013" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"name": ')


def _with_cpu(record: RunRecord) -> RunRecord:
    environment = record.environment.model_copy(update={"cpu": FORMULA})
    return record.model_copy(update={"environment": environment})


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A server's variables: made-up records, settings of its own, no data set."""
    folder = tmp_path_factory.mktemp("dashboard")
    save_runs(folder / "results")
    return {
        "FER_BENCH_RESULTS": str(folder / "results"),
        "FER_BENCH_CONFIG": str(folder / "settings.json"),
        "FER_BENCH_DATA": "",
    }


def require_chromium() -> None:
    """Skips the test where there is no Chromium; under CI that is a failure."""
    if find_chromium() is None:
        sentence = "Chromium is missing: install the package `chromium` to test the pages in it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One Chromium, whose cache spares most of a page's loading.

    It ends with the module, because Playwright holds the thread's event loop until then.
    """
    require_chromium()
    with chromium() as started, started.new_context() as context:
        yield context


@pytest.fixture(scope="module")
def address(browser: BrowserContext, environment: dict[str, str]) -> Iterator[str]:
    """The dashboard's address."""
    with serving(environment) as served:
        yield served


#: The preview of the page's camera shows a picture; its first frames are black.
PREVIEW_IS_LIT = """() => {
    const video = document.querySelector('[data-testid="stCameraInput"] video');
    if (!video?.videoWidth) return false;
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 8;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 8, 8);
    return Math.max(...context.getImageData(0, 0, 8, 8).data.filter((_, i) => i % 4 < 3)) > 60;
}"""


def take_photo(page: Page) -> None:
    """A picture by the page's own camera box.

    It passes over a click that comes while its video is not quite ready, one in about eight here;
    as a person would, this clicks again.
    """
    page.wait_for_function(PREVIEW_IS_LIT, timeout=60_000)
    taken = page.get_by_role("button", name="Clear photo")
    for _ in range(5):
        page.get_by_role("button", name="Take Photo").click()
        try:
            taken.wait_for(timeout=10_000)
            return
        except TookTooLong:
            continue
    raise AssertionError("the camera box took no picture in five clicks")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A browser tab on the dashboard."""

    page: Page
    address: str

    def open(self, path: str = "/") -> None:
        self.page.goto(f"{self.address}{path}")
        settle(self.page)

    def navigate(self, title: str) -> None:
        """Chooses a page in the side bar, which a narrow screen hides behind a button."""
        link = self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=title)
        show = self.page.get_by_test_id("stExpandSidebarButton")
        if show.is_visible():
            show.click()
        link.click()
        self.page.get_by_role("heading", level=1, name=title).wait_for()
        settle(self.page)

    def unfold(self, title: str) -> None:
        """Opens an expander and waits until it stands still: a list over moving ground closes."""
        self.page.get_by_text(title, exact=True).click()
        self.page.wait_for_function(
            "() => document.getAnimations().every((moving) => moving.playState === 'finished')"
        )

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.page.evaluate(
            """() => Math.max(
                ...[document.scrollingElement, document.querySelector('[data-testid="stMain"]')]
                    .map((element) => element.scrollWidth - innerWidth)
            )"""
        )
        return wider

    def table(self, number: int = 0) -> list[list[str]]:
        """The visible cells of a table, which is drawn on a canvas with its text beneath."""
        table = self.page.get_by_test_id("stDataFrame").nth(number)
        table.locator("canvas td").first.wait_for(state="attached")
        rows: list[list[str]] = table.evaluate(
            """(table) => [...table.querySelectorAll('canvas tbody tr')]
                .map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent))"""
        )
        return rows


@contextmanager
def visiting(browser: BrowserContext, address: str, width: int = WIDE) -> Iterator[Visit]:
    """A visit during which nothing may go wrong, and nothing leave this machine, unnoticed."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        url = message.location["url"]
        if message.type == "error" and not url.endswith(LOOKED_FOR):
            complaints.append(f"console: {message.text} ({url})")

    def see(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            complaints.append(f"request to {request.url}")

    def catch(fault: WebError) -> None:
        complaints.append(f"exception: {fault.error}")

    listeners = {"console": hear, "request": see, "weberror": catch}
    for event, listener in listeners.items():
        browser.on(event, listener)
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    try:
        yield Visit(page=page, address=address)
    finally:
        for opened in browser.pages:
            opened.close()
        for event, listener in listeners.items():
            browser.remove_listener(event, listener)
    if complaints:
        pytest.fail("\n".join(complaints))


@pytest.fixture
def visit(browser: BrowserContext, address: str) -> Iterator[Visit]:
    """A visit with a wide window."""
    with visiting(browser, address) as opened:
        yield opened
