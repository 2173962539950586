"""What the dashboard's pages share. The only part of the library that imports Streamlit."""

from fer_bench.ui.access import may_name_paths, require_token, show_address
from fer_bench.ui.budget import BUDGET_VIEW, VIEW_PARAMETER, show_budget
from fer_bench.ui.data import SYNTHETIC, ask_for_data, audit_of, dataset_of, load_data
from fer_bench.ui.labels import leakages, suspects, votes_beside
from fer_bench.ui.navigation import within_app
from fer_bench.ui.ranking import headline_runs, open_run, run_link
from fer_bench.ui.records import (
    RUN_PARAMETER,
    SET_NAMES,
    history,
    latencies,
    measured,
    own_results,
    pick_run,
    predictions,
    results_root,
    run_id,
    runs,
    status_line,
    table,
    titles,
)
from fer_bench.ui.run_images import data_at_hand, show_pictures
from fer_bench.ui.widgets import (
    badges,
    chart,
    download_csv,
    empty_state,
    gallery,
    no_results,
    show_error,
    tiles,
    value_table,
)

__all__ = [
    "BUDGET_VIEW",
    "RUN_PARAMETER",
    "SET_NAMES",
    "SYNTHETIC",
    "VIEW_PARAMETER",
    "ask_for_data",
    "audit_of",
    "badges",
    "chart",
    "data_at_hand",
    "dataset_of",
    "download_csv",
    "empty_state",
    "gallery",
    "headline_runs",
    "history",
    "latencies",
    "leakages",
    "load_data",
    "may_name_paths",
    "measured",
    "no_results",
    "open_run",
    "own_results",
    "pick_run",
    "predictions",
    "require_token",
    "results_root",
    "run_id",
    "run_link",
    "runs",
    "show_address",
    "show_budget",
    "show_error",
    "show_pictures",
    "status_line",
    "suspects",
    "table",
    "tiles",
    "titles",
    "value_table",
    "votes_beside",
    "within_app",
]
