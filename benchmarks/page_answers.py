"""How long each page takes to answer, the first time and again.

Starts a fresh server and a fresh headless Chromium over stored runs and times, page by page, from
the address until Streamlit has nothing left to run and the charts are drawn: `first_s` with
whatever the page computes once, `again_s` the median of further visits from an address, and
`change_s` of visits by the side bar, coming from another page.

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

from benchmarks.harness.dashboard import ROOT, SETTLED, chromium, serving, settle

PAGES = (
    "home", "leaderboard", "run", "compare", "errors", "calibration", "explain", "latency",
    "robustness", "dataset", "labels", "image", "video", "live",
)  # fmt: skip
PATIENCE_MS = 60_000
#: How long a visitor looks at a page before leaving it.
LOOK_MS = 1_000
#: Clicks the side bar's link to a page, and waits until another heading stands still.
FOLLOW = """(name) => {
    window.headingBefore = document.querySelector('h1').innerText;
    [...document.querySelectorAll('[data-testid="stSidebarNavLink"]')]
        .find((link) => new URL(link.href).pathname === '/' + name).click();
}"""
CHANGED = f"() => ({SETTLED})() && document.querySelector('h1').innerText !== window.headingBefore"


def visit(page: Page, address: str) -> float:
    """Seconds from the address to a page that stands still."""
    begin = time.perf_counter()
    page.goto(address, timeout=PATIENCE_MS)
    settle(page)
    return time.perf_counter() - begin


def change(page: Page, name: str) -> float:
    """Seconds from a click in the side bar, on another page, to one that stands still."""
    # Live's video, just loaded, has Streamlit run the page again: a click at that moment is lost.
    page.wait_for_timeout(LOOK_MS)
    follow(page, "run" if name == "leaderboard" else "leaderboard")
    return follow(page, name)


def follow(page: Page, name: str) -> float:
    """Seconds from a click in the side bar to a page that stands still."""
    begin = time.perf_counter()
    page.evaluate(FOLLOW, "" if name == "home" else name)
    page.wait_for_function(CHANGED)
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
            changed = median(change(page, name) for _ in range(given.again))
            measured = {"first_s": first, "again_s": again, "change_s": changed}
            answers[name] = {key: round(seconds, 2) for key, seconds in measured.items()}
    result = {
        "benchmark": "page_answers",
        "data": Path(given.data).name,
        "pages": answers,
        "slowest_again_s": max(one["again_s"] for one in answers.values()),
        "slowest_change_s": max(one["change_s"] for one in answers.values()),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
