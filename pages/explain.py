"""Explain: where a network looks, what it has seen that is alike, and how it sorts faces."""

import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.gallery import ImagesById
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui import models
from fer_bench.ui.explain.computed import FACE_PARAMETER, Subject
from fer_bench.ui.explain.faces import show_gallery, show_one_face
from fer_bench.ui.explain.network import show_feature_map, show_mean_heat

INTRODUCTION = (
    "Where a network looks in a face, which training images it finds most like one, and how it "
    "sorts the test images. These are hints about the network, not proofs of how it decides."
)
GALLERY, MEAN_HEAT, ONE_FACE, FEATURES = "Gallery", "Mean heat maps", "One face", "Feature map"
VIEWS = (GALLERY, MEAN_HEAT, ONE_FACE, FEATURES)


def open_subject(run: StoredRun, record: RunRecord) -> Subject | None:
    """The run's network and data; where one is missing, the page says so."""
    reward = "and this page shows what the network makes of them"
    dataset = ui.data_at_hand(record, "explain-data", reward)
    if dataset is None:
        return None
    return Subject(run=run.id, record=record, dataset=dataset, images=ImagesById(dataset))


def show(run: StoredRun, record: RunRecord) -> None:
    """The view that the visitor chose."""
    subject = open_subject(run, record)
    if subject is None:
        return
    if record.spec.votes:
        st.caption(
            "This run learnt from FER+'s votes. The gallery has their labels; the mean heat maps, "
            "neighbours and feature map have those of the data at hand."
        )
    first = ONE_FACE if FACE_PARAMETER in st.query_params else GALLERY
    view = st.segmented_control(
        "View", VIEWS, default=first, required=True, label_visibility="collapsed", wrap=True
    )
    if view == GALLERY:
        show_gallery(run, subject)
    elif view == MEAN_HEAT:
        show_mean_heat(subject)
    elif view == ONE_FACE:
        show_one_face(run, subject)
    else:
        show_feature_map(subject)


def main() -> None:
    st.title("Explain")
    st.write(INTRODUCTION)
    usable = models.usable_runs()
    if not usable:
        models.no_models()
        return
    run = ui.pick_run(usable, "explain-picker")
    record = run.require_record()
    ui.badges(record)
    try:
        show(run, record)
    except FerBenchError as error:
        ui.show_error(error)


ui.within_app()
main()
