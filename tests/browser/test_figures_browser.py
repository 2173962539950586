"""The figures of a report and of the pages as images, drawn by a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
from browser_fixtures import BEST, address, browser, environment, require_chromium, visiting
from command_fixtures import Fer
from PIL import Image
from playwright.sync_api import BrowserContext
from record_fixtures import make_record

from fer_bench.results.store import ResultsStore

__all__ = ["address", "browser", "environment"]  # fixtures

SVG = "{http://www.w3.org/2000/svg}"


def test_each_figure_is_an_svg_and_a_png(tmp_path: Path, fer: Fer) -> None:
    require_chromium()
    ResultsStore(tmp_path / "results").save(make_record())
    folder, page = tmp_path / "paper", tmp_path / "report.html"
    code, _, err = fer(
        "report", "--results", tmp_path / "results", "--out", page, "--figures", folder
    )
    assert code == 0
    *left_out, after = err.splitlines()
    assert [line.split(" are left out: ")[0] for line in left_out] == [
        f"figures of page {name}" for name in ("Latency", "Robustness", "Explain")
    ]
    assert after == f"next: open {page} in a browser"
    kinds = ("accuracy", "confusion", "f1")
    stem = "1-fer2013-official-7-emotions"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{stem}-{kind}.{ending}" for kind in kinds for ending in ("svg", "png")
    )
    for kind in kinds:
        tree = ElementTree.parse(folder / f"{stem}-{kind}.svg").getroot()
        assert tree.get("width") == "89mm"
        with Image.open(folder / f"{stem}-{kind}.png") as image:
            assert image.width == 1344
            assert image.text["Run"] == f"fer2013/{BEST}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_figure_of_a_page_saves_itself_with_what_it_shows(
    browser: BrowserContext, address: str, theme: Literal["light", "dark"]
) -> None:
    with visiting(browser, address) as visit:
        visit.page.emulate_media(color_scheme=theme)
        visit.open(f"/errors?run=fer2013/{BEST}")
        curves = visit.page.get_by_test_id("stPlotlyChart").nth(1)
        curves.hover()
        with visit.page.expect_download() as download:
            curves.locator('[data-title="Download plot as SVG"]').click()
        assert "stroke: rgb(224, 226, 232)" in download.value.path().read_text()  # light lines
        figure = visit.page.get_by_test_id("stPlotlyChart").first
        figure.hover()
        saved = {}
        for kind in ("SVG", "PNG"):
            with visit.page.expect_download() as download:
                figure.locator(f'[data-title="Download plot as {kind}"]').click()
            saved[download.value.suggested_filename] = download.value.path()
    drawing, picture = saved["confusion.svg"], saved["confusion.png"]
    tree = ElementTree.parse(drawing).getroot()
    facts = json.loads(tree.findtext(f"{SVG}metadata") or "")
    assert facts["Title"].startswith("Confusion matrix, share of true, ResNet18")
    assert facts["Run"] == f"fer2013/{BEST}"
    assert facts["Command"].startswith(f"python -m fer_bench results --figures fer2013/{BEST}")
    assert {"n", "Protocol", "Run command", "Software"} < set(facts)
    assert f"Run: fer2013/{BEST}" in (tree.findtext(f"{SVG}desc") or "")
    assert tree.get("width") == "89mm"
    assert "Source Sans" not in drawing.read_text()  # the page's own: elsewhere text would be cut
    with Image.open(picture) as image:
        assert image.text == facts
        assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(89, abs=0.1)
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
