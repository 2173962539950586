"""The pages in a real browser: they fit, they stay on this machine, links and downloads work."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pytest
from browser_fixtures import (
    BEST,
    FAILED,
    FORMULA,
    FROZEN,
    LIMITED,
    NARROW,
    REASON,
    WIDE,
    Visit,
    address,
    browser,
    environment,
    visit,
    visiting,
)
from playwright.sync_api import BrowserContext, Page, Position, expect

from benchmarks.harness.dashboard import serving, settle

__all__ = ["address", "browser", "environment", "visit"]  # fixtures

#: A point in the first row's first cell, on its text; pixels from the table's corner.
CELL: Position = {"x": 60, "y": 53}
#: Those after Home, in the navigation's order.
PAGES = (
    "Live",
    "Try an image",
    "Videos",
    "Leaderboard",
    "Run",
    "Compare",
    "Latency",
    "Robustness",
    "Errors",
    "Calibration",
    "Explain",
    "Dataset",
    "Labels",
)
TITLES = {
    BEST: "ResNet18, fine-tuned, 5 epochs",
    FROZEN: "VGG16, frozen",
    LIMITED: "keras-cnn, fine-tuned, 5 epochs, 20 images",
}

#: Adds `faintTexts()` to a page.
CONTRAST = Path(__file__).parents[1] / "fixtures/visits/contrast.js"
#: Windows in which nothing is below the edge.
TALL = 6000
#: Opens what is folded.
UNFOLD = """() => document.querySelectorAll('[data-testid="stMain"] details:not([open]) > summary')
    .forEach((summary) => summary.click())"""


def titles(visit: Visit, table: int = 0) -> list[str]:
    return [row[0] for row in visit.table(table)]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_page_fits_and_says_nothing_wrong(
    browser: BrowserContext, address: str, width: int
) -> None:
    with visiting(browser, address, width) as visit:
        visit.open()
        for title in PAGES:
            visit.navigate(title)
            assert visit.page.get_by_test_id("stException").all_inner_texts() == [], title
            assert visit.overflow() <= 0, title


def test_an_address_shows_its_run_to_a_servers_first_visitor(
    browser: BrowserContext, environment: dict[str, str]
) -> None:
    with serving(environment) as fresh, visiting(browser, fresh) as visit:
        visit.open(f"/run?run=fer2013/{FROZEN}")
        expect(visit.page.get_by_role("heading", level=1, name="Run")).to_be_visible()
        expect(visit.page.get_by_role("combobox")).to_have_value(TITLES[FROZEN])
        links = visit.page.get_by_test_id("stSidebarNavLink")
        expect(links).to_have_text([re.compile(f"{title}$") for title in ("Home", *PAGES)])
        expect(visit.page.get_by_role("dialog")).to_have_count(0)
        expect(visit.page.get_by_text("Page not found")).to_have_count(0)


def test_a_data_set_from_the_environment_is_drawn(
    browser: BrowserContext, environment: dict[str, str]
) -> None:
    synthetic = {**environment, "FER_BENCH_DATA": "synthetic"}
    with serving(synthetic) as address, visiting(browser, address) as visit:
        visit.open("/dataset")
        visit.page.get_by_role("radio", name="My data").click()
        visit.page.get_by_role("heading", name="Samples").wait_for()
        settle(visit.page)
        faces = visit.page.get_by_test_id("stImage").locator("img")
        expect(faces).to_have_count(7 * 8)
        assert faces.first.evaluate("(face) => face.decode().then(() => face.naturalWidth)") > 0


def test_a_row_leads_to_its_run_and_back(visit: Visit) -> None:
    visit.open("/leaderboard")
    visit.page.get_by_role("button", name="Fullscreen").first.focus()
    for _ in range(2):  # the table has the focus, then what follows it, and no run was opened
        visit.page.keyboard.press("Tab")
    on = visit.page.evaluate("document.activeElement.tagName")
    assert on not in ("CANVAS", "BODY") and visit.page.url.endswith("/leaderboard")
    assert titles(visit)[0] == TITLES[BEST]
    visit.page.get_by_test_id("stDataFrame").first.click(position=CELL)
    expect(visit.page.get_by_role("heading", level=1, name="Run")).to_be_visible()
    expect(visit.page).to_have_url(f"{visit.address}/run?run=fer2013%2F{BEST}")
    visit.page.go_back()
    expect(visit.page.get_by_role("heading", level=1, name="Leaderboard")).to_be_visible()


def test_back_leaves_a_page_that_was_opened_from_the_side_bar(visit: Visit) -> None:
    visit.open("/leaderboard")
    for page in ("Run", "Errors", "Latency", "Labels", "Live"):
        visit.page.get_by_test_id("stSidebarNavLink").filter(has_text=page).click()
        expect(visit.page.get_by_role("heading", level=1, name=page)).to_be_visible()
        settle(visit.page)
        visit.page.go_back()
        expect(visit.page.get_by_role("heading", level=1, name="Leaderboard")).to_be_visible()


def test_the_leaderboard_leads_to_a_comparison_of_its_best_two(visit: Visit) -> None:
    visit.open("/leaderboard")
    visit.page.get_by_role("link", name="Is the most accurate really better than the next?").click()
    expect(visit.page.get_by_role("heading", level=1, name="Compare")).to_be_visible()
    settle(visit.page)
    second = BEST.replace("-s0", "-s1")
    assert unquote(visit.page.url).endswith(f"/compare?runs=fer2013/{BEST},fer2013/{second}")


def test_a_run_leads_to_its_latency_and_its_address_keeps_the_tab(visit: Visit) -> None:
    visit.open(f"/run?run=fer2013/{BEST}")
    visit.page.get_by_role("link", name="See every back end").click()
    expect(visit.page.get_by_role("heading", level=1, name="Latency")).to_be_visible()
    settle(visit.page)
    expect(visit.page.get_by_test_id("stMultiSelect")).to_contain_text(TITLES[BEST])
    expect(visit.page.locator(".js-plotly-plot .bars path").first).to_be_attached()
    visit.page.get_by_role("tab", name="Which model for my budget?").click()
    expect(visit.page.get_by_test_id("stAlert")).to_contain_text("is the only run that fits")
    visit.page.reload()
    settle(visit.page)
    expect(visit.page.get_by_test_id("stAlert")).to_contain_text("is the only run that fits")


def test_a_filter_narrows_the_table(visit: Visit) -> None:
    visit.open("/leaderboard")
    assert len(titles(visit)) == 3
    visit.unfold("Filters")
    visit.page.get_by_role("combobox", name="Model").fill("vgg")
    visit.page.get_by_role("option", name="vgg16").click()
    expect(visit.page.get_by_test_id("stDataFrame").first.locator("tbody tr")).to_have_count(1)
    assert titles(visit) == [TITLES[FROZEN]]


def test_runs_that_are_not_comparable_show_on_demand(visit: Visit) -> None:
    visit.open("/leaderboard")
    assert TITLES[LIMITED] not in titles(visit)
    visit.page.get_by_text("Show runs that are not comparable").click()
    visit.page.get_by_role("heading", name="Not ranked").wait_for()
    assert titles(visit, 1) == [TITLES[LIMITED]]


def test_the_downloaded_table_is_complete_and_safe(visit: Visit) -> None:
    visit.open("/leaderboard")
    visit.page.get_by_text("Show runs that are not comparable").click()
    button = visit.page.get_by_role("button", name="Download CSV")
    expect(button).to_have_count(2)
    with visit.page.expect_download() as download:
        button.last.click()
    assert download.value.suggested_filename == "not-ranked.csv"
    with download.value.path().open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [LIMITED]
    assert rows[0]["hardware"] == f"'{FORMULA} (AVX2)"


@pytest.mark.parametrize(
    ("run", "sentence"), [(FAILED, REASON), ("broken", "record.json is not valid JSON")]
)
def test_a_run_without_a_result_shows_its_sentence(visit: Visit, run: str, sentence: str) -> None:
    visit.open(f"/run?run=fer2013/{run}")
    expect(visit.page.get_by_test_id("stAlert").get_by_text(sentence)).to_be_visible()


def views(visit: Visit) -> Iterator[str]:
    """Opens every page that the side bar lists, and each tab of it; yields what it is called."""
    visit.open()
    yield "Home"
    for link in visit.page.get_by_test_id("stSidebarNavLink").all()[1:]:
        title = link.inner_text().split("\n")[-1]
        visit.navigate(title)
        yield title
        for tab in visit.page.get_by_test_id("stMain").get_by_role("tab").all()[1:]:
            tab.click()
            settle(visit.page)
            yield f"{title}, {tab.inner_text()}"


def faint_texts(page: Page) -> list[str]:
    """Words of the page with less contrast than WCAG 2.1 AA asks, once it stands still."""
    for _ in range(20):
        settle(page)
        measured = page.evaluate("faintTexts()")
        assert measured["count"] > 20  # the side bar's alone
        if not measured["faint"]:
            break
        page.wait_for_timeout(250)  # it may be between two themes
    return list(measured["faint"])


def test_all_words_have_the_contrast_of_wcag_aa(browser: BrowserContext, address: str) -> None:
    """Those of charts, on heat maps, and of tables, which are drawn on a canvas, too."""
    assert browser.browser
    themes: list[Literal["light", "dark"]] = ["light", "dark"]
    faint = {}
    with (
        browser.browser.new_context(device_scale_factor=0.25) as coarse,  # few pixels to paint
        visiting(coarse, address) as visit,
    ):
        visit.page.add_init_script(path=CONTRAST)
        visit.page.set_viewport_size({"width": WIDE, "height": TALL})
        for view in views(visit):
            visit.page.evaluate(UNFOLD)
            faint[f"{view}, {themes[0]}"] = faint_texts(visit.page)
            themes.reverse()
            visit.page.evaluate("forgetDrawnTexts()")
            visit.page.emulate_media(color_scheme=themes[0])
            faint[f"{view}, {themes[0]}"] = faint_texts(visit.page)
    assert {view: texts for view, texts in faint.items() if texts} == {}
