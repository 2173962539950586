"""Explain: where a network looks, what it has seen that is alike, and how it sorts faces."""

from typing import Any, Literal

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation import confusion
from fer_bench.evaluation.gallery import ImagesById, enlarged
from fer_bench.formatting import escape, how_many, percent
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.explain.figures import placed_features
from fer_bench.ui import models
from fer_bench.ui.explain import FACE_PARAMETER, Subject, computed, heat_method, heat_pictures

INTRODUCTION = (
    "Where a network looks in a face, which training images it finds most like one, and how it "
    "sorts the test images. These are hints about the network, not proofs of how it decides."
)
GALLERY, MEAN_HEAT, ONE_FACE, FEATURES = "Gallery", "Mean heat maps", "One face", "Feature map"
VIEWS = (GALLERY, MEAN_HEAT, ONE_FACE, FEATURES)
ANY = "any"
GALLERY_SIZES = (12, 24, 48, 96)
HEAT_SIZES = (70, 210, 700)
NEIGHBOURS = (6, 12, 24)
#: Faces that can be chosen for a closer look: the most confident ones that fit the filters.
MOST_FACES = 200
COLOURINGS: dict[Literal["true", "predicted", "correct"], str] = {
    "true": "True emotion",
    "predicted": "Predicted emotion",
    "correct": "Right or wrong",
}
#: Exact, and open at once.
BACKEND = "torch-fp32"
WIDTH = 104


def open_subject(run: StoredRun, record: RunRecord) -> Subject | None:
    """The run's network and data; where one is missing, the page says so."""
    reward = "and this page shows what the network makes of them"
    dataset = ui.data_at_hand(record, "explain-data", reward)
    if dataset is None:
        return None
    name = run.id
    return Subject(
        run=name,
        record=record,
        classifier=models.classifier(name, BACKEND),
        dataset=dataset,
        images=ImagesById(dataset),
    )


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
    if with_heat:
        method = escape(heat_method(subject))
        st.caption(f"Warm places speak most for the emotion that was predicted. {method}.")
        pictures = heat_pictures(subject, [(row.id, row.predicted) for row in rows])
    else:
        pictures = [enlarged(subject.images[row.id]) for row in rows]
    captions = [ui.answer_words(row) for row in rows]
    ui.gallery(list(zip(pictures, captions, strict=True)), width=WIDTH)
    if len(rows) < len(answers):
        st.caption(f"The {len(rows)} most confident of {how_many(len(answers), 'image')}.")


def show_mean_heat(subject: Subject) -> None:
    from fer_bench.studies.explain.mean_heat import mean_heats

    n = st.segmented_control(
        "Test images looked at",
        HEAT_SIZES,
        default=HEAT_SIZES[1],
        required=True,
        key="explain-n",
        help="At most, equally many of each emotion, evenly spread over the test images.",
    )
    network, data = subject.classifier, subject.dataset
    found = computed(
        subject,
        ("mean heat", n),
        lambda progress: mean_heats(network, data, n_images=n, progress=progress),
    )
    st.caption(
        "The mean face of each emotion under the mean of its faces' heat maps for that emotion. "
        "The peak is the mean map's maximum: at 100 % the same place decides for every face."
    )
    ui.gallery(
        [
            (
                enlarged(one.overlay(), 216),
                f"**{escape(one.emotion)}**  \npeak {percent(one.peak)}, {how_many(one.n, 'face')}",
            )
            for one in found
        ],
        width=168,
    )


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
        ui.run_chart(figure, "explain-bars", f"Probabilities of {row.id}", run.id, n="1 face")
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


def show_feature_map(subject: Subject) -> None:
    from fer_bench.studies.explain.feature_map import feature_map

    colour_by = st.segmented_control(
        "Colour",
        list(COLOURINGS),
        default="true",
        required=True,
        format_func=COLOURINGS.__getitem__,
        key="explain-colour",
    )
    table = computed(
        subject,
        "feature map",
        lambda progress: feature_map(subject.classifier.model, subject.dataset, progress=progress),
    )
    (title, figure), n = placed_features(table, colour_by), how_many(len(table), "test image")
    ui.run_chart(figure, "explain-map", title, subject.run, n=n)
    total = subject.dataset.split_sizes()["test"]
    some = f", evenly spread over all {total:,}" if len(table) < total else ""
    st.caption(
        f"{how_many(len(table), 'test image')}{some}, placed by t-SNE: neighbours here are "
        "neighbours in feature space; the distance between groups and their size mean little."
    )
    ui.download_csv(table, "features.csv", "explain-csv")


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
