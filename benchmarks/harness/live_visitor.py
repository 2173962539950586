"""A visitor of the live page in Chromium: Start, Stop, and what the video really shows."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Frame, FrameLocator, Locator, Page, TimeoutError

from benchmarks.harness.camera import READ_NUMBER
from benchmarks.harness.dashboard import settle

#: Busy machines are slow; a visitor waits this long only for what is broken.
PATIENCE_MS = 120_000
STARTS_WITHIN_MS = 20_000
DECODED = "() => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0"
NUMBER = f"() => ({READ_NUMBER})(document.querySelector('video'), document.createElement('canvas'))"
PNG = """() => {
    const video = document.querySelector('video'), canvas = document.createElement('canvas');
    if (!video?.videoWidth) return null;
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LiveVisitor:
    """A browser's tab on the dashboard."""

    page: Page

    def open(self, address: str) -> None:
        """The live page, until its video may be started."""
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.goto(f"{address}/live")
        self.page.get_by_role("heading", level=1, name="Live").wait_for()
        self.component.get_by_role("button", name="Start", exact=True).wait_for()
        settle(self.page)

    @property
    def component(self) -> FrameLocator:
        """The video with its buttons, which has a document of its own."""
        return self.page.frame_locator('iframe[title*="webrtc"]')

    @property
    def frame(self) -> Frame:
        """The same, to run JavaScript in."""
        (found,) = [frame for frame in self.page.frames if "webrtc_streamer" in frame.url]
        return found

    def click(self, button: str) -> None:
        """`Start` or `Stop`."""
        self.component.get_by_role("button", name=button, exact=True).click()

    def start(self) -> None:
        """Start, until frames move; WebRTC gets one more try, which is logged."""
        self.click("Start")
        try:
            self.wait_for_frames(3, STARTS_WITHIN_MS)
        except TimeoutError:
            logger.warning("no video after %d ms: stop, and start again", STARTS_WITHIN_MS)
            stop = self.component.get_by_role("button", name="Stop", exact=True)
            if stop.is_visible():  # else it has given up by itself
                stop.click()
            self.click("Start")
            self.wait_for_frames(3)

    def stop(self) -> None:
        """Stop, until Start is offered again."""
        self.click("Stop")
        self.component.get_by_role("button", name="Start", exact=True).wait_for()
        settle(self.page)

    def wait_for_frames(self, more: int, timeout: float = PATIENCE_MS) -> None:
        """Waits until so many more frames were decoded."""
        enough = f"({DECODED})() >= {self.decoded() + more}"
        self.frame.wait_for_function(enough, timeout=timeout)

    def decoded(self) -> int:
        """Frames that the browser decoded since the video began."""
        n: int = self.frame.evaluate(DECODED)
        return n

    def number(self) -> int | None:
        """The number drawn on the frame that shows; None where it cannot be read."""
        read: int | None = self.frame.evaluate(NUMBER)
        return read

    def picture(self) -> NDArray[np.uint8]:
        """The frame that shows, RGB uint8 `(H, W, 3)`; waits where the page draws itself anew."""
        encoded: str = self.frame.wait_for_function(PNG, timeout=PATIENCE_MS).json_value()
        return np.asarray(Image.open(BytesIO(b64decode(encoded))).convert("RGB"), np.uint8)

    @property
    def counts(self) -> Locator:
        """The line of counts; the last one, for a moment an outdated one stands before it."""
        return self.page.get_by_text("analysed, by").last

    def counted(self) -> tuple[int, int]:
        """Frames sent back and frames analysed since the start, as the page says."""
        said = self.counts.inner_text()
        numbers = re.match(r"([\d,]+) frames?, ([\d,]+) analysed", said)
        assert numbers, said
        frames, analysed = (int(number.replace(",", "")) for number in numbers.groups())
        return frames, analysed

    def choose(self, box: str, option: str) -> None:
        """Chooses in a select box."""
        self.page.get_by_role("combobox", name=box).click()
        self.page.get_by_role("option", name=option).first.click()
        settle(self.page)


def process_figures(pid: int) -> tuple[float, int]:
    """A process's resident memory in MB and its threads, as Linux counts them."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = dict(re.findall(r"(VmRSS|Threads):\s+(\d+)", status))
    return int(values["VmRSS"]) * 1024 / 1e6, int(values["Threads"])
