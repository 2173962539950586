"""The webcam in a window, with an OpenCV whose camera and window are drawn up here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.inference.live.window import open_window

BLUE = np.full((6, 8, 3), (255, 0, 0), np.uint8)  # as OpenCV orders colours


class Camera:
    """Sends one picture, and ends."""

    def __init__(self, number: int) -> None:
        self.pictures = iter([BLUE])
        self.is_there = number == 0
        self.released = False

    def isOpened(self) -> bool:
        return self.is_there

    def read(self) -> tuple[bool, Any]:
        picture = next(self.pictures, None)
        return picture is not None, picture

    def release(self) -> None:
        self.released = True


class Desktop:
    """What OpenCV was told to show, and the key and the window as the user left them."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.key, self.visible = -1, 1.0
        self.cameras: list[Camera] = []
        self.is_open = False


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    made = Desktop()

    def camera(number: int) -> Camera:
        made.cameras.append(Camera(number))
        return made.cameras[-1]

    monkeypatch.setattr(cv2, "namedWindow", lambda *_: setattr(made, "is_open", True))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: setattr(made, "is_open", False))
    monkeypatch.setattr(cv2, "VideoCapture", camera)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: made.shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: made.key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: made.visible)
    yield made
    assert not made.is_open
    assert [one.released for one in made.cameras] == [True]


def test_a_camera_s_pictures_are_rgb_until_it_ends(desktop: Desktop) -> None:
    with open_window(0) as window:
        picture = window.read()
        assert picture is not None
        assert picture[0, 0].tolist() == [0, 0, 255]
        assert window.read() is None


@pytest.mark.parametrize(
    ("key", "visible", "goes_on"),
    [(-1, 1.0, True), (ord("a"), 1.0, True), (ord("q"), 1.0, False), (27, 1.0, False),
     (-1, 0.0, False)],
)  # fmt: skip
def test_a_window_shows_frames_until_a_key_or_its_cross_ends_it(
    key: int, visible: float, goes_on: bool, desktop: Desktop
) -> None:
    desktop.key, desktop.visible = key, visible
    with open_window(0) as window:
        assert window.show(BLUE[..., ::-1]) is goes_on
    np.testing.assert_array_equal(desktop.shown, [BLUE])


def test_a_camera_that_is_not_there_is_named(desktop: Desktop) -> None:
    with pytest.raises(FerBenchError, match="there is no camera 3, or another"), open_window(3):
        pass
