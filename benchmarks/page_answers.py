"""How long each page takes to answer, the first time and again.

Starts a fresh server and a fresh headless Chromium over stored runs and times, page by page, from
the address until Streamlit has nothing left to run and the charts are drawn: `first_s` with
whatever the page computes once, `again_s` the median of further visits.

    python -m benchmarks.page_answers                       the shipped results
    python -m benchmarks.page_answers --data fer2013.zip    with images, votes and networks at hand

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from statistics import median
from urllib.parse import quote

from playwright.sync_api import Page

from benchmarks.dashboard import ROOT, chromium, serving, settle

PAGES = (
    "home", "leaderboard", "run", "compare", "errors", "calibration", "explain", "latency",
    "robustness", "dataset", "labels", "image", "video", "live",
)  # fmt: skip
PATIENCE_MS = 600_000


def visit(page: Page, address: str) -> float:
    """Seconds from the address to a page that stands still."""
    begin = time.perf_counter()
    page.goto(address, timeout=PATIENCE_MS)
    settle(page)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="folder of records")
    parser.add_argument("--data", default="", help="the data set's place")
    parser.add_argument("--pages", nargs="+", default=PAGES, help="files in pages/ without .py")
    parser.add_argument("--run", help="`dataset/run` to show, instead of the default one")
    parser.add_argument("--again", type=int, default=3, help="further visits")
    given = parser.parse_args()
    environment = {"FER_BENCH_RESULTS": str(given.results.resolve()), "FER_BENCH_DATA": given.data}
    query = f"?run={quote(given.run, safe='')}" if given.run else ""
    answers = {}
    with serving(environment) as address, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        for name in given.pages:
            place = f"{address}/{'' if name == 'home' else name}{query}"
            first = visit(page, place)
            again = median(visit(page, place) for _ in range(given.again))
            answers[name] = {"first_s": round(first, 2), "again_s": round(again, 2)}
    result = {
        "benchmark": "page_answers",
        "data": Path(given.data).name,
        "pages": answers,
        "slowest_again_s": max(one["again_s"] for one in answers.values()),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
