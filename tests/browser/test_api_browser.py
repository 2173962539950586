"""The upload form and the API's documentation in a real browser, wide and narrow, without a script
of ours and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_fixtures import api_results, served, settings_for
from browser_fixtures import NARROW, WIDE, browser, visiting
from face_fixtures import SAMPLE
from model_fixtures import SECOND_RUN

from fer_bench.api.app import create_app
from fer_bench.emotions import FER2013

__all__ = ["api_results", "browser"]  # fixtures


@pytest.fixture(scope="module")
def form(api_results: Path) -> Iterator[str]:
    with served(create_app(settings_for(api_results))) as address:
        yield address


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_is_uploaded_and_its_face_named(browser, form, width, scheme):
    with visiting(browser, form, width) as visit:
        page = visit.page
        page.emulate_media(color_scheme=scheme)
        page.goto(form)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.get_by_label("Picture", exact=True).set_input_files(SAMPLE)
        page.get_by_label("Model").select_option(SECOND_RUN)
        page.get_by_role("button", name="Name the emotions").click()
        page.get_by_role("heading", name=SAMPLE.name).wait_for()
        picture = page.get_by_alt_text("The picture with its faces boxed and named")
        assert picture.evaluate("(image) => image.naturalWidth") == 512
        assert page.get_by_role("rowheader").all_inner_texts() == list(FER2013)
        assert page.locator("svg").first.evaluate("(bar) => bar.clientHeight") > 5
        assert page.get_by_label("Model").input_value() == SECOND_RUN
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(15, 18, 23)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_the_documentation_is_drawn_from_this_server_alone(browser, form):
    with visiting(browser, form) as visit:
        visit.page.goto(f"{form}/docs")
        visit.page.get_by_text("/v1/predict", exact=False).first.wait_for()
        assert visit.page.locator(".opblock").count() == 6
