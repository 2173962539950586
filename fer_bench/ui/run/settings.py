"""What a run was: its settings, members, data and environment."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fer_bench import plots, ui
from fer_bench.config import meanings
from fer_bench.formatting import escape, how_many, setting, setting_name
from fer_bench.results.leaderboard.glossary import TERMS
from fer_bench.results.record import RunRecord
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.summary import differences
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import ExternalSpec, RunSpec

#: How a record says it, and how the page does.
TRAINED_ON = {"in-sample": "yes", "held-out": "no", "unknown": "not known"}
MEMBER_COLUMNS = {
    "title": st.column_config.TextColumn("Run", width=270, help="Click to open it"),
    "weight": ui.number("Share", ui.PERCENT),
    "temperature": ui.number("Temperature", "%.3f", "Divides its logits before the mean"),
}


def show_external(spec: ExternalSpec) -> None:
    """What is known of a system that FER Bench did not run; nothing is made up."""
    known = {
        "Source": spec.source,
        "Licence": spec.licence,
        "Training": spec.training,
        "Preprocessing": spec.preprocessing,
    }
    lines = [f"**{name}:** {escape(text or 'not said')}" for name, text in known.items()]
    st.markdown(
        "  \n".join([f"**Trained on these test images:** {TRAINED_ON[spec.trained_on]}", *lines])
    )


def show_settings(run: StoredRun, record: RunRecord) -> None:
    show_differences(run, record)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Run")
        ui.value_table(record.spec.model_dump(mode="json", exclude={"recipe", "ensemble"}))
        if record.model:
            st.header("Model")
            ui.value_table(record.model.model_dump(mode="json"))
    with right:
        if record.members:
            show_members(run, record)
        if isinstance(record.spec, RunSpec):
            st.header("Recipe")
            ui.value_table(record.spec.recipe.model_dump(mode="json"), meanings(Recipe))
        if record.temperature is not None:
            st.header("Calibration")
            values = record.model_dump(mode="json", include={"temperature", "calibrated_ece"})
            ui.value_table(values, {"calibrated_ece": TERMS["calibrated ece"]})


def show_differences(run: StoredRun, record: RunRecord) -> None:
    """The settings in which another run differs from this one."""
    others = [one for one in ui.runs() if one.record and one.id != run.id]
    chosen = st.selectbox(
        "What differs from",
        others,
        index=None,
        format_func=lambda one: ui.called(one.id),
        placeholder="another run",
        key="differs-from",
    )
    if chosen is None:
        return
    table = differences(record, chosen.require_record())
    if table.empty:
        st.info("The two have the same settings; only what they gave differs.")
        return
    table["setting"] = table["setting"].map(setting_name)
    for column in ("this", "other"):
        table[column] = table[column].map(setting)
    names = {"setting": "Setting", "this": "This run", "other": ui.called(chosen.id)}
    ui.text_table(table.rename(columns=names))


def show_members(run: StoredRun, record: RunRecord) -> None:
    st.header("Members")
    table = pd.DataFrame([member.model_dump() for member in record.members])
    ids = [f"{run.dataset}/{name}" for name in table["run"]]
    ui.run_table(table, MEMBER_COLUMNS, ids, "members")


def show_data(run: StoredRun, record: RunRecord) -> None:
    dataset = record.dataset
    words = {"protocol": TERMS.get(dataset.protocol, ""), "clean_test_size": TERMS["clean"]}
    ui.value_table(dataset.model_dump(mode="json", exclude={"class_counts"}), words)
    figure = plots.class_balance(dataset.class_counts)
    n = how_many(sum(dataset.split_sizes.values()), "image")
    ui.run_chart(figure, "balance", f"Class balance of {dataset.name}", run.id, n=n)


def show_environment(record: RunRecord) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        ui.value_table(record.environment.model_dump(mode="json", exclude={"packages"}))
    with right:
        ui.package_table(record.environment.packages)
        if record.training:
            st.header("Training")
            ui.value_table(record.training.model_dump(mode="json"))
