"""YuNet by a stand-in network with its inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import face_fixtures
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.network_file import YUNET
from fer_bench.inference.detectors.yunet import YuNetDetector


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_fixtures.write_stand_in(tmp_path_factory.mktemp("yunet"))


def with_block(
    left: int, top: int, *, side: int = 32, colour: tuple[int, int, int] = (0, 0, 255),
    size: tuple[int, int] = (320, 256),
) -> NDArray[np.uint8]:  # fmt: skip
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[top : top + side, left : left + side] = colour
    return image


#: The square with the area of 32 x 64 about (96, 64).
BLOCK_BOX = (73, 41, 45, 45)


def test_yunet_boxes_are_squared_and_have_scores_and_eyes(stand_in: Path) -> None:
    found = YuNetDetector(stand_in).detect(with_block(96, 64))
    assert found == [
        DetectedFace(box=BLOCK_BOX, score=pytest.approx(1.0), eyes=((88.0, 64.0), (104.0, 72.0)))
    ]


def test_yunet_gets_blue_green_red(stand_in: Path) -> None:
    assert YuNetDetector(stand_in).detect(with_block(96, 64, colour=(255, 255, 0))) == []


def test_yunet_takes_gray(stand_in: Path) -> None:
    (face,) = YuNetDetector(stand_in).detect(with_block(96, 64)[..., 2])
    assert face.box == BLOCK_BOX


def test_yunet_scales_back_to_a_large_image(stand_in: Path) -> None:
    image = with_block(384, 256, side=128, size=(2560, 2048))
    (face,) = YuNetDetector(stand_in).detect(image)
    assert face.box == tuple(4 * value for value in BLOCK_BOX)
    assert face.eyes == ((352.0, 256.0), (416.0, 288.0))


def test_yunet_takes_frames_of_changing_size(stand_in: Path) -> None:
    detector = YuNetDetector(stand_in)
    sizes = [(320, 256), (200, 130), (100, 290), (320, 256)]
    assert [len(detector.detect(with_block(32, 64, size=size))) for size in sizes] == [1, 1, 1, 1]


def test_yunet_drops_faint_faces(stand_in: Path) -> None:
    detector = YuNetDetector(stand_in)
    scores = [
        [face.score for face in detector.detect(with_block(96, 64, colour=(0, 0, blue)))]
        for blue in (170, 204)
    ]
    assert scores == [[], [pytest.approx(0.8)]]


def test_yunet_gives_several_faces_without_overlap(stand_in: Path) -> None:
    image = np.maximum(with_block(32, 64), with_block(256, 192))
    image[96:128, 32:64] = (0, 0, 210)  # below the first, and fainter
    found = YuNetDetector(stand_in).detect(image)
    assert [face.box[:2] for face in found] == [(9, 41), (233, 169)]


def test_yunet_says_where_its_network_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    with pytest.raises(
        FerBenchError, match=r"needs its network, expected at .*fer_bench fetch yunet"
    ):
        YuNetDetector()


def test_yunet_refuses_a_changed_file_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stand_in: Path
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    file = YUNET.path
    file.parent.mkdir()
    file.write_bytes(stand_in.read_bytes())
    with pytest.raises(FerBenchError, match=r"is not the network that was fetched .* fetch it"):
        YuNetDetector()


def test_yunet_says_that_a_given_path_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"none\.onnx cannot be read: No such file"):
        YuNetDetector(tmp_path / "none.onnx")


@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_yunet_says_that_a_given_file_is_damaged(
    tmp_path: Path, stand_in: Path, damage: str
) -> None:
    whole = stand_in.read_bytes()
    content = {"empty": b"", "text": b"not a network", "half": whole[: len(whole) // 2]}[damage]
    file = tmp_path / "bad.onnx"
    file.write_bytes(content)
    with pytest.raises(FerBenchError, match=r"in .*bad\.onnx, got a file that OpenCV"):
        YuNetDetector(file)
