"""Latency: how long each network takes, by which back end, on which machine, and which to take."""

from functools import partial

import streamlit as st

from fer_bench import ui
from fer_bench.formatting import escape
from fer_bench.studies.latency.tables import (
    MeasuredNetwork,
    machine_line,
    machine_settings,
    machines,
    network_settings,
)
from fer_bench.ui.latency.budget import BUDGET_VIEW, show_budget
from fer_bench.ui.latency.speed import show_speed

INTRODUCTION = (
    "How long each network takes for one call on a machine, by every back end that can run it, and "
    "where the time of a webcam frame goes."
)


def pick_machine(measured: list[MeasuredNetwork]) -> str:
    """The machine to show: at first one on which the address's run was measured."""
    names = machines(measured)
    wanted = set(st.query_params.get_all(ui.RUN_PARAMETER))
    having = {m.report.machine for m in measured if m.name in wanted}
    first = next((i for i, name in enumerate(names) if name in having), 0)
    return st.selectbox("Machine", names, first, key="machine", bind="query-params")


def show_details(here: list[MeasuredNetwork]) -> None:
    """What stands behind each network's numbers; they need not be of one day."""
    by_name = {m.name: m.report for m in here}
    chosen = st.selectbox("Network", list(by_name), format_func=ui.called, key="details-network")
    report = by_name[chosen]
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Network")
        ui.value_table(network_settings(report))
    with right:
        st.header("Machine")
        ui.value_table(machine_settings(report))
        ui.package_table(report.environment.packages)


def main() -> None:
    st.title("Latency")
    st.markdown(INTRODUCTION)
    for stored in ui.latencies():
        if stored.problem:
            st.warning(escape(stored.problem))
    measured = ui.measured()
    if not measured:
        ui.empty_state(
            "No latency measured yet",
            "Measure the shipped model, about a minute, then reload this page.",
            ui.command("latency RUN"),
        )
        return
    machine = pick_machine(measured)
    here = [m for m in measured if m.report.machine == machine]
    st.caption(escape(machine_line(here)))
    ui.show_views(
        {
            "Speed": partial(show_speed, here),
            BUDGET_VIEW: partial(show_budget, here),
            "Details": partial(show_details, here),
        }
    )


ui.within_app()
main()
