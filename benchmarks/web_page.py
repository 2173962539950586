"""An exported web page before a camera: how soon it answers, and how many faces a second it names.

Serves each folder as any static host would and opens it in a fresh headless Chromium whose camera
plays a clip of one face, 640x480 at 30 frames a second. The page computes in one worker thread.

load_s: from the start of loading to a model that is ready.
answer_s: from there, Start camera being clicked at once, to the first face that is named.
faces_per_second: answers of the page while the camera runs.
search_ms, network_ms: of one frame, as the page says it.
worker_per_second: what these two alone would allow.

Prints one JSON line. Run it from the repository's root, on an idle machine, over folders that
`python -m fer_bench export RUN --format web` wrote: `python -m benchmarks.web_page page page-int8`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from benchmarks.harness.camera import camera_arguments, write_clip
from benchmarks.harness.dashboard import chromium
from fer_bench.environment import capture

PATIENCE_MS = 120_000
#: Counts the page's answers, and keeps the milliseconds that it says next to each.
COUNT = """() => {
    const speed = document.getElementById("speed");
    window.answers = [];
    new MutationObserver(() => window.answers.push([performance.now(), speed.textContent]))
        .observe(speed, { childList: true });
}"""
SPEED = re.compile(r"Search ([\d.]+) ms, network ([\d.]+) ms")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """What `python -m http.server` does; yields the address with a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def measure(folder: Path, browser: Browser, seconds: float) -> dict[str, object]:
    """One visit to the page in a folder."""
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with serving_folder(folder) as address, browser.new_context(permissions=["camera"]) as visit:
        visit.set_default_timeout(PATIENCE_MS)
        page = visit.new_page()
        started = time.perf_counter()
        page.goto(address)
        page.locator("#camera:enabled").wait_for()
        ready = time.perf_counter()
        page.locator("#camera").click()
        page.locator("#faces li").first.wait_for()
        answered = time.perf_counter()
        page.evaluate(COUNT)
        page.wait_for_timeout(1000 * seconds)
        figures = _figures(page)
    return {
        "folder": folder.name,
        "precision": document["precision"],
        "model_megabytes": round((folder / "model.onnx").stat().st_size / 1e6, 1),
        "load_s": round(ready - started, 2),
        "answer_s": round(answered - ready, 2),
        **figures,
    }


def _figures(page: Page) -> dict[str, float]:
    answers = page.evaluate("window.answers")
    times = np.array([time_ms for time_ms, _ in answers])
    times, answers = times[len(times) // 5 :], answers[len(answers) // 5 :]
    said = [SPEED.match(text) for _, text in answers]
    spent = np.array([[float(part) for part in found.groups()] for found in said if found])
    search, network = np.median(spent, axis=0)
    return {
        "faces_per_second": round(1000 * (len(times) - 1) / (times[-1] - times[0]), 1),
        "search_ms": round(float(search), 1),
        "network_ms": round(float(network), 1),
        "worker_per_second": round(1000 / float(search + network), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the camera runs")
    asked = parser.parse_args()
    visits = []
    with tempfile.TemporaryDirectory() as scratch:
        clip = Path(scratch) / "face.mjpeg"
        write_clip(clip, numbered=False)
        for folder in asked.folders:
            with chromium(camera_arguments(clip)) as browser:
                visits.append(measure(folder, browser, asked.seconds))
            print(f"{folder}: {visits[-1]['faces_per_second']} faces/s", file=sys.stderr)
    seen = capture()
    print(json.dumps({"benchmark": "web_page", "visits": visits, "cpu": seen.processor}))


if __name__ == "__main__":
    main()
