"""The faces that latency is measured with: to calibrate int8 on, to compare on, and in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_bench.backends.quantize import CALIBRATING
from fer_bench.data.dataset import FaceDataset, draw_rows
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.types import Split

#: Operations that one back end may take for the faces that all are compared on, ten seconds or so
#: in fp32; and the fewest and the most of these faces.
COMPARING = 10**12
FEWEST, MOST = 100, 1000
#: Drawn faces of each emotion, for either purpose.
DRAWN = 4
#: The frame of a webcam, and the side of the face in its middle, pixels.
FRAME = (640, 480)
FACE = 300


@dataclass(frozen=True, kw_only=True)
class LatencyFaces:
    """All uint8, `(N, H, W)` gray or `(N, H, W, 3)` RGB.

    Attributes:
        calibration: of the training split; None where int8 has to do without.
        compared: what the back ends' logits are compared on, N >= 1.
        source: where these are from: a data set's name, or `synthetic`.
    """

    calibration: NDArray[np.uint8] | None
    compared: NDArray[np.uint8]
    source: str


def faces_of(dataset: FaceDataset, flops: int | None) -> LatencyFaces:
    """Faces of the training split to calibrate on, and others to compare on.

    Those are of the validation split, or of the test split where there is no other.

    Args:
        flops: of the network, per face; one that is large, or not known, is compared on fewer
            faces.

    Raises:
        FerBenchError: no training split, or nothing next to it.
    """
    sizes = dataset.split_sizes()
    other: Split = "val" if sizes["val"] else "test"
    if not sizes["train"] or not sizes[other]:
        raise FerBenchError(
            f"{dataset.source} has {sizes['train']:,} training images and {sizes[other]:,} others: "
            "expected both, to calibrate int8 on the ones and to compare it on the others"
        )
    most = min(max(COMPARING // (flops or COMPARING), FEWEST), MOST)
    drawn = (
        draw_rows(dataset.indices("train"), CALIBRATING),
        draw_rows(dataset.indices(other), most),
    )
    calibration, compared = (np.asarray(dataset.images[rows]) for rows in drawn)
    return LatencyFaces(calibration=calibration, compared=compared, source=dataset.name)


def drawn_faces(*, calibrate: bool) -> LatencyFaces:
    """Drawn faces of every emotion.

    Args:
        calibrate: whether int8 may be calibrated on such; it should not where real faces will
            follow.
    """
    rng = np.random.default_rng(0)
    drawn = [
        np.stack([draw_face(emotion, size=48, rng=rng) for emotion in FER2013 * DRAWN])
        for _ in range(2)
    ]
    calibration = drawn[1] if calibrate else None
    return LatencyFaces(calibration=calibration, compared=drawn[0], source="synthetic")


def drawn_frame() -> NDArray[np.uint8]:
    """A webcam's frame with one happy face, uint8 `(480, 640, 3)` RGB."""
    width, height = FRAME
    frame = np.full((height, width, 3), 127, np.uint8)
    face = draw_face("happy", size=FACE, rng=np.random.default_rng(0))
    top, left = (height - FACE) // 2, (width - FACE) // 2
    frame[top : top + FACE, left : left + FACE] = face[:, :, None]
    return frame
