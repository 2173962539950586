"""The dashboard in a real browser: every page, both widths, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_fixtures import chromium, dashboard
from playwright.sync_api import Browser, Page, expect
from record_fixtures import make_history, make_predictions, make_recipe, make_record

from fer_bench.results.store import ResultsStore

BEST = "fer2013/resnet18-full-finetune-5-s0"
TITLES = ("Leaderboard", "Run", "Errors", "Dataset")
PHONE_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
)
DEVICES = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "user_agent": PHONE_AGENT},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dashboard") / "results"
    store = ResultsStore(root)
    frozen = make_recipe(name="frozen-20", epochs=20)
    for record in (
        make_record(),
        make_record(model="vgg16", mode="frozen", recipe=frozen, accuracy=0.4),
        make_record(model="keras_cnn", limit=20, not_comparable_because=["limit"]),
    ):
        store.save(record, history=make_history(), predictions=make_predictions())
    store.save(make_record(model="vit_b_16", status="failed", error="<b>out of memory</b>"))
    broken = root / "fer2013" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"name": ')
    return root


@pytest.fixture(scope="module")
def address(results) -> Iterator[str]:
    with dashboard(results) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def settled(page: Page) -> None:
    """Waits until Streamlit has run its script and the figures are drawn."""
    expect(page.get_by_test_id("stAppViewContainer")).to_be_visible(timeout=30_000)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=30_000)


def open_page(page: Page, address: str, title: str) -> None:
    page.goto(address)
    settled(page)
    if title != "Leaderboard":
        if page.viewport_size["width"] < 700:  # the navigation is folded away
            page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_be_visible(
        timeout=30_000
    )
    settled(page)


@pytest.mark.parametrize("device", DEVICES)
def test_every_page_fits_and_asks_for_nothing_from_elsewhere(browser, address, device):
    page = browser.new_page(**DEVICES[device])
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for title in TITLES:
        open_page(page, address, title)
        if device == "phone":
            expect(page.get_by_test_id("stSidebarCollapseButton")).to_have_count(0)
        assert page.get_by_test_id("stException").count() == 0, title
        overflow = "document.scrollingElement.scrollWidth - window.innerWidth"
        assert page.evaluate(overflow) <= 0, title
    local = (address, address.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(local)] == []
    assert complaints == []
    page.close()


def test_a_runs_address_opens_it_within_the_app_on_a_fresh_server(browser, results):
    with dashboard(results) as address:
        page = browser.new_page()
        page.goto(f"{address}/run?run={BEST}")
        expect(page.get_by_role("heading", name="Run", level=1)).to_be_visible(timeout=30_000)
        settled(page)
        expect(page.get_by_test_id("stSidebarNavLink")).to_have_count(len(TITLES))
        expect(page.get_by_test_id("stMain")).to_contain_text("resnet18 · full")
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.close()


def test_runs_that_are_not_comparable_show_on_demand_only(browser, address):
    page = browser.new_page()
    open_page(page, address, "Leaderboard")
    expect(page.get_by_text("Not ranked")).to_have_count(0)
    page.get_by_text("Show runs that are not comparable").click()
    expect(page.get_by_text("Not ranked")).to_be_visible(timeout=20_000)
    page.close()


def test_runs_without_a_result_are_listed_beside_the_ranking(browser, address):
    page = browser.new_page()
    open_page(page, address, "Leaderboard")
    expect(page.get_by_text("Runs without a result (2)")).to_be_visible()
    page.close()


def test_a_failed_run_shows_its_error_as_text(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/run?run=fer2013/vit_b_16-full-finetune-5-s0")
    expect(page.get_by_text("<b>out of memory</b>").first).to_be_visible(timeout=30_000)
    page.close()


def test_the_leaderboard_downloads_as_csv(browser, address):
    page = browser.new_page()
    open_page(page, address, "Leaderboard")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert "resnet18-full-finetune-5-s0" in text
    assert "keras_cnn" not in text  # not comparable: never in the ranking
    page.close()
