"""A stored run, ready for pictures: `fer_bench.load` and `fer_bench.predict`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fer_bench.backends.registry import AUTO
from fer_bench.evaluation.prediction_sets import require_level
from fer_bench.inference.classifier import FaceClassifier, open_classifier
from fer_bench.inference.detectors.base import DEFAULT_DETECTOR, make_detector
from fer_bench.inference.images import Picture
from fer_bench.inference.predictor import Analysis, Predictor
from fer_bench.results.store import open_results
from fer_bench.results.stored_run import StoredRun


def load(
    run: str | Path | StoredRun = "default",
    *,
    results: str | Path | None = None,
    detector: str = DEFAULT_DETECTOR,
    detector_file: str | Path | None = None,
    backend: str = AUTO,
    sets: float | None = None,
) -> Predictor:
    """A trained run with a face detector.

    Its network is read once in a process, and again when it was trained anew.

    Args:
        run: its name, `dataset/run`, its folder, `hub:ORG/NAME` for one of the Hugging Face hub, or
            `default` for the shipped model; or one that `open_results` gave.
        results: where runs are, see `open_results`.
        detector: `haar`, `yunet`, `mediapipe`, or `whole` for pictures that are a face already.
        detector_file: the network of `yunet` or `mediapipe`; None looks where `fetch` puts it.
        backend: `auto` measures once which of the back ends is fastest here.
        sets: how often a face's set of emotions shall hold the true one, such as 0.9; None for no
            sets.

    Raises:
        FerBenchError: no such run, detector or back end, a run without weights, or sets that are
            not to be had.

    Examples:
        >>> predictor = load("default", backend="torch-fp32")
        >>> predictor.classifier.emotions
        ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """
    stored = run if isinstance(run, StoredRun) else open_results(results).find(str(run))
    finder = make_detector(
        detector, None if detector_file is None else Path(detector_file)
    )  # before the model, which takes longer
    if sets is not None:
        require_level(sets)
    classifier = _open(stored, backend, stored.weights_written)
    return Predictor(classifier, finder, None if sets is None else classifier.set_rule(sets))


def predict(
    picture: Picture, run: str | Path | StoredRun = "default", *, results: str | Path | None = None
) -> Analysis:
    """The faces of one picture and their emotions.

    Args:
        picture: a path, bytes, PIL image, or uint8 array `(H, W, 3)` RGB or `(H, W)` gray.
        run: as for `load`.
        results: as for `load`.

    Raises:
        FerBenchError: as `load`, or a picture that cannot be read.

    Examples:
        >>> (face,) = predict("assets/samples/astronaut.jpg").faces
        >>> face.emotion
        'happy'
    """
    return load(run, results=results).predict(picture)


@lru_cache(maxsize=4)
def _open(run: StoredRun, backend: str, written: tuple[int, ...]) -> FaceClassifier:
    return open_classifier(run, backend)
