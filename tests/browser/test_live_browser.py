"""The live page in a real browser with a camera: what it shows, how fresh, and how it ends."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from browser_fixtures import NARROW, take_photo, visiting
from camera_fixtures import (
    HAPPY,
    HAPPY_TITLE,
    KEEP_CAMERA,
    SAD_TITLE,
    THEIRS,
    Watched,
    camera_browser,
    confined,
    of_colour,
    server,
)
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as TookTooLong

from benchmarks.harness.camera import LOOP_FRAMES, frame, portrait
from benchmarks.harness.dashboard import Server, settle

__all__ = ["camera_browser", "confined", "server"]  # fixtures

#: The label's plate alone is larger.
OVERLAY_PIXELS = 400


def wait_for(what: Locator) -> None:
    # A busy machine's detector may see a second face, and the page then says a thing twice.
    expect(what.first).to_be_visible()


@pytest.fixture
def live(camera_browser: Browser, server: Server) -> Iterator[Watched]:
    """The live page, open, in a browser that may use the camera."""
    with (
        camera_browser.new_context(permissions=["camera"]) as context,
        visiting(context, server.address) as visit,
    ):
        context.add_init_script(KEEP_CAMERA)
        opened = Watched(page=visit.page, visit=visit, server=server)
        opened.open(server.address)
        yield opened
        if opened.component.get_by_role("button", name="Stop", exact=True).is_visible():
            opened.stop()
    opened.wait_for_workers(0)


def test_faces_are_boxed_on_fresh_frames(live: Watched) -> None:
    face = portrait()
    clip = [frame(face, number) for number in range(0, LOOP_FRAMES, 16)]
    assert max(of_colour(picture, "happy") for picture in clip) < OVERLAY_PIXELS / 10
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)
    _, analysed = live.counted()
    numbers = set()
    for _ in range(30):  # not each can be read, and a busy browser shows one twice
        live.wait_for_frames(2)
        numbers |= {live.number()} - {None}
        if len(numbers) == 5:
            break
    assert len(numbers) == 5
    live.wait_for_analyses(analysed + 1)


def test_the_page_fits_a_phone_while_it_plays(live: Watched) -> None:
    live.page.set_viewport_size({"width": NARROW, "height": 900})
    live.start()
    wait_for(live.counts)
    assert live.visit.overflow() <= 0
    video = live.page.locator('iframe[title*="webrtc"]').bounding_box()
    numbers = live.page.locator(".st-key-live-numbers").bounding_box()
    assert video and numbers
    assert video["x"] + video["width"] <= numbers["x"]  # beside it
    assert video["y"] == numbers["y"]
    below = live.page.get_by_text("now", exact=False).filter(has_text="face").last.bounding_box()
    assert below and below["y"] >= numbers["y"] + numbers["height"]


def test_a_model_is_switched_while_the_video_plays(live: Watched) -> None:
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)
    decoded, (frames, _) = live.decoded(), live.counted()
    live.page.locator("[data-tag] button").click()
    live.choose("Models", SAD_TITLE)
    live.wait_for_colour("sad", OVERLAY_PIXELS)
    live.choose("Models", HAPPY_TITLE)
    wait_for(live.page.get_by_text(f"analysed, by {SAD_TITLE} and {HAPPY_TITLE}"))
    assert live.decoded() > decoded
    assert live.counted()[0] > frames


def test_a_network_from_elsewhere_names_the_faces(live: Watched) -> None:
    live.page.locator("[data-tag] button").click()
    live.choose("Models", THEIRS)
    live.start()
    live.wait_for_colour("surprise", OVERLAY_PIXELS)
    wait_for(live.page.get_by_text(f"analysed, by {THEIRS}"))


def test_stop_ends_the_worker_and_start_begins_anew(live: Watched) -> None:
    assert live.workers() == 0
    live.start()
    live.wait_for_workers(1)
    live.stop()
    live.wait_for_workers(0)
    wait_for(live.page.get_by_text("No camera?"))
    expect(live.page.get_by_test_id("stMetric")).to_have_count(0)
    with live.page.expect_download() as download:
        live.page.get_by_role("button", name="Session CSV").click()
    with download.value.path().open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["emotion"]) for row in rows} == {(HAPPY, "happy")}
    with live.page.expect_download() as download:
        live.page.get_by_role("button", name="Snapshot").click()
    snapshot = Image.open(BytesIO(download.value.path().read_bytes()))
    assert of_colour(np.asarray(snapshot), "happy") > OVERLAY_PIXELS
    live.start()
    live.wait_for_workers(1)


def test_another_page_ends_the_worker_and_the_way_back_works(live: Watched) -> None:
    live.start()
    live.visit.navigate("Dataset")
    live.wait_for_workers(0)
    live.visit.navigate("Live")
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)


def test_a_closed_tab_ends_the_worker(live: Watched) -> None:
    live.start()
    live.wait_for_workers(1)
    live.page.goto("about:blank")
    live.wait_for_workers(0)


def test_an_unplugged_camera_is_told(live: Watched) -> None:
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)
    live.frame.evaluate("() => window.camera.getTracks().forEach((track) => track.stop())")
    wait_for(live.page.get_by_text("The camera sends nothing any more"))
    live.stop()
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)


#: What browsers raise where they give no camera, and what the page makes of it.
REFUSALS = {
    "NotAllowedError": "allow it with the icon next to the address",
    "NotFoundError": "No camera is connected",
    "NotReadableError": "Another program has the camera",
    "OverconstrainedError": "choose another camera",
    "AbortError": "cannot be opened (AbortError)",
}


def test_a_camera_that_is_not_given_is_explained(camera_browser: Browser, server: Server) -> None:
    with (
        camera_browser.new_context(permissions=[]) as context,
        visiting(context, server.address) as visit,
    ):
        live = Watched(page=visit.page, visit=visit, server=server)
        live.open(server.address)
        alert = live.component.get_by_role("alert")
        expect(alert).to_have_count(0)  # not before it happens
        live.click("Start")
        expect(alert).to_contain_text(REFUSALS["NotAllowedError"])
        for error, words in REFUSALS.items():
            live.frame.evaluate(
                """(name) => navigator.mediaDevices.getUserMedia = async () => {
                    throw new DOMException('as browsers say it', name);
                }""",
                error,
            )
            live.click("Start")
            expect(alert).to_contain_text(words)
            expect(alert).to_contain_text("The links below need none.")
            expect(alert).not_to_contain_text("as browsers say it")
        wait_for(live.page.get_by_role("link", name="Try an image").last)
        wait_for(live.page.get_by_role("button", name="Try a sample clip"))


def saved_by_key(page: Page) -> str:
    """The name of the file that the key `s` saves.

    While the page draws itself anew, what its button offers is withdrawn; as a person would, this
    presses again.
    """
    for _ in range(5):
        settle(page)
        try:
            with page.expect_download(timeout=20_000) as download:
                page.keyboard.press("s")
            return download.value.suggested_filename
        except TookTooLong:
            continue
    raise AssertionError("five presses of the key saved no file")


def test_keys_are_switches(live: Watched) -> None:
    live.start()
    live.wait_for_colour("happy", OVERLAY_PIXELS)
    mirror = live.page.locator(".st-key-live-mirror input")
    figures = live.page.locator(".st-key-live-figures input")
    live.page.keyboard.press("m")
    expect(mirror).not_to_be_checked()
    live.page.keyboard.press("f")
    expect(figures).not_to_be_checked()
    settle(live.page)
    live.page.get_by_role("combobox", name="Models").press_sequentially("mfq")  # one types
    live.page.keyboard.press("Escape")
    expect(mirror).not_to_be_checked()
    live.page.locator("h1").click()
    live.page.keyboard.press("f")
    expect(figures).to_be_checked()
    assert saved_by_key(live.page) == "live.png"
    live.page.keyboard.press("q")
    live.component.get_by_role("button", name="Start", exact=True).wait_for()


def test_a_picture_is_the_way_out(live: Watched) -> None:
    live.page.get_by_text("No live video? Take a picture").click()
    take_photo(live.page)
    picture = live.page.get_by_test_id("stImage").locator("img")
    wait_for(picture)
    shown = live.page.request.get(str(picture.evaluate("(image) => image.src"))).body()
    assert of_colour(np.asarray(Image.open(BytesIO(shown)).convert("RGB")), "happy") > 400
