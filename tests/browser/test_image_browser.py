"""The page "Try an image" in a real browser: uploads, a snapshot, downloads, a narrow screen."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser_fixtures import NARROW, WIDE, Visit, require_chromium, take_photo, visiting
from model_fixtures import DEFAULT_RUN, SECOND_RUN, save_models
from numpy.typing import NDArray
from PIL import Image, ImageColor
from playwright.sync_api import BrowserContext, FilePayload, expect

from benchmarks.harness.camera import camera_arguments, write_clip
from benchmarks.harness.dashboard import ROOT, chromium, serving, settle
from fer_bench.emotions import COLOURS

SAMPLE = ROOT / "assets" / "samples" / "astronaut.jpg"
PHOTO: FilePayload = {
    "name": "=photo.jpg", "mimeType": "image/jpeg", "buffer": SAMPLE.read_bytes()
}  # fmt: skip
LETTER: FilePayload = {"name": "letter.jpg", "mimeType": "image/jpeg", "buffer": b"Dear reader"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("image")
    save_models(folder / "results")
    environment = {
        "FER_BENCH_RESULTS": str(folder / "results"),
        "FER_BENCH_CONFIG": str(folder / "settings.json"),
        "FER_BENCH_DATA": "",
        "FER_BENCH_HISTORY": "",
    }
    with serving(environment) as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Chromium with a clip of the sample's face as its camera, which pages may use."""
    require_chromium()
    clip = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    write_clip(clip)
    with (
        chromium(camera_arguments(clip)) as started,
        started.new_context(permissions=["camera"]) as context,
    ):
        yield context


@contextmanager
def on_the_page(browser: BrowserContext, address: str, width: int = WIDE) -> Iterator[Visit]:
    with visiting(browser, address, width) as visit:
        visit.open("/image")
        yield visit


def upload(visit: Visit, *files: FilePayload) -> None:
    visit.page.get_by_role("radio", name="Upload").click()
    visit.page.get_by_text("Give a picture").wait_for()
    visit.page.locator("input[type=file]").set_input_files(files)
    visit.page.get_by_role("heading", name="All faces").wait_for()
    settle(visit.page)


def download(visit: Visit, button: str) -> tuple[str, Path]:
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name=button).click()
    return download.value.suggested_filename, download.value.path()


def has_box(annotated: NDArray[np.uint8], row: dict[str, str]) -> bool:
    """Whether the middle of the face's left edge is in its emotion's colour."""
    x, y, height = int(row["x"]), int(row["y"]), int(row["height"])
    edge = annotated[y + height // 2, max(x - 2, 0) : x + 3].astype(int)
    wanted = np.array(ImageColor.getrgb(COLOURS[row["emotion"]]))
    return bool((np.abs(edge - wanted).max(axis=1) < 40).any())


def test_uploads_become_a_table_pictures_and_files(browser: BrowserContext, address: str) -> None:
    with on_the_page(browser, address) as visit:
        upload(visit, LETTER, PHOTO)
        expect(visit.page.get_by_text("2 pictures · 1 face · 1 unreadable")).to_be_visible()
        visit.page.get_by_role("combobox", name="Models").click()
        visit.page.get_by_role("option", name="Keras CNN").click()
        visit.page.keyboard.press("Escape")  # an open list hides the page from its reader
        visit.page.get_by_text("Boxes named by").wait_for()
        settle(visit.page)
        name, file = download(visit, "Download CSV")
        assert name == "faces.csv"
        rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
        assert [(row["image"], row["model"]) for row in rows] == [
            ("letter.jpg", ""), ("'=photo.jpg", DEFAULT_RUN), ("'=photo.jpg", SECOND_RUN),
        ]  # fmt: skip
        assert rows[0]["problem"].startswith("letter.jpg ")
        for row in rows[1:]:
            shares = [float(row[column]) for column in row if column.startswith("p_")]
            assert sum(shares) == pytest.approx(1)
            assert float(row["score"]) == max(shares)
        name, file = download(visit, "Download images")
        assert name == "faces.zip"
        with zipfile.ZipFile(file) as archive:
            assert archive.namelist() == [
                f"photo-{run.partition('/')[2]}-faces.jpg" for run in (DEFAULT_RUN, SECOND_RUN)
            ]
            for row, member in zip(rows[1:], archive.namelist(), strict=True):
                image = np.asarray(Image.open(io.BytesIO(archive.read(member))))
                assert image.shape == (512, 512, 3)
                assert has_box(image, row)


def test_a_snapshot_is_analysed(browser: BrowserContext, address: str) -> None:
    with on_the_page(browser, address) as visit:
        visit.page.get_by_role("radio", name="Camera").click()
        take_photo(visit.page)
        visit.page.get_by_role("heading", name="All faces").wait_for()
        settle(visit.page)
        expect(visit.page.get_by_text("1 picture · 1 face")).to_be_visible()
        assert visit.table()[0][:2] == ["snapshot.jpg", "1"]
        name, file = download(visit, "Download image")
        assert name == "snapshot-faces.jpg"
        assert Image.open(file).format == "JPEG"


def test_a_narrow_screen_holds_everything(browser: BrowserContext, address: str) -> None:
    with on_the_page(browser, address, NARROW) as visit:
        expect(visit.page.get_by_test_id("stPlotlyChart")).to_have_count(2)
        visit.unfold("Adjust before prediction")
        visit.unfold("History")
        assert visit.overflow() <= 0
        upload(visit, LETTER, PHOTO)
        assert visit.overflow() <= 0
