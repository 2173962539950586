"""The live page, opened, and the video that the test plays on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit_webrtc.component
from aiortc.contrib.media import MediaRelay
from live_fixtures import Video
from page_fixtures import open_page
from streamlit.testing.v1 import AppTest

from fer_bench.ui.live import camera as live


@pytest.fixture
def relay() -> MediaRelay:
    return MediaRelay()


@pytest.fixture
def results(tmp_path: Path, relay: MediaRelay, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "results"
    monkeypatch.setenv("FER_BENCH_RESULTS", str(root))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.delenv(live.ICE_VARIABLE, raising=False)
    # AppTest has neither a browser's session nor a server's event loop; the library looks for both.
    monkeypatch.setattr(streamlit_webrtc.component, "get_this_session_info", lambda: None)
    monkeypatch.setattr(live, "get_global_relay", lambda: relay)
    return root


@pytest.fixture
def video(results: Path, models_root: Path, monkeypatch: pytest.MonkeyPatch) -> Video:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(models_root))
    stub = Video()
    monkeypatch.setattr(live, "webrtc_streamer", stub)
    return stub


@pytest.fixture
def page(video: Video) -> Iterator[AppTest]:
    """The page, opened; its session is stopped at the end."""
    opened = open_page("live")
    yield opened
    if live.SESSION in opened.session_state:
        opened.session_state[live.SESSION].session.stop()
