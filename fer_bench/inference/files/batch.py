"""Many images through one predictor: found, read ahead, classified together, in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.images import read_image
from fer_bench.inference.predictor import FacePrediction, Predictor

#: How far reading runs ahead of detection: whichever is reached first.
AHEAD_FILES, AHEAD_BYTES = 8, 16 * 2**20
READERS = 2
#: A batch is closed early when its images have so many pixels together (75 MB as RGB).
BATCH_PIXELS = 25_000_000


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """An image, or one frame of a video, with its faces; or why there is none.

    Attributes:
        image: what was analysed, uint8 `(H, W, 3)` RGB, upright; None where nothing could be read.
        faces: largest first; empty where the detector found none.
        tracks: of videos, a number for each face, from 1, that stays the same from frame to frame.
        frame, time_s: number from 0 and seconds in the video; None for images.
        backend: what the network ran on; None where nothing was analysed.
        unwritten: whether the error is about the annotated copy: what was asked for could be read.
    """

    path: Path
    image: NDArray[np.uint8] | None = None
    faces: tuple[FacePrediction, ...] = ()
    tracks: tuple[int, ...] = ()
    frame: int | None = None
    time_s: float | None = None
    backend: str | None = None
    error: str | None = None
    unwritten: bool = False


def predict_files(
    predictor: Predictor, paths: Iterable[Path], *, batch_size: int = 32
) -> Iterator[FileResult]:
    """The faces of image files, in the order given; an unreadable one is a result with its error.

    `READERS` threads read ahead while the calling thread detects and classifies. At most
    `AHEAD_FILES` read images and one batch are alive at a time: use a result before taking the
    next, and do not collect their images.
    """
    for batch in batches(_read_ahead(paths), batch_size):
        results = deque(_analysed(predictor, batch))
        batch.clear()
        while results:
            yield results.popleft()


def _analysed(predictor: Predictor, batch: Iterable[FileResult]) -> list[FileResult]:
    images = [one.image for one in batch if one.image is not None]
    predictions = iter(predictor.predict_batch(images))
    backend = predictor.classifier.backend.name
    return [
        one if one.image is None else replace(one, faces=next(predictions).faces, backend=backend)
        for one in batch
    ]


class HasImage(Protocol):
    """Something with an image, or None in its place."""

    @property
    def image(self) -> NDArray[np.uint8] | None: ...


AnyHasImage = TypeVar("AnyHasImage", bound=HasImage)


def batches(things: Iterable[AnyHasImage], batch_size: int) -> Iterator[deque[AnyHasImage]]:
    """Up to `batch_size` at a time, fewer where their images are large (`BATCH_PIXELS`)."""
    batch: deque[AnyHasImage] = deque()
    pixels = 0
    for thing in things:
        batch.append(thing)
        if thing.image is not None:
            pixels += thing.image.shape[0] * thing.image.shape[1]
        if len(batch) >= batch_size or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = deque(), 0
    if batch:
        yield batch


def _read_ahead(paths: Iterable[Path]) -> Iterator[FileResult]:
    waiting: deque[tuple[Future[FileResult], int]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        try:
            for path in paths:
                waiting.append((pool.submit(_read, path), _size(path)))
                while len(waiting) >= AHEAD_FILES or sum(s for _, s in waiting) > AHEAD_BYTES:
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:  # the consumer may have gone
            for future, _ in waiting:
                future.cancel()


def _read(path: Path) -> FileResult:
    try:
        return FileResult(path=path, image=read_image(path))
    except FerBenchError as error:
        return FileResult(path=path, error=str(error))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
