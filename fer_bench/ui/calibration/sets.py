"""Sets of emotions that hold the true one as often as asked."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fer_bench import ui
from fer_bench.evaluation import prediction_sets
from fer_bench.formatting import interval, percent
from fer_bench.results.record import RunRecord
from fer_bench.ui.calibration.selective import EMOTION, narrow

SET_COLUMNS = {
    "emotion": EMOTION,
    "n": narrow("Images", "localized"),
    "coverage": narrow("Covered", ui.PERCENT),
    "low": narrow("from", ui.PERCENT),
    "high": narrow("to", ui.PERCENT),
    "expected_low": narrow("Expected from", ui.PERCENT, "95 % of coverages; both draws counted"),
    "expected_high": narrow("Expected to", ui.PERCENT, "95 % of coverages; both draws counted"),
    "mean_size": narrow("Emotions", "%.2f", "Mean size"),
}


def show_sets(predictions: pd.DataFrame, record: RunRecord) -> None:
    """Sets of emotions that hold the true one as often as asked."""
    st.header("How many emotions must be named to include the true one?")
    level = st.slider("Coverage wanted", 0.5, 0.99, 0.9, 0.01, format="percent", key="coverage")
    kind = st.segmented_control(
        "Thresholds", prediction_sets.KINDS, default="class-wise", required=True, key="sets-kind"
    )
    measured = prediction_sets.measure_sets(record, predictions, level)
    chosen = next(one for one in measured if one.kind == kind)
    st.markdown(
        f"On test **{percent(chosen.all.coverage)}** of the sets hold the true emotion "
        f"({interval(*chosen.all.ci95)}), with {chosen.all.mean_size:.2f} emotions on average. "
        + prediction_sets.standing(chosen)
    )
    ui.data_table(prediction_sets.coverage_table(chosen), SET_COLUMNS, "sets")
    st.caption(
        "Split conformal prediction, fitted on the validation images after the temperature. "
        "Marginal thresholds keep the promise over all faces, and a rare emotion may pay for it; "
        "class-wise ones keep it for every emotion. Both suppose faces "
        "like those they were fitted on."
    )
