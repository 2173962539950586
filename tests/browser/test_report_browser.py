"""The report in a real browser: from the file system, without a network, on wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_fixtures import BEST, NARROW, WIDE, require_chromium, save_runs
from playwright.sync_api import Browser

from benchmarks.harness.dashboard import chromium
from fer_bench.report import collect, report_page
from fer_bench.results.store import ResultsStore


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    save_runs(folder / "results")
    store = ResultsStore(folder / "results")
    path = folder / "report.html"
    path.write_text(report_page(store, collect(store)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    require_chromium()
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_report_opens_offline_and_draws_its_charts(
    file: Path, started: Browser, width: int
) -> None:
    faults: list[str] = []
    requests: list[str] = []
    with started.new_context(offline=True, viewport={"width": width, "height": 900}) as context:
        context.on("request", lambda request: requests.append(request.url))
        context.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda fault: faults.append(str(fault.error)))
        page = context.new_page()
        page.set_default_timeout(120_000)  # plotly.js takes long to parse on a busy machine
        page.goto(file.as_uri())
        page.wait_for_function(
            """() => [...document.querySelectorAll('.plotly-graph-div')]
                .every((chart) => chart.querySelector('.main-svg'))"""
        )
        charts = page.locator(".plotly-graph-div")
        assert charts.count() == 5
        assert page.locator("#figure-1 .bars .point").count() == 3
        assert page.locator("#figure-3 .textpoint").count() == 49
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        for number in range(charts.count()):
            box = charts.nth(number).bounding_box()
            assert box is not None
            assert box["height"] >= 150
            assert box["width"] <= width
        page.get_by_role("link", name=BEST).first.click()
        assert page.locator("tr:target td").nth(1).inner_text() == f"fer2013/{BEST}"
    assert faults == []
    assert {url.partition("#")[0] for url in requests} == {file.as_uri()}
