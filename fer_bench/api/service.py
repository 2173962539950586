"""What happens to a request's pictures: admitted, looked at, named in batches, explained."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_bench.api.batching import Batcher
from fer_bench.api.detection import DetectorPool, heat_map
from fer_bench.api.metrics import Metrics
from fer_bench.api.model_pool import Networks
from fer_bench.api.schemas import HealthStatus, ImageResult, PredictOptions
from fer_bench.api.settings import ServeSettings
from fer_bench.api.uploads import Picture
from fer_bench.errors import FerBenchError, suggest
from fer_bench.inference.detectors.base import FaceDetector
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.writers import as_entry
from fer_bench.inference.predictor import FacePrediction, Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A picture's faces, largest first; or why it could not be read.

    Attributes:
        image: uint8 `(H, W, 3)` RGB, only where it was asked for.
        heat_maps: base64 PNGs of the first faces, where they were asked for.
    """

    name: str
    error: FerBenchError | None = None
    image: NDArray[np.uint8] | None = None
    faces: tuple[FacePrediction, ...] = ()
    heat_maps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one request gets.

    Attributes:
        model: `dataset/name`.
        backend: what its network ran on.
    """

    model: str
    backend: str
    emotions: tuple[str, ...]
    pictures: list[Answer]

    def documents(self) -> list[ImageResult]:
        """As `predict --json` writes them, with the clients' names instead of paths."""
        return [self._document(answer) for answer in self.pictures]

    def _document(self, answer: Answer) -> ImageResult:
        ran_on, error = (None, str(answer.error)) if answer.error else (self.backend, None)
        result = FileResult(path=Path(), faces=answer.faces, backend=ran_on, error=error)
        entry = as_entry(result, self.emotions)
        del entry["path"]
        for face, heat in zip(entry["faces"], answer.heat_maps, strict=False):
            face["heat_map"] = heat
        return ImageResult(name=answer.name, **entry)


class Service:
    """What one app works with.

    Attributes:
        on_failure: called when the default model cannot be opened.

    Raises:
        FerBenchError: an unknown run or detector.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.networks = Networks(settings)
        self.detection = DetectorPool(settings)
        self.stopping = False
        self.on_failure: Callable[[FerBenchError], None] = _log_failure
        self._at_work = 0
        self._batching: asyncio.Task[None] | None = None
        self._batcher = Batcher(
            max_faces=settings.max_batch,
            wait=settings.batch_wait,
            n_pending=lambda: self.detection.n_detecting,
            on_batch=metrics.count_batch,
        )
        metrics.watch_queue(lambda: self._at_work)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens the default model and classifies while the block lasts; then finishes what is at
        work, within `stop_within` seconds."""
        self._batching = asyncio.create_task(self._batcher.run())
        opening = asyncio.create_task(self._open_default())
        try:
            yield
        finally:
            self.stopping = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.stop_within):
                    while self._at_work:
                        await asyncio.sleep(0.02)
            opening.cancel()
            self._batching.cancel()
            self.detection.close()
            self.networks.close()

    async def _open_default(self) -> None:
        try:
            await self.networks.open_default()
        except FerBenchError as error:
            self.on_failure(error)

    @property
    def status(self) -> HealthStatus:
        """`ready`, `loading`, `stopping`, or `broken` where nothing is classified any more."""
        if self.stopping:
            return "stopping"
        if self._batching is None or self._batching.done():
            return "broken"
        return "ready" if self.networks.is_open() else "loading"

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A slot in the queue, from before a request's body is read until its answer is there.

        Raises:
            FerBenchError: all are taken, or it is stopping.
        """
        if self.stopping:
            raise FerBenchError("the server is stopping: ask it again in a while", code="not_ready")
        if self._at_work >= self.settings.max_queue:
            raise FerBenchError(
                f"{self._at_work} requests are at work already: try again in a second", code="busy"
            )
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    async def analyse(
        self, pictures: Sequence[Picture], options: PredictOptions, *, keep_images: bool = False
    ) -> Answers:
        """Each picture's answer, in order.

        Raises:
            FerBenchError: what was asked for is not here, it takes too long, or the model cannot
                be opened, gives no numbers or cannot be explained.
        """
        detector = self._detector(options)
        limit = self.settings.time_limit
        try:
            async with asyncio.timeout(limit):
                name, classifier = await self.networks.get(options.model)
                rule = None
                if options.sets is not None:
                    rule = await self.detection.run_in_thread(classifier.set_rule, options.sets)
                predictor = Predictor(classifier, detector, rule)
                answers = await asyncio.gather(
                    *(self._answer(p, predictor, options.explain, keep_images) for p in pictures)
                )
        except TimeoutError:
            raise FerBenchError(
                f"no answer within {limit:g} s: send less at once, or try again", code="not_ready"
            ) from None
        return Answers(
            model=name,
            backend=classifier.backend.name,
            emotions=classifier.emotions,
            pictures=answers,
        )

    def _detector(self, options: PredictOptions) -> FaceDetector:
        offered = self.detection.detectors
        name = self.settings.detector if options.detector is None else options.detector
        if name not in offered:
            raise FerBenchError(
                f"the detector {name!r} is not offered here: {suggest(name, offered)}",
                code="bad_field",
            )
        return offered[name]

    async def _answer(
        self, picture: Picture, predictor: Predictor, explain: bool, keep_image: bool
    ) -> Answer:
        seen = await self.detection.detect(picture, predictor, explain, keep_image)
        answer = Answer(name=picture.name, error=seen.error, image=seen.image)
        if seen.prepared is None:
            return answer
        rows = await self._batcher.probabilities(predictor.classifier, seen.prepared)
        faces = tuple(predictor.name(face, row) for face, row in zip(seen.faces, rows, strict=True))
        maps = [
            await self.detection.run_in_thread(heat_map, predictor.classifier, crop, face.emotion)
            for crop, face in zip(seen.crops, faces, strict=False)
        ]
        return replace(answer, faces=faces, heat_maps=tuple(maps))


def _log_failure(error: FerBenchError) -> None:
    log.error("the default model cannot be opened: %s", error)
