"""Faces found and false boxes per detector, by background, size, turn and light.

Every face of `--data` (a folder of face pictures, searched with its subfolders) is pasted into a
640x480 still, one at a time. A box is right where it meets the face's with an intersection over
union above 0.4; any other is false. `frame` is the quick look of video, `still` that of pictures,
`equalised` what the cascade found when the whole picture's histogram was equalised.

Prints a table of faces found (stderr) and one JSON line. Run it from the repository's root before
and after a change of a detector: `python -m benchmarks.detection --data FOLDER`.
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

from fer_bench.data.files.archive import IMAGE_SUFFIXES
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors import haar
from fer_bench.inference.detectors.base import (
    DETECTORS,
    Box,
    DetectedFace,
    make_detector,
    shrunk,
    without_overlaps,
)
from fer_bench.inference.images import read_image

Detect = Callable[[NDArray[np.uint8]], list[DetectedFace]]
WIDTH, HEIGHT = 640, 480
RIGHT = 0.4
BACKGROUNDS: dict[str, Callable[[np.random.Generator], NDArray[np.uint8]]] = {
    "white": lambda rng: plain(255),
    "gray": lambda rng: plain(128),
    "dark gray": lambda rng: plain(59),
    "light gray": lambda rng: plain(200),
    "green": lambda rng: plain(0, 177, 64),
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


class EqualisedHaar:
    """The cascade as it was used before: on the whole picture's equalised histogram."""

    name = "haar"

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / haar.CASCADE))

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """The faces of an image, largest first."""
        small, factor = shrunk(image)
        found, agreeing = self._cascade.detectMultiScale2(
            cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)),
            scaleFactor=haar.STEP,
            minNeighbors=2,
            minSize=(haar.MIN_FACE, haar.MIN_FACE),
        )
        best_first = sorted(zip(agreeing, found, strict=True), key=lambda pair: -pair[0])
        faces = [
            DetectedFace(box=(int(x), int(y), int(w), int(h))) for _, (x, y, w, h) in best_first
        ]
        return without_overlaps([face.scaled(1 / factor) for face in faces])


def plain(*colour: int) -> NDArray[np.uint8]:
    """A still of one gray or colour."""
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


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
    name: str, look: str, detect: Detect, faces: list[NDArray[np.uint8]], scene: Scene
) -> dict[str, object]:
    """Of one scene: faces found, false boxes, and milliseconds an image."""
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
        "detector": name,
        "look": look,
        "scene": scene.name,
        "found": found,
        "recall": round(found / len(faces), 3),
        "false_boxes": false,
        "ms": round(spent * 1000 / len(faces), 1),
    }


def looks() -> Iterator[tuple[str, str, Detect]]:
    """The ways to look of every detector whose file is here, but for `whole`."""
    yield "haar", "equalised", EqualisedHaar().detect
    for name in DETECTORS:
        with suppress(FerBenchError):
            if name != "whole":
                detector = make_detector(name)
                yield name, "frame", detector.detect_frame
                yield name, "still", detector.detect


def table(rows: list[dict[str, object]]) -> str:
    """Faces found and false boxes by scene and look, and how many more than `equalised` found."""
    ways = list(dict.fromkeys((str(row["detector"]), str(row["look"])) for row in rows))
    cells = {(row["scene"], row["detector"], row["look"]): row for row in rows}
    lines = [f"{'found (more) /false':22}" + "".join(f"{' '.join(way):>18}" for way in ways)]
    for scene in dict.fromkeys(str(row["scene"]) for row in rows):
        line, before = f"{scene:22}", cells[scene, "haar", "equalised"]["found"]
        for way in ways:
            row = cells[scene, *way]
            more = int(str(row["found"])) - int(str(before))
            line += f"{row['found']:>8} ({more:+}) /{row['false_boxes']}".rjust(18)
        lines.append(line)
    return "\n".join(lines)


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
    for name, look, detect in looks():
        for scene in (s for s in SCENES if s.name in asked.scenes):
            rows.append(measure(name, look, detect, faces, scene))
            print(rows[-1], file=sys.stderr)
    print(table(rows), file=sys.stderr)
    print(json.dumps({"benchmark": "detection", "faces": len(faces), "rows": rows}))


if __name__ == "__main__":
    main()
