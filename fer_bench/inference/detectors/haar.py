"""OpenCV's Haar cascade for frontal faces: needs no file of its own and is quick on a CPU.

Viola & Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001; the
cascade `alt2` is Lienhart, Kuranov & Pisarevsky's (DAGM 2003). FER2013 was cropped by its kin: its
box on a FER2013 image is 0.95 to 1.0 of the image's side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import Box, DetectedFace, refuse_file
from fer_bench.inference.detectors.search import Effort, search_frame, search_still

CASCADE = "haarcascade_frontalface_alt2.xml"
#: Smallest face that is looked for, pixels of the shrunk image; the small ones take the time.
MIN_FACE = 28
#: Boxes, at most, that agree on a doubtful face: on light surroundings a face may have no more, in
#: a busy room anything. It counts where their number times that of a closer look is `CONFIRMED`,
#: and twice that next to a surer face.
DOUBTFUL, CONFIRMED = 3, 6
#: A closer look: how far it reaches beyond the box and the smallest face, as shares of the box's
#: side, and from one size to the next. Of 104 doubtful faces it leaves 102, of 35 boxes that
#: show nobody 7; with 0.3 and 0.75 it takes twice the time and leaves 99 and 11.
CLOSER_MARGIN, CLOSER_FACE, CLOSER_STEP = 0.15, 0.8, 1.05
#: From one size of face to the next: in a frame, and in a still or a crop of a face. In one thread
#: the small step takes twice as long.
STEP, FINE_STEP = 1.25, 1.15
#: Boxes that must agree on a face, besides the first.
AGREEING = {Effort.FRAME: 1, Effort.QUICK: 2, Effort.FINE: 3, Effort.THOROUGH: 3, Effort.TURNED: 6}
#: Boxes that agree on a face which is surely one, by the steps that were taken. Of 18 turned copies
#: of a photo no upright box had as many.
SURE = {Effort.FRAME: 6, Effort.QUICK: 6, Effort.FINE: 12, Effort.THOROUGH: 12, Effort.TURNED: 12}
#: An image with no side longer than this is taken for a crop of a face. The cascade wants to see
#: something around one: with the edges repeated by `BORDER` of the side and the fine step it finds
#: 132 of 200 images of FER2013, without either 25.
CROP_SIDE = 128
BORDER = 0.25
#: What a gray value counts for at most in evening the light, as a share of the average value's. Of
#: 120 faces of FER2013 on white a quick look finds 87 by it, 82 by the whole average.
LIGHT_SHARE = 0.1


class HaarDetector:
    """Frontal faces by the cascade `alt2` on a gray image of evened light; gives no scores."""

    name = "haar"

    def __init__(self, model_file: Path | None = None) -> None:
        refuse_file(self.name, model_file)
        if not hasattr(cv2, "CascadeClassifier"):
            raise FerBenchError(
                f"OpenCV {cv2.__version__} has no cascade classifier: install "
                "'opencv-python-headless>=4.12,<5', or use the detector 'yunet'"
            )
        file = Path(cv2.data.haarcascades) / CASCADE
        self._cascade = cv2.CascadeClassifier()
        # OpenCV itself would complain on stderr about a missing file.
        if not file.is_file() or not self._cascade.load(str(file)):
            raise FerBenchError(
                f"expected OpenCV's cascade at {file}, found none that can be read: reinstall "
                "'opencv-python-headless>=4.12,<5', or use the detector 'yunet'"
            )

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_still(self, gray_of(image))

    def detect_frame(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """See `FaceDetector`."""
        return search_frame(self, gray_of(image))

    def look(self, image: NDArray[np.uint8], effort: Effort) -> list[DetectedFace]:
        """See `Looks`, of a gray image; in a fine look and on a crop of a face by small steps."""
        is_crop = max(image.shape) <= CROP_SIDE
        border = round(max(image.shape) * BORDER) if is_crop else 0
        gray = np.asarray(
            cv2.copyMakeBorder(image, *(border,) * 4, borderType=cv2.BORDER_REPLICATE), np.uint8
        )
        quick = effort in (Effort.FRAME, Effort.QUICK)
        candidates: list[tuple[int, Box]] = []
        for light in LIGHTS if effort is Effort.THOROUGH else LIGHTS[:1]:
            even = light(gray)
            boxes = self._boxes(
                even,
                step=STEP if quick and not is_crop else FINE_STEP,
                agreeing=AGREEING[effort],
                smallest=MIN_FACE,
            )
            needed = CONFIRMED * (1 + any(votes > DOUBTFUL for votes, _ in boxes))
            candidates += [
                (votes, (box[0] - border, box[1] - border, *box[2:]))
                for votes, box in boxes
                if is_crop or votes > DOUBTFUL or votes * self._votes_nearby(even, box) >= needed
            ]
        best_first = sorted(candidates, key=lambda pair: -pair[0])
        return [DetectedFace(box=box, certainty=votes / SURE[effort]) for votes, box in best_first]

    def _boxes(
        self, even: NDArray[np.uint8], *, step: float, agreeing: int, smallest: int
    ) -> list[tuple[int, Box]]:
        """Boxes of more than `agreeing` windows that agree, and how many they are."""
        boxes, numbers = self._cascade.detectMultiScale2(
            even, scaleFactor=step, minNeighbors=agreeing, minSize=(smallest, smallest)
        )
        return [
            (int(votes), (int(x), int(y), int(w), int(h)))
            for (x, y, w, h), votes in zip(boxes, numbers, strict=True)
        ]

    def _votes_nearby(self, even: NDArray[np.uint8], box: Box) -> int:
        """How many windows agree on a face where a doubtful box is, in a closer look."""
        left, top, side, _ = box
        margin = round(side * CLOSER_MARGIN)
        rows = slice(max(top - margin, 0), top + side + margin)
        columns = slice(max(left - margin, 0), left + side + margin)
        smallest = round(side * CLOSER_FACE)
        closer = self._boxes(even[rows, columns], step=CLOSER_STEP, agreeing=1, smallest=smallest)
        return max((votes for votes, _ in closer), default=0)


def gray_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Its luma, uint8 `(H, W)`; a gray image itself."""
    return (
        image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    )


def spread_evenly(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Equalised with no gray value counting for more than `LIGHT_SHARE` of the average one.

    Plain equalising spends all its contrast on a white page or a wall of one colour about the face,
    and leaves none for the face; this one stretches what there is.
    """
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    steps = np.minimum(counts, LIGHT_SHARE * gray.size / 256).cumsum()
    table = (steps - steps[0]) * (255 / max(steps[-1] - steps[0], 1))
    return np.asarray(cv2.LUT(gray, np.rint(table).astype(np.uint8)), np.uint8)


def equalised(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every gray value as often as any other."""
    return np.asarray(cv2.equalizeHist(gray), np.uint8)


def as_it_is(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """No change of light."""
    return gray


#: Ways to even out the light; a quick look takes the first, a thorough one all of them.
LIGHTS: tuple[Callable[[NDArray[np.uint8]], NDArray[np.uint8]], ...] = (
    spread_evenly, equalised, as_it_is,
)  # fmt: skip
