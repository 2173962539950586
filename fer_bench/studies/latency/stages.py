"""Where the time of one picture goes: the webcam's own path, timed part by part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
from torch import Tensor

from fer_bench.backends.base import Backend
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.base import make_detector
from fer_bench.inference.predictor import Predictor
from fer_bench.models.classifier import Classifier
from fer_bench.results.reports.latency import Percentiles, Stages
from fer_bench.studies.latency.faces import drawn_frame

WARMUP = 3


def percentiles(milliseconds: Sequence[float]) -> Percentiles:
    """Of one or more calls, interpolated linearly between neighbours."""
    median, p90, p99 = np.percentile(milliseconds, (50, 90, 99)).tolist()
    return Percentiles(median=median, p90=p90, p99=p99, repetitions=len(milliseconds))


def measure_stages(model: Classifier, backend: Backend, seconds: float) -> Stages:
    """A drawn 640x480 frame with one face, from its pixels to its emotion, over and over.

    `detect` finds the face, `model` is the network's call, `preprocess` the rest of the
    classification: crop, resize, normalise, softmax. `total` is all of `Predictor.predict`.
    """
    called: list[float] = []

    def timed(x: Tensor) -> Tensor:
        started = time.perf_counter()
        logits = backend.forward(x)
        called.append((time.perf_counter() - started) * 1000)
        return logits

    classifier = FaceClassifier(
        name=model.request.name, model=model, backend=replace(backend, forward=timed)
    )
    detector = make_detector()
    predictor = Predictor(classifier, detector)
    frame = drawn_frame()
    detect: list[float] = []
    preprocess: list[float] = []
    total: list[float] = []
    with _opencv_threads(backend.threads):
        for _ in range(WARMUP):
            faces = len(predictor.predict(frame, video=True).faces)
        called.clear()
        end = time.perf_counter() + seconds
        while not total or time.perf_counter() < end:
            started = time.perf_counter()
            analysis = predictor.predict(frame, video=True)
            total.append((time.perf_counter() - started) * 1000)
            detect.append(analysis.detect_ms)
            preprocess.append(analysis.classify_ms - called[-1])
    return Stages(
        backend=backend.name,
        threads=backend.threads,
        detector=detector.name,
        frame=(frame.shape[1], frame.shape[0]),
        faces=faces,
        detect=percentiles(detect),
        preprocess=percentiles(preprocess),
        model=percentiles(called),
        total=percentiles(total),
    )


@contextmanager
def _opencv_threads(threads: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
