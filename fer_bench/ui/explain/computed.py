"""What the page Explain computes about a run's network, with a bar, and keeps between visits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.dataset import FaceDataset
from fer_bench.evaluation.gallery import ImagesById, enlarged
from fer_bench.formatting import how_many, time_left
from fer_bench.results.record import RunRecord
from fer_bench.types import Progress
from fer_bench.ui import models

if TYPE_CHECKING:  # torch loads only when there is a model to open
    from fer_bench.inference.classifier import FaceClassifier

#: Runs whose results stay in memory; the disk keeps what took long.
MOST_SUBJECTS = 4
HEAT_SIDE = 144
#: The image of the address that page Explain looks at closely.
FACE_PARAMETER = "face"
#: Exact, and open at once.
BACKEND = "torch-fp32"
#: Where a visit remembers what it cancelled last.
CANCELLED = "explain-cancelled"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run's network and the data it was measured on; `run` is `dataset/run`."""

    run: str
    record: RunRecord
    dataset: FaceDataset
    images: ImagesById

    @property
    def classifier(self) -> FaceClassifier:
        """The network, opened when it is first asked for.

        Raises:
            FerBenchError: as `ui.models.classifier`.
        """
        return models.classifier(self.run, BACKEND)


@st.cache_resource(max_entries=MOST_SUBJECTS, show_spinner=False)
def _memory(run: str, changed: tuple[int, ...], fingerprint: str) -> dict[object, Any]:
    """What is known about a network on some data: filled as it is asked for, shared by sessions."""
    return {}


def _memory_of(subject: Subject) -> dict[object, Any]:
    return _memory(subject.run, models.weights_changed(subject.run), subject.dataset.fingerprint)


@contextmanager
def progress_bar(work: str) -> Iterator[Progress]:
    """A bar with the time left that long work fills, and a button that cancels it; gone afterwards.

    Cancelled work ends the page with the way to start it again.

    Args:
        work: what is computed, different for everything that a page computes.
    """
    if st.session_state.get(CANCELLED) == work:
        st.info("Cancelled.", icon=":material/cancel:")
        if not st.button("Start again", on_click=_remember_cancelled, args=(None,)):
            st.stop()
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="bottom"):
        bar = st.progress(0.0, "Starting …")
        st.button(
            "Cancel", key=f"cancel-{work}", on_click=_remember_cancelled, args=(work,), width=110
        )
    began: dict[str, float] = {}

    def report(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Streamlit ends the work here when the button was clicked."""
        spent = time.monotonic() - began.setdefault(stage, time.monotonic())
        text = f"{stage[:1].upper()}{stage[1:]}: {done:,} of {how_many(total, 'image')}"
        if spent and 0 < done < total:
            text += f", {time_left(spent / done * (total - done))} left"
        bar.progress(done / total, text)

    try:
        yield report
    finally:
        place.empty()


def _remember_cancelled(work: str | None) -> None:
    st.session_state[CANCELLED] = work


def computed(subject: Subject, what: object, compute: Callable[[Progress], T]) -> T:
    """What `compute` gives for a subject, from memory where it was asked for before.

    Raises:
        FerBenchError: as `compute`.
    """
    memory = _memory_of(subject)
    if what not in memory:
        with progress_bar(str(what)) as progress:
            memory[what] = compute(progress)
    return cast(T, memory[what])


def heat_method(subject: Subject) -> str:
    """How the network is looked into, and how finely.

    Raises:
        FerBenchError: a network without any map of the image.
    """
    from fer_bench.studies.explain.heat_map import method_of

    memory = _memory_of(subject)
    if "method" not in memory:
        memory["method"] = method_of(subject.classifier)
    return cast(str, memory["method"])


def has_heat(subject: Subject, faces: Sequence[tuple[str, str]]) -> bool:
    """Whether `heat_pictures` of these faces are in memory."""
    memory = _memory_of(subject)
    return all(("heat", *face) in memory for face in faces)


def heat_pictures(subject: Subject, faces: Sequence[tuple[str, str]]) -> list[Image.Image]:
    """Faces under the heat maps of an emotion each, for a gallery.

    Args:
        faces: ids, all in the subject's images, and emotions.

    Raises:
        FerBenchError: a network without any map of the image.
    """
    from fer_bench.studies.explain.heat_map import explain, overlay_heat

    memory = _memory_of(subject)
    missing = [face for face in faces if ("heat", *face) not in memory]
    if missing:
        with progress_bar("heat maps") as progress:
            for number, (name, emotion) in enumerate(missing, start=1):
                crop = np.asarray(subject.images[name])
                heat = explain(subject.classifier, crop, emotion)
                memory["heat", name, emotion] = overlay_heat(crop, heat)
                progress("heat maps", number, len(missing), {})
    overlays: list[NDArray[np.uint8]] = [memory["heat", *face] for face in faces]
    return [enlarged(overlay, HEAT_SIDE) for overlay in overlays]
