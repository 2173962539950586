"""The page's own code against OpenCV and PyTorch: boxes, crops and inputs, run in Chromium."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from browser_fixtures import require_chromium
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from benchmarks.harness.dashboard import ROOT, chromium
from benchmarks.web_page import serving_folder
from fer_bench.bundles.cascade import cascade_document, cascade_licence, cascade_xml
from fer_bench.bundles.contents import detector_settings
from fer_bench.data.preprocess import to_input
from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.haar import CASCADE, HaarDetector
from fer_bench.types import InputSpec

ASTRONAUT = np.asarray(Image.open(ROOT / "assets/samples/astronaut.jpg").convert("RGB"))
#: Reads `{width, height, channels, pixels}` as the page's images.
IMAGE = """({ width, height, channels, pixels }) => ({
    width, height, channels, data: Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0)),
})"""
RAW_BOXES = f"""async ({{ cascade, images, settings }}) => {{
    const {{ Cascade }} = await import("/cascade.js");
    const detector = new Cascade(cascade);
    return images.map({IMAGE}).flatMap((gray) => settings.map((set) =>
        detector.detect(gray, set).map((b) => [b.x, b.y, b.width, b.height, b.agreeing])));
}}"""
FACES = f"""async ({{ cascade, images, settings, isVideo }}) => {{
    const {{ HaarDetector }} = await import("/detector.js");
    const detector = new HaarDetector(cascade, settings);
    const search = (image) => isVideo ? detector.detectFrame(image) : detector.detect(image);
    return images.map({IMAGE}).map((image) =>
        search(image).map((b) => [[b.x, b.y, b.width, b.height], b.turn]));
}}"""
INPUTS = f"""async ({{ images, box, spec }}) => {{
    const {{ cropFace, toInput }} = await import("/preprocess.js");
    return images.map({IMAGE}).map((image) => {{
        const crop = box ? cropFace(image, box, spec.face_margin) : image;
        return Array.from(toInput(crop, spec));
    }});
}}"""
SPECS = [
    InputSpec(size=48, channels=1, mean=(0.5,), std=(0.25,), face_margin=0.2),
    InputSpec(
        size=64, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), interpolation="bicubic"
    ),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A tab that may import the page's scripts."""
    require_chromium()
    with (
        as_file(files("fer_bench.bundles") / "web") as folder,
        serving_folder(folder) as address,
        chromium() as browser,
    ):
        tab = browser.new_page()
        tab.goto(f"{address}icon.svg")
        yield tab


@pytest.fixture(scope="module")
def cascade() -> dict[str, Any]:
    return cascade_document(cascade_xml())


def sent(image: NDArray[np.uint8]) -> dict[str, Any]:
    """An image as `IMAGE` reads it."""
    pixels = base64.b64encode(np.ascontiguousarray(image).tobytes()).decode()
    height, width = image.shape[:2]
    channels = 3 if image.ndim == 3 else 1
    return {"width": width, "height": height, "channels": channels, "pixels": pixels}


def scenes(n: int, seed: int) -> list[NDArray[np.uint8]]:
    """Parts of a photograph about a face, RGB, in many sizes, some darker or noisy."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        left, top = random.integers(0, 170), random.integers(0, 50)
        right, bottom = random.integers(290, 512), random.integers(190, 512)
        part = ASTRONAUT[top:bottom, left:right]
        scale = random.uniform(0.4, 2.2)
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        part = part * random.uniform(0.4, 1) + random.normal(0, random.choice([0, 8]), part.shape)
        found.append(np.clip(part, 0, 255).astype(np.uint8))
    return found


def test_boxes_are_opencvs_one_by_one(page: Page, cascade: dict[str, Any]) -> None:
    """So are the numbers of raw boxes behind each: a single differing window would show."""
    classifier = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))
    noise = np.random.default_rng(0).integers(0, 256, (150, 211), dtype=np.uint8)
    images = [cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY) for scene in scenes(24, seed=1)]
    images += [noise, np.full((90, 90), 7, np.uint8), images[0][:20, :19], images[0][:40, :40]]
    settings = [(1.25, 2, 28), (1.1, 1, 20), (1.4, 0, 33)]
    expected = []
    for image in images:
        for step, neighbours, least in settings:
            found, agreeing = classifier.detectMultiScale2(
                image, scaleFactor=step, minNeighbors=neighbours, minSize=(least, least)
            )
            rows = zip(found, agreeing, strict=True)
            expected.append(sorted([*map(int, box), int(n)] for box, n in rows))
    keys = ("scaleFactor", "minNeighbors", "minSize")
    given = page.evaluate(
        RAW_BOXES,
        {
            "cascade": cascade,
            "images": [sent(image) for image in images],
            "settings": [dict(zip(keys, one, strict=True)) for one in settings],
        },
    )
    assert [sorted(boxes) for boxes in given] == expected
    assert sum(map(len, expected)) > 100


@pytest.mark.parametrize("is_video", [False, True], ids=["stills", "frames"])
def test_faces_are_those_that_predict_finds(
    is_video: bool, page: Page, cascade: dict[str, Any]
) -> None:
    """Photographs, crops, dark ones, heads that are turned and pictures of nobody."""
    images = scenes(4, seed=2)
    images += [ASTRONAUT, ASTRONAUT[60:180, 170:280], cv2.resize(ASTRONAUT, (700, 701))]
    images += [cv2.resize(np.hstack([ASTRONAUT, ASTRONAUT[:, ::-1]]), (641, 480))]
    face = ASTRONAUT[20:220, 120:330]
    images += [cv2.rotate(face, cv2.ROTATE_90_CLOCKWISE), cv2.rotate(face, cv2.ROTATE_180)]
    images += [face // 5, np.full((100, 240, 3), 90, np.uint8)]
    detector = HaarDetector()
    search = detector.detect_frame if is_video else detector.detect
    expected = [[[list(face.box), face.turn] for face in search(image)] for image in images]
    given = page.evaluate(
        FACES,
        {
            "cascade": cascade,
            "images": [sent(image) for image in images],
            "settings": detector_settings(),
            "isVideo": is_video,
        },
    )
    assert given == expected
    assert len(expected[7]) >= 2
    turns = {turn for faces in expected for _, turn in faces}
    assert turns == ({0} if is_video else {0, 90, 180})


@pytest.mark.parametrize("spec", SPECS, ids=["gray, bilinear", "RGB, bicubic"])
@pytest.mark.parametrize(
    ("box", "turn"),
    [(None, 0), ((180, 70, 97, 97), 0), ((-9, 400, 300, 300), 0), ((180, 70, 97, 97), -60)],
    ids=["whole", "face", "over the edge", "turned"],
)
def test_inputs_are_those_of_training(
    page: Page, spec: InputSpec, box: tuple[int, int, int, int] | None, turn: float
) -> None:
    images = [ASTRONAUT, ASTRONAUT[:48, :48], ASTRONAUT[:31, 5:100]] if box is None else [ASTRONAUT]
    crops = [
        crop_face(image, DetectedFace(box=box, turn=turn), spec) if box else image
        for image in images
    ]
    expected = [to_input(crop[None], spec)[0].flatten() for crop in crops]
    keys = ("x", "y", "width", "height")
    given = page.evaluate(
        INPUTS,
        {
            "images": [sent(image) for image in images],
            "box": dict(zip(keys, box, strict=True)) | {"turn": turn} if box else None,
            "spec": spec.model_dump(mode="json"),
        },
    )
    for values, right in zip(given, expected, strict=True):
        apart = (torch.tensor(values) - right).abs()
        assert (apart < 2e-5).double().mean() > 0.999  # a gray level may round the other way
        assert apart.max() < 1.01 / 255 / min(spec.std)


def test_the_cascades_licence_travels_with_it() -> None:
    licence = cascade_licence(cascade_xml())
    assert licence.startswith("Tree-based 20x20 gentle adaboost frontal face detector.")
    assert "Redistribution's in binary form must reproduce the above copyright notice" in licence
    assert licence.endswith("possibility of such damage.")
