"""Try an image: every face in it, and what one model or several read from it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fer_bench import ui
from fer_bench.ui import models
from fer_bench.ui.images import upload
from fer_bench.ui.images.analysis import MOST_MODELS, GivenPicture, Treatment, analyse_all
from fer_bench.ui.images.answers import pick_picture, show_face, show_gallery, show_picture
from fer_bench.ui.images.history import show_history
from fer_bench.ui.images.table import show_table

INTRODUCTION = (
    "Every face in a picture, and what the models read from it. Pictures are analysed in the "
    "memory of the machine that runs FER Bench and kept nowhere, unless you turn the history on."
)


def show_waiting(pictures: Sequence[GivenPicture]) -> None:
    """What is missing before anything can be analysed."""
    if pictures:
        st.info("Choose a model, and its answer appears here.", icon=":material/neurology:")
    else:
        st.info("Give a picture, and its faces appear here.", icon=":material/add_a_photo:")


def main() -> None:
    st.title("Try an image")
    st.markdown(INTRODUCTION)
    usable = models.usable_runs()
    if not usable:
        models.no_models()
        return
    left, right = st.columns([2, 3], gap="large")
    with left:
        pictures = upload.ask_for_pictures()
        classifiers = models.pick_classifiers(usable, most=MOST_MODELS, key="image-models")
        detector = upload.ask_for_detector()
        adjustment = upload.ask_for_adjustment()
    treatment = Treatment(adjustment=adjustment, detector=detector)
    with right:
        if not pictures or not classifiers:
            show_waiting(pictures)
            return
        results = analyse_all(pictures, treatment, classifiers)
        result = pick_picture(results)
        show_picture(result, treatment, classifiers)
    if result.n_faces:
        show_face(result, treatment, classifiers)
    if len(results) > 1:
        show_gallery(results, treatment, classifiers)
    show_table(results, treatment, classifiers)
    show_history(results, treatment, classifiers)


ui.within_app()
main()
