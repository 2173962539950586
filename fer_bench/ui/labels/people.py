"""What annotators say: accuracy by their agreement, and the human line."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fer_bench import plots, settings, ui
from fer_bench.evaluation.confusion import of_set
from fer_bench.formatting import escape, how_many, percent
from fer_bench.results.leaderboard.rankings import ranking_names
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.labels import annotators
from fer_bench.studies.labels.human_line import models_table, people_table
from fer_bench.studies.labels.human_line import sentence as sentence_on_people

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
    "title": ui.RUN_COLUMN,
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


def show_agreement(run: StoredRun, record: RunRecord, votes: pd.DataFrame | None) -> None:
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
    title = f"Answers and labels by the voters' agreement, {ui.called(run.id)}"
    n = how_many(int(table["images"].sum()), "test face")
    ui.chart(figure, "agreement", title, [run.id], n=n)  # no command writes it
    ui.data_table(table, AGREEMENT_COLUMNS, "agreement-table", "accuracy-by-agreement.csv")


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
    ui.chart(
        plots.people_bars(people_table(line)),
        "people",
        f"The human line; {ranking_names([record])[0]}",
        command=command,
        n=how_many(line.faces, "test face"),
        protocol=line.protocol,
    )
    shown = {one.id for one in ui.runs()}
    models = models_table(line, shown)
    ui.run_table(models, PEOPLE_COLUMNS, list(models["run"]), "people-models")
    st.caption(
        f"No answer can agree with more than {percent(line.best_expected_agreement)} of the voters "
        "on average. KL divergence: from the model's probabilities to the votes, in nats."
    )
    ui.download_csv(models, "human-line.csv", "people-csv")
