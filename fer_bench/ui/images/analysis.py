"""Pictures and what networks say of them: analysed once, cached between reruns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.ui.models import weights_changed

if TYPE_CHECKING:  # torch loads only when a picture is analysed
    from fer_bench.inference.adjust import Adjustment
    from fer_bench.inference.classifier import FaceClassifier
    from fer_bench.inference.predictor import Analysis

#: More pictures than this at once are a job for `python -m fer_bench predict`.
MOST_PICTURES = 200
MOST_MODELS = 3


@dataclass(frozen=True, kw_only=True)
class GivenPicture:
    """A file as it was given.

    Attributes:
        key: different for every content; what its results are cached under.
    """

    name: str
    key: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What is done to every picture before a network sees its faces."""

    adjustment: Adjustment
    detector: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """A picture and what became of it: analyses by `dataset/run`, or the reason why there are none.

    Attributes:
        size: width and height in pixels, after the adjustment.
    """

    picture: GivenPicture
    size: tuple[int, int] = (0, 0)
    analyses: Mapping[str, Analysis]
    error: str | None = None

    @property
    def n_faces(self) -> int:
        """How many faces the detector found."""
        return max((len(analysis.faces) for analysis in self.analyses.values()), default=0)


@st.cache_resource(max_entries=2, show_spinner=False)
def image_of(_picture: GivenPicture, key: str, adjustment: Adjustment) -> NDArray[np.uint8]:
    """A picture's pixels, adjusted: uint8 `(H, W, 3)` RGB; shared, so not writeable.

    Raises:
        FerBenchError: the file is no picture, or nothing of it is left.
    """
    from fer_bench.inference.adjust import adjust
    from fer_bench.inference.images import decode_image

    image = adjust(decode_image(_picture.data, _picture.name), adjustment)
    image.flags.writeable = False
    return image


# A face takes about 300 bytes, so room for every model on every picture of one batch, twice.
@st.cache_data(max_entries=2 * MOST_PICTURES * MOST_MODELS, show_spinner=False)
def _analysed(
    _picture: GivenPicture,
    _classifier: FaceClassifier,
    key: str,
    adjustment: Adjustment,
    detector: str,
    run: str,
    changed: tuple[int, ...],
) -> tuple[tuple[int, int], Analysis]:
    from fer_bench.inference.detectors.base import make_detector
    from fer_bench.inference.predictor import Predictor

    image = image_of(_picture, key, adjustment)
    analysis = Predictor(_classifier, make_detector(detector)).predict(image)
    return (image.shape[1], image.shape[0]), analysis


def analyse(
    picture: GivenPicture, treatment: Treatment, classifiers: Mapping[str, FaceClassifier]
) -> Result:
    """One picture by every model; a picture that cannot be read says why."""
    size, analyses = (0, 0), {}
    try:
        for run, classifier in classifiers.items():
            size, analyses[run] = _analysed(
                picture,
                classifier,
                picture.key,
                treatment.adjustment,
                treatment.detector,
                run,
                weights_changed(run),
            )
    except FerBenchError as error:
        return Result(picture=picture, analyses={}, error=str(error))
    return Result(picture=picture, size=size, analyses=analyses)


def analyse_all(
    pictures: Sequence[GivenPicture],
    treatment: Treatment,
    classifiers: Mapping[str, FaceClassifier],
) -> list[Result]:
    """`analyse` for each, with a bar that says how far it is."""
    if len(pictures) == 1:
        return [analyse(pictures[0], treatment, classifiers)]
    results = []
    bar = st.progress(0.0)
    for number, picture in enumerate(pictures, start=1):
        results.append(analyse(picture, treatment, classifiers))
        bar.progress(number / len(pictures), f"{number:,} of {len(pictures):,} pictures")
    bar.empty()
    return results
