"""Labels: which are likely wrong, what the annotators' agreement means, what the leak is worth."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import of_set
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.ui.labels import computed
from fer_bench.ui.labels.leak import show_leak
from fer_bench.ui.labels.people import show_agreement, show_people
from fer_bench.ui.labels.suspects import show_suspects

#: `annotators.votes_table`; None where there are no votes.
Votes = pd.DataFrame | None
ERRORS, AGREEMENT, LEAK = "Likely label errors", "Annotators' agreement", "What the leak is worth"
PEOPLE = "The human line"


def votes_or_none(record: RunRecord) -> Votes:
    """The votes next to the data; a fault of theirs is a sentence, and the page goes on."""
    try:
        votes = computed.connected_votes(record)
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
