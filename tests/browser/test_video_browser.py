"""The page Videos in a real browser: an upload, the scrubber, files to keep, a narrow screen."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_fixtures import NARROW, WIDE, browser, visiting
from model_fixtures import save_models
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks.harness.dashboard import ROOT, serving, settle
from fer_bench.inference.live.recording import Recording
from fer_bench.inference.video.reader import VideoReader

__all__ = ["browser"]  # a fixture

FRAMES = 10


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a face."""
    photo = Image.open(ROOT / "assets/samples/astronaut.jpg").convert("RGB")
    made = Recording(tmp_path_factory.mktemp("clip") / "clip.mp4")
    for number in range(FRAMES):
        made.add(np.asarray(photo.crop((100, 0, 400, 300))), number / 10)
    made.finish()
    return made.path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("video")
    save_models(folder / "results")
    environment = {
        "FER_BENCH_RESULTS": str(folder / "results"),
        "FER_BENCH_CONFIG": str(folder / "settings.json"),
        "FER_BENCH_DATA": "",
    }
    with serving(environment) as served:
        yield served


def analyse(page: Page, clip: Path) -> None:
    page.get_by_role("radio", name="Upload").click()
    page.locator("input[type=file]").set_input_files(clip)
    button = page.get_by_role("button", name="Analyse")
    expect(button).to_be_enabled()
    button.click()
    page.get_by_role("heading", name="Shares of time").wait_for()
    settle(page)


def test_an_upload_becomes_a_time_line_that_can_be_scrubbed(
    browser: BrowserContext, address: str, clip: Path, tmp_path: Path
) -> None:
    with visiting(browser, address, WIDE) as visit:
        page = visit.page
        visit.open("/video")
        analyse(page, clip)
        picture = page.get_by_test_id("stImage").locator("img")
        first = picture.get_attribute("src")
        expect(picture).to_have_attribute("alt", "The frame at 0.00 s, its faces boxed")
        page.get_by_role("slider", name="Time (s)").press("End")
        expect(picture).to_have_attribute("alt", "The frame at 0.90 s, its faces boxed")
        assert picture.get_attribute("src") != first
        saved = {}
        for label in ("Download CSV", "Download annotated video"):
            with page.expect_download() as download:
                page.get_by_role("button", name=label).click()
            saved[download.value.suggested_filename] = download.value.path()
        assert sorted(saved) == ["clip-faces.csv", "clip-faces.mp4"]
        rows = list(csv.DictReader(saved["clip-faces.csv"].open()))
        assert {row["frame"] for row in rows} == {str(number) for number in range(FRAMES)}
        copy = tmp_path / "copy.mp4"
        copy.write_bytes(saved["clip-faces.mp4"].read_bytes())
        with VideoReader(copy) as reader:
            assert len(list(reader.frames())) == FRAMES
        page.get_by_role("button", name="Forget").click()
        page.get_by_text("the people of the video appear here").wait_for()


def test_a_telephone_shows_all_of_it(browser: BrowserContext, address: str, clip: Path) -> None:
    with visiting(browser, address, NARROW) as visit:
        visit.open("/video")
        analyse(visit.page, clip)
        assert visit.overflow() == 0
