"""What test images that also stand in train are worth."""

from __future__ import annotations

import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.leaderboard.rankings import ranking_key
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.labels.figures import leak_intervals
from fer_bench.studies.labels.leakage import leakage_table, sentence
from fer_bench.ui.labels import computed

LEAK_COLUMNS = {
    "title": ui.RUN_COLUMN,
    "whole_accuracy": ui.number("Whole test", ui.PERCENT),
    "clean_accuracy": ui.number("Clean test", ui.PERCENT, TERMS["clean"]),
    "leaked_accuracy": ui.number("Leaked alone", ui.PERCENT),
    "leaked_n": ui.number("Leaked images", "localized"),
    "worth": ui.number("Leak is worth", "%+.2f points", "Whole test less clean test"),
    "worth_low": ui.number("from", "%+.2f"),
    "worth_high": ui.number("to", "%+.2f"),
}


def show_leak(run: StoredRun, record: RunRecord, stored: list[StoredRun]) -> None:
    same = [one for one in stored if ranking_key(one.require_record()) == ranking_key(record)]
    if st.toggle("Show runs that are not comparable", value=not record.comparable):
        shown = same
    else:
        shown = [one for one in same if one.require_record().comparable]
    leaks, problems = computed.leakages(shown)
    for problem in problems:
        st.warning(escape(problem))
    if not leaks:
        st.info("No such run has predictions on test next to its record: run one again.")
        return
    if run.id in leaks:
        st.markdown(escape(sentence(ui.called(run.id), leaks[run.id])))
    table = leakage_table(leaks)
    title, figure = leak_intervals(table, ui.called)
    ui.chart(figure, "leak", title, table["run"], command=ui.command("report --figures figures"))
    st.caption(
        "95 % Wilson intervals; of the difference, Newcombe's. The clean test leaves the leaked "
        "images out. Part of the gain may be that they are easier for any model."
    )
    ui.run_table(table, LEAK_COLUMNS, list(table["run"]), "leaks")
    ui.download_csv(table, "leak.csv", "leak-csv")
