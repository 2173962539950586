"""Faces found and false boxes per detector, by background, size, turn and light.

Every face of `--data` (a folder of face pictures, searched with its subfolders) is pasted into a
640x480 still, one at a time. A box is right where it meets the face's with an intersection over
union above 0.4; any other is false. `frame` is the quick look of video, `still` that of pictures.

Prints one JSON line. Run it from the repository's root before and after a change of a detector:
`python -m benchmarks.detection --data FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DETECTORS, Box, FaceDetector, make_detector
from fer_bench.inference.files.images import IMAGE_SUFFIXES, read_image

WIDTH, HEIGHT = 640, 480
RIGHT = 0.4
BACKGROUNDS: dict[str, Callable[[np.random.Generator], NDArray[np.uint8]]] = {
    "white": lambda rng: plain(255),
    "gray": lambda rng: plain(59),
    "black": lambda rng: plain(0),
    "ramp": lambda rng: plain(0) + np.linspace(0, 255, WIDTH).astype(np.uint8)[:, None],
    "noise": lambda rng: rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How the faces are shown."""

    name: str
    background: str = "ramp"
    side: int = 140
    turn: int = 0
    light: float = 1.0


SCENES = (
    *(Scene(name=f"background {name}", background=name) for name in BACKGROUNDS),
    *(Scene(name=f"size {side}", side=side) for side in (48, 70, 100, 200, 300)),
    *(Scene(name=f"turn {turn}", turn=turn) for turn in (-30, 15, 30, 45, 90, 180)),
    *(Scene(name=f"light {light}", light=light) for light in (0.1, 0.2, 0.5, 1.6)),
)


def plain(value: int) -> NDArray[np.uint8]:
    """A still of one gray."""
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def show(
    face: NDArray[np.uint8], scene: Scene, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Box]:
    """A still with one face in it, and the face's box."""
    image, side = BACKGROUNDS[scene.background](rng), scene.side
    left, top = int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side))
    own = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    # OpenCV turns counter-clockwise.
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -scene.turn, 1.0)
    matrix[:, 2] += (left, top)
    mask = cv2.warpAffine(np.full_like(own, 255), matrix, (WIDTH, HEIGHT))
    placed = cv2.warpAffine(own, matrix, (WIDTH, HEIGHT))
    shown = np.where(mask > 127, placed, image) * scene.light
    return np.clip(shown, 0, 255).astype(np.uint8), (left, top, side, side)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def measure(
    detector: FaceDetector, faces: list[NDArray[np.uint8]], scene: Scene, look: str
) -> dict[str, object]:
    """Of one scene: faces found, false boxes, and milliseconds an image."""
    detect = detector.detect if look == "still" else detector.detect_frame
    rng, found, false, spent = np.random.default_rng(0), 0, 0, 0.0
    for face in faces:
        image, box = show(face, scene, rng)
        started = time.perf_counter()
        boxes = [one.box for one in detect(image)]
        spent += time.perf_counter() - started
        right = sum(overlap(one, box) > RIGHT for one in boxes)
        found += right > 0
        false += len(boxes) - right
    return {
        "detector": detector.name,
        "look": look,
        "scene": scene.name,
        "recall": round(found / len(faces), 3),
        "false_boxes": false,
        "ms": round(spent * 1000 / len(faces), 1),
    }


def usable() -> Iterator[FaceDetector]:
    """Every detector whose file is here, but for `whole`, which looks for nothing."""
    for name in DETECTORS:
        with suppress(FerBenchError):
            if name != "whole":
                yield make_detector(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of face pictures")
    parser.add_argument("--faces", type=int, default=120)
    parser.add_argument("--scenes", nargs="*", default=[s.name for s in SCENES])
    asked = parser.parse_args()
    files = sorted(f for f in asked.data.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        sys.exit(f"no picture in {asked.data}: expected a folder of face pictures")
    chosen = np.random.default_rng(0).permutation(len(files))[: asked.faces]
    faces = [read_image(files[i]) for i in sorted(chosen)]
    rows = []
    for detector in usable():
        for scene in (s for s in SCENES if s.name in asked.scenes):
            for look in ("still", "frame"):
                rows.append(measure(detector, faces, scene, look))
                print(rows[-1], file=sys.stderr)
    print(json.dumps({"benchmark": "detection", "faces": len(faces), "rows": rows}))


if __name__ == "__main__":
    main()
