"""Labels: which are likely wrong, what the annotators' agreement means, what the leak is worth."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from fer_bench import plots, settings, ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import of_set
from fer_bench.formatting import escape, how_many, interval, percent
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.leaderboard.rankings import ranking_key
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.labels import annotators
from fer_bench.studies.labels.human_line import models_table, people_table
from fer_bench.studies.labels.human_line import sentence as sentence_on_people
from fer_bench.studies.labels.leakage import leakage_table, sentence

#: `annotators.votes_table`; None where there are no votes.
Votes = pd.DataFrame | None
ERRORS, AGREEMENT, LEAK = "Likely label errors", "Annotators' agreement", "What the leak is worth"
PEOPLE = "The human line"
ANY = "any"
GALLERY_SIZES = (24, 48, 96)
SUSPECT_COLUMNS = {
    "id": st.column_config.TextColumn("Image"),
    "label": st.column_config.TextColumn("Label"),
    "answer": st.column_config.TextColumn("Model's answer"),
    "confidence": ui.number("Confidence", ui.PERCENT),
    "label_probability": ui.number(
        "Label's probability", ui.PERCENT, "What the model gives the label"
    ),
    "quality": ui.number("Label quality", "%.3f", "Normalised margin; 0 is the most suspicious"),
    "favourite": st.column_config.TextColumn("Voters' favourite"),
    "votes_for_label": ui.number("Votes for label", "%d"),
    "votes_for_answer": ui.number("Votes for answer", "%d"),
    "voters": ui.number("Voters", "%d"),
    "sides_with": st.column_config.TextColumn("Voters side with"),
}
AGREEMENT_COLUMNS = {
    "low": ui.number("Above", "%.0f %%"),
    "high": ui.number("Up to", "%.0f %%"),
    "images": ui.number("Images", "localized"),
    "accuracy": ui.number("Answer is label", ui.PERCENT),
    "accuracy_low": ui.number("from", ui.PERCENT),
    "accuracy_high": ui.number("to", ui.PERCENT),
    "answer_favoured": ui.number("Answer is favourite", ui.PERCENT),
    "label_favoured": ui.number("Label is favourite", ui.PERCENT),
}
PEOPLE_COLUMNS = {
    "title": st.column_config.TextColumn("Run", width=290, pinned=True),
    "majority_agreement": ui.number(
        "As most voters", ui.PERCENT, "On the votes that one voter is judged on"
    ),
    "expected_agreement": ui.number(
        "Voters who agree", ui.PERCENT, "Mean share of voters who name the answer"
    ),
    "soft_accuracy": ui.number(
        "Soft accuracy", ui.PERCENT, "An emotion drawn by the probabilities is a voter's"
    ),
    "kl_divergence": ui.number("KL", "%.3f", "Less is better"),
}
LEAK_COLUMNS = {
    "title": st.column_config.TextColumn("Run", width=290, pinned=True),
    "whole_accuracy": ui.number("Whole test", ui.PERCENT),
    "clean_accuracy": ui.number("Clean test", ui.PERCENT, TERMS["clean"]),
    "leaked_accuracy": ui.number("Leaked alone", ui.PERCENT),
    "leaked_n": ui.number("Leaked images", "localized"),
    "worth": ui.number("Leak is worth", "%+.2f points", "Whole test less clean test"),
    "worth_low": ui.number("from", "%+.2f"),
    "worth_high": ui.number("to", "%+.2f"),
}


# --- likely label errors -----------------------------------------------------------------------


def show_sides(suspects: pd.DataFrame) -> None:
    """Whose side the voters take on images whose label the model doubts."""
    rates = annotators.sides(suspects)
    ui.tiles(
        [
            Tile(
                name=f"Voters side with {'the ' if side != 'neither' else ''}{side}",
                value=percent(rate.value),
                below=interval(*rate.ci95),
                explanation=f"{rate.hits:,} of {rate.n:,} suspects with FER+ votes, by the choice "
                "with most votes; below, the 95 % Wilson interval",
            )
            for side, rate in rates.items()
        ]
    )


def filtered(suspects: pd.DataFrame, emotions: tuple[str, ...]) -> pd.DataFrame:
    """The suspects that the controls ask for."""
    boxes = [("label", "Label", emotions), ("answer", "Model's answer", emotions)]
    if "sides_with" in suspects:
        boxes.append(("sides_with", "Voters side with", annotators.SIDES))
    keep = pd.Series(True, index=suspects.index)
    for place, (column, name, choices) in zip(st.columns(len(boxes)), boxes, strict=True):
        wanted = place.selectbox(name, [ANY, *choices], key=f"suspect-{column}")
        if wanted != ANY:
            keep &= suspects[column] == wanted
    return suspects[keep]


def caption(row: Any) -> str:
    """What an image is labelled, what the model says, and how the voters voted."""
    said = f"{row.label} → {row.answer}  \n{percent(row.confidence)}"
    if not hasattr(row, "voters"):
        return said
    return (
        f"{said}  \nlabel {row.votes_for_label}, model {row.votes_for_answer} of {row.voters} votes"
    )


def show_suspects(run: StoredRun, record: RunRecord, votes: Votes) -> None:
    st.caption(
        "Confident learning (Northcutt et al. 2021, arXiv 1911.00068) on this run's test images: a "
        "label is suspect where the model is as sure of another emotion as it usually is of that "
        "emotion's own images. A hint to look, not a verdict: the model may be wrong."
    )
    table = ui.suspects(run)
    suspects = table[table["suspect"]]
    st.markdown(f"**{len(suspects):,} of {how_many(len(table), 'test label')}** are suspect.")
    if suspects.empty:
        return
    if votes is not None:
        voted = annotators.with_votes(suspects, votes)
        if voted.empty:
            st.info("FER+'s votes next to your data know none of these images.")
        else:
            suspects = voted
            show_sides(suspects)
    suspects = filtered(suspects, record.dataset.emotions)
    if suspects.empty:
        st.info("No suspect fits these filters.")
        return
    size = st.segmented_control("Shown", GALLERY_SIZES, default=GALLERY_SIZES[0], required=True)
    rows: list[Any] = list(suspects.head(size).itertuples())
    shown = [(row.id, caption(row)) for row in rows]
    ui.show_pictures(shown, record, "suspects-data")
    with st.expander(f"Table of {how_many(len(suspects), 'suspect')}"):
        ui.data_table(suspects, SUSPECT_COLUMNS, "suspects", "likely-label-errors.csv")


# --- annotators' agreement ---------------------------------------------------------------------


def show_agreement(run: StoredRun, record: RunRecord, votes: Votes) -> None:
    if votes is None:
        st.info(
            "This needs FER2013 with FER+'s votes: put `fer2013new.csv` (github.com/microsoft/"
            "FERPlus) next to your data, for Kaggle's files also `kaggle_rows.csv`, and say where "
            "they lie.",
            icon=":material/how_to_vote:",
        )
        if settings.data_source() is None:
            ui.ask_for_data("votes-data")
        return
    predictions = ui.predictions(run)
    if predictions is None:  # `show_judged` has said so
        return
    test = of_set(predictions, "test")
    table = annotators.accuracy_by_agreement(test, record.dataset.emotions, votes)
    if table.empty:
        st.info("FER+'s votes next to your data know none of this run's test images.")
        return
    st.caption(
        "Each test face by the share of its FER+ voters who chose the favourite, with 95 % Wilson "
        "intervals. Where two choices have as many votes, neither is the favourite. Where people "
        "disagree, so do labels, and no model can be right about all."
    )
    figure = plots.agreement_lines(table)
    ui.run_chart(figure, "agreement", "Answers and labels by the voters' agreement", run.id)
    ui.data_table(table, AGREEMENT_COLUMNS, "agreement-table", "accuracy-by-agreement.csv")


# --- the human line ----------------------------------------------------------------------------


def show_people(record: RunRecord) -> None:
    """What people give on these test images, and the runs next to them; needs no data."""
    line = ui.human_line(record)
    if line is None:
        st.info(
            "No human line is stored for these test images: with FER2013 and FER+'s votes next to "
            "it, `python -m fer_bench human-line --data DATA --save` measures one."
        )
        return
    st.markdown(escape(sentence_on_people(line)))
    command = ui.command("human-line --data fer2013.zip")
    ui.chart(plots.people_bars(people_table(line)), "people", "The human line", command=command)
    shown = {one.id for one in ui.runs()}
    models = models_table(line, shown)
    ui.run_table(models, PEOPLE_COLUMNS, list(models["run"]), "people-models")
    st.caption(
        f"No answer can agree with more than {percent(line.best_expected_agreement)} of the voters "
        "on average. KL divergence: from the model's probabilities to the votes, in nats."
    )
    ui.download_csv(models, "human-line.csv", "people-csv")


# --- what the leak is worth --------------------------------------------------------------------


def show_leak(run: StoredRun, record: RunRecord, stored: list[StoredRun]) -> None:
    same = [one for one in stored if ranking_key(one.require_record()) == ranking_key(record)]
    if st.toggle("Show runs that are not comparable", value=not record.comparable):
        shown = same
    else:
        shown = [one for one in same if one.require_record().comparable]
    leaks, problems = ui.leakages(shown)
    for problem in problems:
        st.warning(escape(problem))
    if not leaks:
        st.info("No such run has predictions on test next to its record: run one again.")
        return
    if run.id in leaks:
        st.markdown(escape(sentence(ui.called(run.id), leaks[run.id])))
    table = leakage_table(leaks)
    figure = plots.leak_intervals(table.assign(run=table["run"].map(ui.called)))
    ui.chart(figure, "leak", "Accuracy on clean, whole and leaked test images", table["run"])
    st.caption(
        "95 % Wilson intervals; of the difference, Newcombe's. The clean test leaves the leaked "
        "images out. Part of the gain may be that they are easier for any model."
    )
    ui.run_table(table, LEAK_COLUMNS, list(table["run"]), "leaks")
    ui.download_csv(table, "leak.csv", "leak-csv")


# --- the page ----------------------------------------------------------------------------------


def votes_or_none(record: RunRecord) -> Votes:
    """The votes next to the data; a fault of theirs is a sentence, and the page goes on."""
    try:
        votes = ui.connected_votes(record)
    except FerBenchError as error:
        ui.show_error(error)
        return None
    if votes is not None and record.spec.votes:
        st.caption("This run's labels are those votes themselves, so that they mostly agree.")
    return votes


def show_judged(
    run: StoredRun, record: RunRecord, show: Callable[[StoredRun, RunRecord, Votes], None]
) -> None:
    """A tab that needs this run's test predictions, or what is missing for it."""
    try:
        predictions = ui.predictions(run)
        if predictions is None:
            st.info(
                "This run has no predictions next to its record: judging labels needs "
                "`predictions.parquet`; run it again to get it."
            )
        elif of_set(predictions, "test").empty:
            st.info("This run's predictions hold no test images.")
        else:
            show(run, record, votes_or_none(record))
    except FerBenchError as error:
        ui.show_error(error)


def main() -> None:
    st.title("Labels")
    st.caption("Which labels are likely wrong, and what annotators say.")
    stored = [run for run in ui.runs() if run.record and run.record.metrics]
    if not stored:
        ui.no_results()
        return
    run = ui.pick_run(stored, "labels-picker")
    record = run.require_record()
    ui.badges(record)
    ui.show_views(
        {
            ERRORS: partial(show_judged, run, record, show_suspects),
            AGREEMENT: partial(show_judged, run, record, show_agreement),
            PEOPLE: partial(show_people, record),
            LEAK: partial(show_leak, run, record, stored),
        }
    )


ui.within_app()
main()
