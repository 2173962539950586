"""Single faces: a gallery under heat maps, one looked at closely, and training faces alike."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.evaluation import confusion
from fer_bench.evaluation.gallery import enlarged
from fer_bench.formatting import escape, how_many, percent
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.explain.computed import (
    FACE_PARAMETER,
    Subject,
    computed,
    has_heat,
    heat_method,
    heat_pictures,
)

ANY = "any"
GALLERY_SIZES = (12, 24, 48, 96)
NEIGHBOURS = (6, 12, 24)
#: Faces that can be chosen for a closer look: the most confident ones that fit the filters.
MOST_FACES = 200
WIDTH = 104


def filtered(run: StoredRun, subject: Subject) -> pd.DataFrame:
    """The test answers that the controls ask for and whose images are here; says why if none."""
    predictions = ui.predictions(run)
    if predictions is None:
        st.info(
            "This run has no predictions next to its record, which say what it answered: run it "
            "again to get `predictions.parquet`."
        )
        return pd.DataFrame()
    emotions = subject.record.dataset.emotions
    answers = confusion.answers(confusion.of_set(predictions, "test"), emotions)
    face = answers[answers["id"] == st.query_params.get(FACE_PARAMETER)]
    first = "Right" if face["correct"].any() else "Wrong"
    kind, emotion = st.columns(2)
    right = kind.segmented_control(
        "Answers", ["Wrong", "Right"], default=first, required=True, key="explain-answers"
    )
    wanted = emotion.selectbox("True emotion", [ANY, *emotions], key="explain-emotion")
    if not face.empty:  # first, whatever its confidence
        answers = pd.concat([face, answers.drop(face.index)])
    keep = (answers["correct"] == (right == "Right")) & answers["id"].map(
        subject.images.__contains__
    )
    if wanted != ANY:
        keep &= answers["true"] == wanted
    if not keep.any():
        st.info("No test image of the data at hand fits these filters.")
    return answers[keep]


def show_gallery(run: StoredRun, subject: Subject) -> None:
    answers = filtered(run, subject)
    if answers.empty:
        return
    number, switch = st.columns(2, vertical_alignment="bottom")
    size = number.segmented_control(
        "Shown", GALLERY_SIZES, default=GALLERY_SIZES[0], required=True, key="explain-size"
    )
    with_heat = switch.toggle("Heat maps", value=True, key="explain-heat")
    rows: list[Any] = list(answers.head(size).itertuples())
    faces = [(row.id, row.predicted) for row in rows]
    captions = [ui.answer_words(row) for row in rows]
    above, place = st.container(), st.empty()
    if len(rows) < len(answers):
        st.caption(f"The {len(rows)} most confident of {how_many(len(answers), 'image')}.")
    if not (with_heat and has_heat(subject, faces)):  # the faces at once, the network after them
        plain = [enlarged(subject.images[row.id]) for row in rows]
        with place:
            ui.gallery(list(zip(plain, captions, strict=True)), width=WIDTH)
    if with_heat:
        with above:
            method = escape(heat_method(subject))
            st.caption(f"Warm places speak most for the emotion that was predicted. {method}.")
            pictures = heat_pictures(subject, faces)
        with place:
            ui.gallery(list(zip(pictures, captions, strict=True)), width=WIDTH)


def show_one_face(run: StoredRun, subject: Subject) -> None:
    answers, predictions = filtered(run, subject), ui.predictions(run)
    if answers.empty or predictions is None:
        return
    faces: list[Any] = list(answers.head(MOST_FACES).itertuples())
    shown = {row.id: row for row in faces}
    wanted = st.query_params.get(FACE_PARAMETER)
    if wanted in shown:
        st.session_state.setdefault("explain-face", wanted)
    chosen = st.selectbox(
        f"Face, the most confident of {how_many(len(answers), 'image')} first",
        list(shown),
        format_func=lambda name: (
            f"{shown[name].true} → {shown[name].predicted}, "
            f"{percent(shown[name].confidence)}: {name}"
        ),
        key="explain-face",
    )
    row = shown[chosen]
    left, right = st.columns([2, 3], gap="large")
    with left:
        (heat,) = heat_pictures(subject, [(row.id, row.predicted)])
        ui.gallery(
            [
                (enlarged(subject.images[row.id]), f"labelled {escape(row.true)}"),
                (heat, f"speaks for {escape(row.predicted)}"),
            ],
            width=WIDTH + 24,
        )
    with right:
        scores = predictions.set_index("id").loc[row.id]
        emotions = subject.record.dataset.emotions
        figure = plots.probability_bars({e: scores[f"p_{e}"] for e in emotions})
        title = f"Probabilities of {row.id}, {ui.called(run.id)}"
        ui.chart(figure, "explain-bars", title, [run.id], n="1 face")
    show_neighbours(subject, row)


def show_neighbours(subject: Subject, row: Any) -> None:
    """The training images that the network finds most like a face."""
    from fer_bench.studies.explain.neighbours import TrainingFaces, share_of

    st.header("Nearest training images")
    k = st.segmented_control(
        "Neighbours", NEIGHBOURS, default=NEIGHBOURS[1], required=True, key="explain-k"
    )
    faces = computed(
        subject,
        "training faces",
        lambda progress: TrainingFaces(subject.classifier.model, subject.dataset, progress),
    )
    found = faces.nearest(subject.images[row.id], k)
    ui.tiles(
        [
            Tile(
                name=f"Labelled {escape(emotion)}",
                value=percent(share_of(found["label"], emotion)),
                below=role,
                explanation=f"share of the {len(found)} nearest training images",
            )
            for emotion, role in roles(row).items()
        ]
    )
    neighbours: list[Any] = list(found.itertuples())
    copies = int(found["duplicate"].sum())
    if copies:
        st.warning(
            f"{how_many(copies, 'training image')} among them "
            f"{'has' if copies == 1 else 'have'} the very same pixels: the network has seen this "
            "face in training.",
            icon=":material/content_copy:",
        )
    ui.gallery(
        [
            (enlarged(subject.dataset.images[one.position]), neighbour_caption(one))
            for one in neighbours
        ],
        width=WIDTH,
    )
    st.caption("Cosine distance between features: 0 is the same direction, 1 a right angle.")


def roles(row: Any) -> dict[str, str]:
    """What a face was taken for and what it is labelled, each emotion once."""
    if row.correct:
        return {row.true: "its label and the answer"}
    return {row.predicted: "the answer", row.true: "its label"}


def neighbour_caption(row: Any) -> str:
    """A neighbour's label and distance, and whether it is the face itself."""
    below = "same pixels" if row.duplicate else f"{row.distance:.3f}"
    return f"{escape(row.label)}  \n{below}"
