"""Whether a run is as sure as it is right: its temperature, errors and reliability."""

from __future__ import annotations

import streamlit as st

from fer_bench import plots, ui
from fer_bench.evaluation import calibration, selective
from fer_bench.formatting import how_many
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.types import ImageSet
from fer_bench.ui.calibration.selective import EMOTION, narrow

TRAINED, SCALED = "As trained", "After the temperature"
ANSWER = "the answer"
CLASS_COLUMNS = {
    "emotion": EMOTION,
    "images": narrow("Images", "localized", "Of this emotion"),
    "ece": narrow("ECE", "%.3f", TERMS["classwise ece"]),
    "share": narrow("Share", ui.PERCENT, "Its images of all images"),
    "mean_probability": narrow("Mean p", ui.PERCENT, "Above its share: it is named too readily"),
    "answers": narrow("Answers", "localized", "That name it"),
}


def show_temperature(record: RunRecord, temperature: float | None) -> None:
    """Where the temperature comes from, in one sentence."""
    selection = record.spec.selection_split
    if temperature is None:
        st.info(
            f"This run has no temperature and no predictions on {selection} to fit one; everything "
            "below is about its plain probabilities."
        )
        return
    origin = (
        f"fitted on {selection} and stored in the record"
        if record.temperature
        else f"fitted just now on the stored predictions of {selection}: the record has none"
    )
    leaning = "less sure than it is right" if temperature < 1 else "surer than it is right"
    st.caption(
        f"Temperature {temperature:.3f}, {origin}. Logits are divided by it (Guo et al. 2017), "
        f"which changes no answer; as trained, this run is {leaning} on {selection}."
    )


def show_summary(plain: selective.Scores, scaled: selective.Scores, emotions: list[str]) -> None:
    """Both calibration errors after the temperature, and below them as trained."""
    before, after = (calibration.calibration_errors(*one, emotions) for one in (plain, scaled))
    figures = {
        "ECE": (after.ece, before.ece),
        "Classwise ECE": (after.classwise_ece, before.classwise_ece),
    }
    ui.tiles(
        [
            Tile(
                name=name,
                value=f"{scaled_error:.3f}",
                below=f"as trained {plain_error:.3f}",
                explanation=TERMS[name.lower()],
            )
            for name, (scaled_error, plain_error) in figures.items()
        ]
    )


def show_reliability(
    run: StoredRun, shown: selective.Scores, emotions: list[str], key: ImageSet
) -> None:
    labels, probabilities = shown
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Reliability")
        of = st.selectbox("Probability of", [ANSWER, *emotions], key="reliability-of")
        if of == ANSWER:
            table = calibration.reliability(labels, probabilities)
            figure = plots.reliability_with_counts(
                table, x_title="Confidence", y_title="Right answers"
            )
        else:
            table = calibration.class_reliability(labels, probabilities, emotions.index(of))
            figure = plots.reliability_with_counts(
                table,
                x_title=f"Probability of {of}",
                y_title=f"Images of {of}",
                colour=plots.emotion_colour(of),
            )
        title, n = f"Reliability of {of}", how_many(len(labels), "image")
        ui.run_chart(figure, f"reliability-{key}", title, run.id, n=n)
    with right:
        st.header("Each emotion")
        classes = calibration.classwise_errors(labels, probabilities, emotions)
        ui.data_table(classes, CLASS_COLUMNS, "classwise", "classwise-calibration.csv")
        st.caption(
            "ECE here is that of the emotion's own probability over all images. Most images have a "
            "low one, so the numbers are smaller than the ECE of the answers."
        )
