"""The figures of a report as images, drawn by a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from browser_fixtures import BEST, require_chromium
from PIL import Image
from record_fixtures import make_record

from fer_bench.results.store import ResultsStore


def test_each_figure_is_an_svg_and_a_png(
    tmp_path: Path, fer: Callable[..., tuple[int, str, str]]
) -> None:
    require_chromium()
    ResultsStore(tmp_path / "results").save(make_record())
    folder, page = tmp_path / "paper", tmp_path / "report.html"
    code, _, err = fer(
        "report", "--results", tmp_path / "results", "--out", page, "--figures", folder
    )
    assert (code, err) == (0, f"next: open {page} in a browser\n")
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
