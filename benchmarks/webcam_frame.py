"""One webcam frame, from pixels to emotion: FER Bench against the loop people write today.

Theirs: OpenCV's Haar cascade `default` on the whole gray frame, the largest face through Pillow and
torchvision's transforms into an eager PyTorch ResNet18 at 224 px (random weights: the time is the
same). Ours: `Predictor` with the shipped model, its own detector and the back end that `auto`
chooses. Both see the same 640x480 frames of one face, in turns; each frame is shifted a little.

Prints one JSON line. Run it from the repository's root: `python -m benchmarks.webcam_frame`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import models, transforms

from fer_bench.environment import capture
from fer_bench.inference.load import load

FACE = Path("assets/samples/astronaut.jpg")
Look = Callable[[NDArray[np.uint8]], int]


def camera_frames(n: int) -> list[NDArray[np.uint8]]:
    """`n` RGB frames of 640x480 with one face, each shifted by a few pixels."""
    face = np.asarray(Image.open(FACE).resize((480, 480)))
    padded = np.pad(face, [(8, 8), (88, 88), (0, 0)], mode="edge")
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 16, size=(n, 2))
    return [np.ascontiguousarray(padded[y : y + 480, x : x + 640]) for y, x in corners]


def their_loop() -> Look:
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")
    network = models.resnet18(num_classes=7).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def look(frame: NDArray[np.uint8]) -> int:
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        faces = cascade.detectMultiScale(gray, scaleFactor=1.3, minNeighbors=5)
        for x, y, w, h in sorted(faces, key=lambda box: -box[2])[:1]:
            crop = Image.fromarray(frame[y : y + h, x : x + w])
            with torch.no_grad():
                network(prepare(crop)[None]).softmax(1).argmax()
        return len(faces)

    return look


def our_loop(run: str, results: Path) -> tuple[Look, str]:
    predictor = load(run, results=results)
    backend = predictor.classifier.backend.name
    return lambda frame: len(predictor.predict(frame, video=True).faces), backend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", default="default", help="the run whose model is ours")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    cv2.setNumThreads(asked.threads)
    ours, backend = our_loop(asked.run, asked.results)
    sides = {"theirs": their_loop(), "ours": ours}
    frames = camera_frames(asked.frames)
    for look in sides.values():
        for frame in frames[:10]:
            look(frame)
    taken: dict[str, list[float]] = {side: [] for side in sides}
    faces = dict.fromkeys(sides, 0)
    for frame in frames:
        for side, look in sides.items():
            started = time.perf_counter()
            faces[side] += look(frame)
            taken[side].append((time.perf_counter() - started) * 1000)
    p50, p90 = ({s: float(np.percentile(ms, q)) for s, ms in taken.items()} for q in (50, 90))
    print(f"p50 {p50['theirs']:.1f} / {p50['ours']:.1f} ms", file=sys.stderr)
    seen = capture()
    print(
        json.dumps(
            {
                "benchmark": "webcam_frame",
                "frames": asked.frames,
                "threads": asked.threads,
                "backend": backend,
                "their_ms_p50": round(p50["theirs"], 2),
                "our_ms_p50": round(p50["ours"], 2),
                "ratio": round(p50["theirs"] / p50["ours"], 2),
                "their_ms_p90": round(p90["theirs"], 2),
                "our_ms_p90": round(p90["ours"], 2),
                "their_faces_per_frame": round(faces["theirs"] / asked.frames, 2),
                "our_faces_per_frame": round(faces["ours"] / asked.frames, 2),
                "cpu": seen.processor,
                "packages": seen.packages,
            }
        )
    )


if __name__ == "__main__":
    main()
