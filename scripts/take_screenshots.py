"""Takes the README's pictures of the dashboard, `docs/images/*.png`, from stored runs.

    python -m scripts.take_screenshots                          # the shipped results
    python -m scripts.take_screenshots --results DIR --data synthetic --run synthetic/NAME

Run it from the repository's root; it needs Chromium, whose camera sees the sample picture. `--run`
is the run that the pages Run and Errors show, the best one without it. `--width 390` and `--dark`
show the other ways to look at it; `--whole` takes pages in full length, `--pages` those you name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page

from benchmarks.harness.camera import camera_arguments, write_clip
from benchmarks.harness.dashboard import ROOT, chromium, running, settle
from benchmarks.harness.live_visitor import LiveVisitor

#: Those of the README.
PAGES = (
    "leaderboard",
    "run",
    "compare",
    "errors",
    "latency",
    "robustness",
    "dataset",
    "image",
    "live",
)
#: So many frames fill the live page's figures and the beginning of its chart.
FRAMES = 450
HEIGHT = 900
#: A busy machine is slow.
PATIENCE_MS = 120_000
#: A page that has more to show than fits the window.
TALL = 4000


def take(page: Page, address: str, file: Path, *, whole: bool) -> None:
    """One page as a PNG; its canvases and figures get a moment to be drawn."""
    page.goto(address)
    settle(page)
    if address.endswith("/live"):
        visitor = LiveVisitor(page=page)
        visitor.start()
        visitor.wait_for_frames(FRAMES)
    if whole:
        page.set_viewport_size({"width": page.viewport_size["width"], "height": TALL})
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => [...document.images].every((image) => image.complete)
            && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')]
                .every((chart) => chart.querySelector('.main-svg'))"""
    )
    page.screenshot(path=file, animations="disabled")


def address_of(page: str, run: str | None) -> str:
    query = f"?run={quote(run, safe='')}" if run and page in ("run", "errors") else ""
    return "" if page == "home" else f"{page}{query}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder of records")
    parser.add_argument("--data", default="", help="the data set's place, or `synthetic`")
    parser.add_argument("--run", help="`dataset/run` on the pages Run and Errors")
    parser.add_argument("--pages", nargs="+", default=PAGES, help="files in pages/ without .py")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--width", type=int, default=1440, help="of the window, CSS pixels")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="pages in full length")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "FER_BENCH_RESULTS": str(given.results.resolve()),
            "FER_BENCH_DATA": given.data,
            "FER_BENCH_CONFIG": str(Path(folder) / "settings.json"),
        }
        clip = Path(folder) / "camera.mjpeg"
        write_clip(clip, numbered=False)
        with (
            running(environment, "benchmarks.harness.loopback") as server,
            chromium(camera_arguments(clip)) as browser,
        ):
            page = browser.new_page(
                viewport={"width": given.width, "height": HEIGHT},
                color_scheme="dark" if given.dark else "light",
                permissions=["camera"],
            )
            page.set_default_timeout(PATIENCE_MS)
            for name in given.pages:
                file = given.out / f"{name}.png"
                page.set_viewport_size({"width": given.width, "height": HEIGHT})
                address = f"{server.address}/{address_of(name, given.run)}"
                take(page, address, file, whole=given.whole)
                sys.stdout.write(f"{file}: {file.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
