"""Videos through a predictor: the faces per frame, and an annotated copy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.inference.face_tracker import FaceTracker
from fer_bench.inference.files.batch import FileResult, batches
from fer_bench.inference.predictor import FacePrediction, Predictor
from fer_bench.inference.video.frame import Frame
from fer_bench.inference.video.reader import VideoReader
from fer_bench.inference.video.writer import annotated_copy
from fer_bench.types import Progress, silent


def predict_video(
    predictor: Predictor,
    path: Path,
    *,
    every: int = 1,
    batch_size: int = 16,
    copy_to: Path | None = None,
    progress: Progress = silent,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[FileResult]:
    """The faces of every `every`-th frame of a video; at its end, what was not read or written.

    Args:
        copy_to: where an annotated copy of all frames goes; frames between two analysed ones show
            the faces of the last.
        is_cancelled: asked before each frame; once it says so, what was analysed until then is the
            whole result.

    Raises:
        FerBenchError: `every` below 1.
    """
    if every < 1:
        raise FerBenchError(f"expected every = 1 or more frames, got {every}")
    try:
        reader = VideoReader(path)
    except FerBenchError as error:
        yield FileResult(path=path, error=str(error))
        return
    with ExitStack() as stack:
        stack.enter_context(reader)
        copy = None
        if copy_to is not None:
            emotions = predictor.classifier.emotions
            copy = stack.enter_context(annotated_copy(copy_to, reader, emotions))
        frames = takewhile(
            lambda _: not is_cancelled(), reader.frames(copy.add_sound if copy else None)
        )
        shots = _shots(frames, every, copy is not None)
        faces: tuple[FacePrediction, ...] = ()
        tracks: tuple[int, ...] = ()
        tracker = FaceTracker(keep_frames=2)
        for chunk in batches(shots, batch_size):
            analysed = [shot.image for shot in chunk if shot.frame.number % every == 0]
            predictions = deque(predictor.predict_batch(analysed, video=True))
            del analysed
            while chunk:
                shot = chunk.popleft()
                number = shot.frame.number
                if number % every == 0:
                    faces = predictions.popleft().faces
                    tracks = tuple(tracker.update([face.box for face in faces], shot.frame.time_s))
                    yield FileResult(
                        path=path,
                        image=shot.image,
                        faces=faces,
                        tracks=tracks,
                        frame=number,
                        time_s=shot.frame.time_s,
                        backend=predictor.classifier.backend.name,
                    )
                if copy is not None:
                    copy.add(shot.frame, shot.image, faces, tracks)
                progress("frames", number + 1, max(reader.n_expected, number + 1), {})
    problem = reader.problem  # looks into the file
    if problem is not None and (reader.n_read or not is_cancelled()):
        yield FileResult(path=path, error=problem)
    if copy is not None and copy.problem is not None:
        yield FileResult(path=path, error=copy.problem, unwritten=True)


@dataclass(frozen=True, kw_only=True)
class _Shot:
    """A frame without its `raw`, which the image has replaced."""

    frame: Frame
    image: NDArray[np.uint8]


def _shots(frames: Iterable[Frame], every: int, everything: bool) -> Iterator[_Shot]:
    """The frames that are needed, as images: all of them or every `every`-th."""
    for frame in frames:
        if everything or frame.number % every == 0:
            yield _Shot(frame=replace(frame, raw=None), image=frame.image())
