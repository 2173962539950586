"""Detectors: what they find, how they frame it, and what they say when their file is amiss."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import face_fixtures
import numpy as np
import pytest
from face_fixtures import iou
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image
from table_fixtures import table

from fer_bench.errors import FerBenchError
from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import (
    DETECTORS,
    Box,
    DetectedFace,
    FaceDetector,
    largest_first,
    make_detector,
    shrunk,
    shrunk_to,
    without_overlaps,
)
from fer_bench.inference.detectors.haar import HaarDetector
from fer_bench.types import InputSpec


@pytest.fixture(scope="module")
def haar() -> HaarDetector:
    return HaarDetector()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_fixtures.write_stand_in(tmp_path_factory.mktemp("yunet"))


#: MediaPipe's package is an extra: tests/inference/detectors/test_mediapipe.py
@pytest.fixture(params=[name for name in DETECTORS if name != "mediapipe"])
def detector(request: pytest.FixtureRequest, stand_in: Path) -> FaceDetector:
    return make_detector(request.param, stand_in if request.param == "yunet" else None)


@table("shape", [(1, 1), (48, 48), (2, 3000), (3000, 2), (5, 7, 3), (90, 70, 3)])
def test_every_detector_takes_an_image_of_any_shape(
    detector: FaceDetector, shape: tuple[int, ...]
) -> None:
    found = detector.detect(np.full(shape, 100, np.uint8))
    assert len(found) == (1 if detector.name == "whole" else 0)


def test_every_detector_leaves_the_image_as_it_was(detector: FaceDetector) -> None:
    image = face_fixtures.frame()
    detector.detect(image)
    assert np.array_equal(image, face_fixtures.frame())


def test_whole_image_is_the_face() -> None:
    face = make_detector("whole").detect(np.zeros((40, 30), np.uint8))
    assert face == [DetectedFace(box=(0, 0, 30, 40), is_whole=True)]


@pytest.mark.parametrize("name", ["haar", "whole"])
def test_a_detector_without_a_network_refuses_a_file(name: str) -> None:
    with pytest.raises(FerBenchError, match=f"'{name}' takes no model file: leave x.onnx out"):
        make_detector(name, Path("x.onnx"))


def test_an_unknown_detector_is_answered_with_near_names() -> None:
    with pytest.raises(FerBenchError, match="did you mean 'yunet'"):
        make_detector("yunets")


# Common parts


def test_largest_first_then_leftmost() -> None:
    boxes = [(9, 0, 5, 5), (0, 0, 5, 5), (4, 4, 8, 8)]
    ordered = largest_first([DetectedFace(box=box) for box in boxes])  # type: ignore[arg-type]
    assert [face.box for face in ordered] == [(4, 4, 8, 8), (0, 0, 5, 5), (9, 0, 5, 5)]


def test_of_overlapping_faces_the_better_stays() -> None:
    better, nested, beside = (
        DetectedFace(box=box) for box in ((0, 0, 40, 40), (10, 10, 20, 20), (35, 0, 40, 40))
    )
    assert without_overlaps([better, nested, beside]) == [better, beside]
    assert without_overlaps([nested, better, beside]) == [nested, beside]


def test_a_face_scales_with_its_eyes() -> None:
    face = DetectedFace(box=(10, 20, 30, 30), score=0.5, eyes=((15.0, 25.0), (30.5, 26.0)))
    assert face.scaled(2) == DetectedFace(
        box=(20, 40, 60, 60), score=0.5, eyes=((30.0, 50.0), (61.0, 52.0))
    )


@pytest.mark.parametrize(
    ("size", "searched"),
    [
        pytest.param((640, 480), (320, 240), id="half of a camera's frame"),
        pytest.param((1280, 720), (640, 360), id="half of an HD frame"),
        pytest.param((400, 300), (320, 240), id="no less than 320"),
        pytest.param((300, 200), (300, 200), id="small ones as they are"),
        pytest.param((7680, 4320), (640, 360), id="8K"),
        pytest.param((3000, 2), (640, 1), id="a thread"),
    ],
)
def test_size_that_faces_are_looked_for_in(
    size: tuple[int, int], searched: tuple[int, int]
) -> None:
    small, factor = shrunk(np.zeros((size[1], size[0]), np.uint8))
    assert (small.shape[1], small.shape[0]) == searched
    assert factor == searched[0] / size[0]


# Haar


@pytest.mark.parametrize(
    ("width", "height"), [(320, 240), (640, 480), (1280, 720), (1920, 1080), (3840, 2160)]
)
def test_haar_finds_the_one_face_whatever_the_resolution(
    haar: HaarDetector, width: int, height: int
) -> None:
    (face,) = haar.detect(face_fixtures.frame(width, height))
    assert iou(face.box, face_fixtures.face_in_frame(width, height)) > 0.75
    assert face.box[2] == face.box[3]
    assert (face.score, face.eyes, face.is_whole) == (None, None, False)


def test_haar_takes_gray_and_colour_alike(haar: HaarDetector) -> None:
    colour = face_fixtures.frame()
    gray = np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), np.uint8)
    (in_colour,), (in_gray,) = haar.detect(colour), haar.detect(gray)
    assert iou(in_colour.box, in_gray.box) > 0.9


def test_haar_takes_a_mirrored_view(haar: HaarDetector) -> None:
    image = face_fixtures.frame()
    (face,) = haar.detect(image[:, ::-1])
    left, top, side, _ = face_fixtures.face_in_frame()
    assert iou(face.box, (640 - left - side, top, side, side)) > 0.75


@pytest.mark.parametrize("brightness", [0.25, 1.6])
def test_haar_sees_in_the_dark_and_in_the_glare(haar: HaarDetector, brightness: float) -> None:
    image = np.clip(face_fixtures.frame() * brightness, 0, 255).astype(np.uint8)
    (face,) = haar.detect(image)
    assert iou(face.box, face_fixtures.face_in_frame()) > 0.75


@pytest.mark.parametrize(("columns", "rows", "tile"), [(2, 2, 200), (2, 2, 300), (8, 5, 200)])
def test_haar_finds_all_faces_largest_first(
    haar: HaarDetector, columns: int, rows: int, tile: int
) -> None:
    image, boxes = face_fixtures.crowd(columns, rows, tile)

    found = [face.box for face in haar.detect(image)]

    assert len(found) == len(boxes)
    assert all(max(iou(box, other) for other in found) > 0.6 for box in boxes)
    areas = [box[2] * box[3] for box in found]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("side", [48, 64, 100])
def test_haar_finds_a_face_that_fills_a_crop(haar: HaarDetector, side: int) -> None:
    left, top, width, _ = face_fixtures.FACE
    crop = face_fixtures.astronaut()[top : top + width, left : left + width]
    crop = np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    (face,) = haar.detect(crop)
    assert iou(face.box, (0, 0, side, side)) > 0.75


def test_haar_finds_nothing_where_there_is_no_face(haar: HaarDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert haar.detect(noise) == []


def photograph(name: str) -> NDArray[np.uint8]:
    """One of scikit-learn's two photographs, both without people, RGB."""
    return np.asarray(load_sample_image(name), np.uint8)


@table("light", [1.0, 0.3])
@table("name", ["flower.jpg", "china.jpg"])
def test_haar_finds_nobody_in_photographs_of_things(
    haar: HaarDetector, name: str, light: float
) -> None:
    """A few windows that agree by chance are looked at more closely."""
    image = np.asarray(photograph(name) * light, np.uint8)
    height, width = image.shape[:2]
    for part in (image, image[:, ::-1], image[height // 4 :, : width * 3 // 4]):
        for side in (640, 520, 440):
            part, _ = shrunk_to(np.ascontiguousarray(part), side)
            assert haar.detect_frame(part) == []


def test_haar_says_so_when_opencv_lacks_its_cascade(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cv2, "data", SimpleNamespace(haarcascades=str(tmp_path)))
    with pytest.raises(FerBenchError, match=r"expected OpenCV's cascade at .*alt2\.xml"):
        HaarDetector()


def test_haar_says_so_when_opencv_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(FerBenchError, match="no cascade classifier: install 'opencv-python-head"):
        HaarDetector()


# Surroundings, group photos, turned heads


FramedFace = tuple[NDArray[np.uint8], Box]


def on(background: object, *, size: tuple[int, int] = (640, 480), side: int = 140) -> FramedFace:
    """A head so that its face has `side` pixels, on one colour or given pixels, and its box."""
    image = np.zeros((size[1], size[0], 3), np.uint8) + np.asarray(background, np.uint8)
    return paste(image, 200, 120, side)


def paste(image: NDArray[np.uint8], x: int, y: int, side: int) -> FramedFace:
    """Puts the sample's head into an image, RGB; gives that image and the face's box."""
    left, top, head = face_fixtures.HEAD
    whole = round(side * head / face_fixtures.FACE[2])
    crop = face_fixtures.astronaut()[top : top + head, left : left + head]
    area = cv2.INTER_AREA if whole < head else cv2.INTER_CUBIC
    image[y : y + whole, x : x + whole] = cv2.resize(crop, (whole, whole), interpolation=area)
    factor = whole / head
    place = round(x + (171 - left) * factor), round(y + (62 - top) * factor)
    return image, (*place, side, side)


BACKGROUNDS = {
    "white": 255,
    "gray": 59,
    "black": 0,
    "blue": (20, 40, 200),
    "ramp": np.linspace(0, 255, 640).astype(np.uint8)[None, :, None],
}


@table("background", BACKGROUNDS)
@table("light", [1.0, 0.2])
def test_haar_finds_a_face_on_any_background(
    haar: HaarDetector, background: str, light: float
) -> None:
    image, box = on(BACKGROUNDS[background])
    image = np.asarray(image * light, np.uint8)
    for found in (haar.detect(image), haar.detect_frame(image)):
        assert [iou(face.box, box) > 0.6 for face in found] == [True]


@table("border", [64, 256, 384])
@table("colour", [255, 128, 0, (0, 177, 64), (250, 245, 225)])
def test_haar_finds_one_face_in_a_framed_photo(
    haar: HaarDetector, border: int, colour: object
) -> None:
    side = 512 + 2 * border
    image = np.zeros((side, side, 3), np.uint8) + np.asarray(colour, np.uint8)
    image[border : border + 512, border : border + 512] = face_fixtures.astronaut()
    left, top, width, height = face_fixtures.FACE
    box = (left + border, top + border, width, height)
    for found in (haar.detect(image), haar.detect_frame(image)):
        assert [iou(face.box, box) > 0.6 for face in found] == [True]


@pytest.mark.parametrize(
    ("size", "side"), [((4032, 3024), 100), ((6000, 4000), 130), ((14_000, 800), 120)]
)
def test_haar_finds_everybody_in_a_group_photo(
    haar: HaarDetector, size: tuple[int, int], side: int
) -> None:
    image = np.full((size[1], size[0], 3), 190, np.uint8)
    columns = 20 if size[0] > 10_000 else 5
    places = [(200 + 690 * (i % columns), 200 + 650 * (i // columns)) for i in range(20)]
    boxes = [paste(image, x, y, side)[1] for x, y in places]

    found = [face.box for face in haar.detect(image)]

    assert len(found) == 20
    assert all(max(iou(box, other) for other in found) > 0.6 for box in boxes)
    assert haar.detect_frame(image) == []  # video stays quick


def test_a_surely_turned_head_counts_for_more_than_a_doubtful_upright_one(
    haar: HaarDetector,
) -> None:
    """Upside down, five windows agree on a face in the jacket."""
    (face,) = haar.detect(np.ascontiguousarray(np.rot90(face_fixtures.astronaut(), 2)))
    left, top, width, height = face_fixtures.FACE
    assert face.turn == 180
    assert iou(face.box, (512 - left - width, 512 - top - height, width, height)) > 0.6


@table("degrees", [30, -30, 60, 90, -90, 120, -150, 180])
def test_haar_finds_a_turned_head_in_a_still(haar: HaarDetector, degrees: int) -> None:
    image, box = on(150, size=(640, 640), side=150)
    middle = box[0] + box[2] / 2, box[1] + box[3] / 2
    turn = cv2.getRotationMatrix2D(middle, -degrees, 1.0)  # OpenCV's turns counter-clockwise
    turned = np.asarray(
        cv2.warpAffine(image, turn, (640, 640), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )

    (face,) = haar.detect(turned)

    assert iou(face.box, box) > 0.6
    assert abs((face.turn - degrees + 180) % 360 - 180) <= 30
    upright = crop_face(turned, face, InputSpec(size=48, channels=1, mean=(0,), std=(1,)))
    (again,) = haar.detect(cv2.copyMakeBorder(upright, *[60] * 4, cv2.BORDER_REPLICATE))
    assert again.turn == 0


def test_yunet_finds_small_faces_in_a_large_still(stand_in: Path) -> None:
    image = np.zeros((3072, 3840, 3), np.uint8)
    image[512:576, 1024:1088] = (0, 0, 255)  # 32 pixels of the 1920, 10.7 of the 640
    yunet = make_detector("yunet", stand_in)
    assert [face.eyes for face in yunet.detect(image)] == [((1008.0, 512.0), (1040.0, 528.0))]
    assert yunet.detect_frame(image) == []
