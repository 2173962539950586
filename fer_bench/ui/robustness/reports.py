"""What the Robustness page needs: the reports of the stored runs, and faces to look at."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from fer_bench import settings
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.evaluation.gallery import enlarged, samples
from fer_bench.studies.robustness.corruptions import CORRUPTIONS, Corruption, corrupt
from fer_bench.studies.robustness.tables import ReportsByRun, collect
from fer_bench.ui.data import load_data
from fer_bench.ui.records import runs

DRAWN, OWN = "Drawn", "From my data"
#: Side of a drawn face, pixels: FER2013's.
SIDE = 48


def reports() -> ReportsByRun:
    """What was measured of the stored runs; files are read again when they change."""
    return collect(runs())


def pick_face() -> NDArray[np.uint8]:
    """A face to spoil, drawn or of the user's data: uint8 `(H, W)` or `(H, W, 3)` RGB.

    Raises:
        FerBenchError: the data cannot be read.
    """
    source = settings.data_source()
    with st.container(horizontal=True, gap="medium"):
        kind = DRAWN
        if source:
            kind = st.segmented_control("Face", [DRAWN, OWN], default=DRAWN, required=True)
        if kind == DRAWN or source is None:
            emotion = st.selectbox("Emotion", FER2013, FER2013.index("happy"), width=200)
            return draw_face(emotion, size=SIDE, rng=np.random.default_rng(1))
        dataset = load_data(source, "official", None, None)
        there = [e for e in dataset.emotions if samples(dataset, e, 1)]
        emotion = st.selectbox("Emotion", there, width=200, key="own-emotion")
        return samples(dataset, emotion, 1)[0]


def corrupted_faces(face: NDArray[np.uint8], severity: int) -> list[tuple[Image.Image, str]]:
    """The face as it is and under each corruption, with its name and level as Markdown."""
    pictures = [(enlarged(face), "clean")]
    for name in CORRUPTIONS:
        corruption: Corruption = CORRUPTIONS.load(name)
        picture = enlarged(corrupt(face[None], name, severity)[0])
        pictures.append((picture, f"**{name}**  \n{corruption.describe(severity)}"))
    return pictures
