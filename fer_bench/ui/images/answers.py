"""What the models read from a picture's faces: boxes, probabilities, and where they looked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.gallery import enlarged
from fer_bench.formatting import escape, how_many, percent
from fer_bench.ui import models
from fer_bench.ui.images import faces, upload
from fer_bench.ui.images.analysis import Result, Treatment

if TYPE_CHECKING:  # torch loads only when there is a model to open
    from fer_bench.inference.classifier import FaceClassifier

#: More faces than this are chosen from a list.
MOST_BUTTONS = 8
#: More faces than this have no thumbnail.
MOST_THUMBNAILS = 24
Classifiers = Mapping[str, "FaceClassifier"]


def show_picture(result: Result, treatment: Treatment, classifiers: Classifiers) -> None:
    """One picture with its faces boxed, or why there are none."""
    if result.error:
        st.error(escape(result.error), icon=":material/broken_image:")
        return
    run = boxes_by(classifiers)
    st.image(
        faces.preview(result, treatment, run, classifiers[run].emotions),
        width=faces.shown_width(result),
        alt=f"{result.picture.name} with {how_many(result.n_faces, 'face')} boxed",
    )
    st.caption(escape(faces.timing_line(result, run)))
    if not result.n_faces:
        st.warning(
            f"No face found in {escape(result.picture.name)}. A clear, frontal face is found "
            "best; if the picture is a face already, take all of it.",
            icon=":material/face_retouching_off:",
        )
        st.button(
            "Take the whole image as a face",
            icon=":material/crop_free:",
            on_click=upload.take_whole_images,
            type="primary",
        )


def boxes_by(classifiers: Classifiers) -> str:
    """Whose answer stands at the boxes: the only model's, or the one the visitor picks."""
    names = models.short_names(classifiers)
    runs = list(names)
    if len(runs) == 1:
        return runs[0]
    return st.segmented_control(
        "Boxes named by",
        runs,
        default=runs[0],
        required=True,
        format_func=lambda run: escape(names[run]),
        key=f"boxes-by-{runs}",
        wrap=True,  # names may be long
    )


def pick_picture(results: Sequence[Result]) -> Result:
    """The picture to look at closely, of several."""
    if len(results) == 1:
        return results[0]
    number = st.selectbox(
        "Picture",
        range(len(results)),
        index=faces.first_with_face(results),
        format_func=lambda i: f"{i + 1} · {results[i].picture.name}",
        key=f"picture-{len(results)}",
    )
    return results[number]


def pick_face(result: Result, treatment: Treatment, classifiers: Classifiers) -> int:
    """The face to look at closely, from 0: the largest unless the visitor picks another."""
    if result.n_faces == 1:
        return 0
    run, classifier = next(iter(classifiers.items()))
    found = result.analyses[run].faces
    names = [f"{number} · {escape(face.emotion)}" for number, face in enumerate(found, start=1)]
    ui.gallery(
        [
            (enlarged(faces.crop(result, treatment, number, run, classifier)), name)
            for number, name in enumerate(names[:MOST_THUMBNAILS])
        ],
        width=84,
    )
    key, numbers = f"face-{result.picture.key}-{len(found)}", range(len(found))
    if len(found) > MOST_BUTTONS:
        return st.selectbox("Face", numbers, format_func=names.__getitem__, key=key)
    return st.segmented_control(
        "Face", numbers, default=0, required=True, format_func=names.__getitem__, key=key
    )


def show_face(result: Result, treatment: Treatment, classifiers: Classifiers) -> None:
    """What every model makes of one face, side by side."""
    st.header("The face" if result.n_faces == 1 else f"The {result.n_faces} faces")
    number = pick_face(result, treatment, classifiers)
    looked_at = {}
    if len(classifiers) == 1:
        places = st.columns([2, 3, 2], gap="large", vertical_alignment="center")
        run, classifier = next(iter(classifiers.items()))
        looked_at[run] = places[0]
        show_answer(places[1], places[2], result, number, run, classifier)
    else:
        columns = st.columns(len(classifiers), gap="large")
        for place, (run, classifier) in zip(columns, classifiers.items(), strict=True):
            place.markdown(f"**{escape(classifier.name)}**")
            looked_at[run] = place.container()
            show_answer(place, place, result, number, run, classifier)
    # Last, for its libraries take seconds to load when the server is fresh.
    for run, place in looked_at.items():
        with place, st.spinner("Looking where it looked …"):
            show_heat(result, treatment, number, run, classifiers[run])


def show_answer(
    left: DeltaGenerator,
    right: DeltaGenerator,
    result: Result,
    number: int,
    run: str,
    classifier: FaceClassifier,
) -> None:
    """One model's probabilities for one face, as bars and as a ring."""
    shares = faces.shares(result.analyses[run].faces[number], classifier.emotions)
    title = f"Probabilities of {result.picture.name}, face {number + 1}, {ui.called(run)}"
    command = ui.command(f"predict {run} {shlex.quote(result.picture.name)}")
    drawn = {"bars": plots.probability_bars(shares), "pie": plots.probability_pie(shares)}
    for place, (kind, figure) in zip((left, right), drawn.items(), strict=True):
        with place:
            ui.chart(figure, f"{kind}-{run}", title, [run], command=command, n="1 face")


def show_heat(
    result: Result, treatment: Treatment, number: int, run: str, classifier: FaceClassifier
) -> None:
    """The face under what the network looked at, with the method's name."""
    try:
        heat, method = faces.heat_map(result, treatment, number, run, classifier)
    except FerBenchError as error:
        ui.show_error(error)
        return
    face = result.analyses[run].faces[number]
    st.image(heat, width=faces.FACE_SIDE, alt=f"What {classifier.name} looked at")
    st.caption(
        f"Red: what speaks most for **{escape(face.emotion)}** ({percent(face.score)}); "
        f"{escape(method)}."
    )


def show_gallery(results: Sequence[Result], treatment: Treatment, classifiers: Classifiers) -> None:
    """Every readable picture, small, with what its largest face shows."""
    run, classifier = next(iter(classifiers.items()))
    st.header("All pictures")
    ui.gallery(
        [
            (faces.thumbnail(result, treatment, run, classifier.emotions), faces.verdict(result))
            for result in results
            if not result.error
        ],
        width=160,
    )
