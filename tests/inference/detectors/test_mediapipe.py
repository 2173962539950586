"""MediaPipe's detector by a stand-in of the package, with the parts of its interface that we use.

The package would replace OpenCV's files, so it is not among the tests' requirements.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.mediapipe import MediaPipeDetector

NETWORK = b"a network"
#: Of a red block of 100 pixels at (100, 140): 113 pixels about a centre 10 pixels higher.
BLOCK_BOX = (94, 124, 113, 113)


class FaceDetector:
    """Takes red blocks for faces, if an eighth of the longer side, as 16 of 128 pixels."""

    def __init__(self, seen: list[tuple[int, ...]]) -> None:
        self.seen = seen
        self.closed = 0

    def detect(self, image: SimpleNamespace) -> SimpleNamespace:
        pixels = image.data
        assert (image.image_format, pixels.dtype, pixels.ndim) == ("SRGB", np.uint8, 3)
        assert pixels.flags.c_contiguous
        self.seen.append(pixels.shape)
        height, width = pixels.shape[:2]
        red = ((pixels[..., 0] > 200) & (pixels[..., 1] < 50)).astype(np.uint8)
        _, _, blocks, _ = cv2.connectedComponentsWithStats(red)
        found = []
        for left, top, wide, tall, _area in blocks[1:].tolist():
            whole = abs(wide - tall) <= 2  # not cut by a tile's edge
            if whole and 8 * wide >= max(height, width):
                y = (top + 0.25 * tall) / height
                eyes = [(left + share * wide) / width for share in (0.3, 0.7)]
                found.append(
                    SimpleNamespace(
                        bounding_box=SimpleNamespace(
                            origin_x=left, origin_y=top, width=wide, height=tall
                        ),
                        categories=[SimpleNamespace(score=0.9)],
                        keypoints=[SimpleNamespace(x=x, y=y) for x in (*eyes, 0.5, 0.5)],
                    )
                )
        return SimpleNamespace(detections=found)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Installs the stand-in; the shapes of what its network was given."""
    shapes: list[tuple[int, ...]] = []

    def create(options: SimpleNamespace) -> FaceDetector:
        if options.base_options.model_asset_buffer != NETWORK:
            raise RuntimeError("The model is not a valid Flatbuffer buffer")
        return FaceDetector(shapes)

    package = ModuleType("mediapipe")
    tasks, python = ModuleType("mediapipe.tasks"), ModuleType("mediapipe.tasks.python")
    vision = ModuleType("mediapipe.tasks.python.vision")
    vars(vision).update(
        FaceDetector=SimpleNamespace(create_from_options=create),
        FaceDetectorOptions=SimpleNamespace,
    )
    vars(python).update(vision=vision, BaseOptions=SimpleNamespace)
    vars(tasks).update(python=python, vision=vision, BaseOptions=SimpleNamespace)
    vars(package).update(
        tasks=tasks,
        Image=SimpleNamespace,
        ImageFormat=SimpleNamespace(SRGB="SRGB"),
        __version__="1.2.3",
    )
    for module in (package, tasks, python, vision):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return shapes


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = tmp_path / "network.tflite"
    file.write_bytes(NETWORK)
    return file


def scene(
    *corners: tuple[int, int], side: int = 100, size: tuple[int, int] = (640, 480)
) -> NDArray[np.uint8]:
    image = np.full((size[1], size[0], 3), 60, np.uint8)
    for left, top in corners:
        image[top : top + side, left : left + side] = (255, 0, 0)
    return image


def test_boxes_are_framed_as_haars_and_have_scores_and_eyes(
    seen: list[tuple[int, ...]], network: Path
) -> None:
    for find in (MediaPipeDetector(network).detect, MediaPipeDetector(network).detect_frame):
        (face,) = find(scene((100, 140)))
        assert face == DetectedFace(box=face.box, score=0.9, eyes=((130.0, 165.0), (170.0, 165.0)))
        assert face.box == pytest.approx(BLOCK_BOX, abs=2)
    assert seen == [(240, 320, 3)] * 2


def test_it_takes_gray(seen: list[tuple[int, ...]], network: Path) -> None:
    assert MediaPipeDetector(network).detect_frame(scene((100, 140))[..., 0]) == []
    assert seen == [(240, 320, 3)]


def test_a_large_still_is_searched_in_tiles_and_each_face_given_once(
    seen: list[tuple[int, ...]], network: Path
) -> None:
    corners = [(100, 100), (1700, 300), (3850, 2850), (2003, 1501)]
    image = scene(*corners, size=(4032, 3024))
    found = MediaPipeDetector(network).detect(image)
    lefts_and_tops = {face.box[:2] for face in found}
    assert len(found) == len(corners)
    for left, top in corners:
        assert any(
            (x, y) == pytest.approx((left - 6.5, top - 16.5), abs=6) for x, y in lefts_and_tops
        )
    assert set(seen[1:]) == {(224, 224, 3)}


def test_without_the_package_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, network: Path
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [Absent()])
    for name in [name for name in sys.modules if name.partition(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        FerBenchError, match=r"needs the package mediapipe: `pip install 'fer-bench\[mediapipe\]'`"
    ):
        MediaPipeDetector(network)


class Absent:
    """Knows no module."""

    def find_spec(self, name: str, *_: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    "error",
    [
        lambda name: ModuleNotFoundError("No module named 'absl'", name="absl"),
        lambda name: ImportError("libGL.so.1: cannot open shared object file"),
        lambda name: OSError("libmediapipe.so: wrong ELF class"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_told(
    monkeypatch: pytest.MonkeyPatch, network: Path, error: Callable[[str], Exception]
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            raise error(name)

    monkeypatch.setattr(sys, "meta_path", [Broken()])
    monkeypatch.delitem(sys.modules, "mediapipe", raising=False)
    with pytest.raises(FerBenchError, match=r"cannot be loaded: .*; install it again with"):
        MediaPipeDetector(network)


def test_a_missing_network_is_told(
    seen: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    with pytest.raises(FerBenchError, match=r"fetch it .* with `python -m fer_bench fetch media"):
        MediaPipeDetector()


def test_a_damaged_network_is_told(seen: list[tuple[int, ...]], network: Path) -> None:
    network.write_bytes(NETWORK[:4])
    with pytest.raises(FerBenchError, match=r"in .*network\.tflite, got a file that MediaPipe 1"):
        MediaPipeDetector(network)
