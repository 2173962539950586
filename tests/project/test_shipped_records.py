"""`verify` agrees with every record in `results/`."""

from __future__ import annotations

from pathlib import Path

from table_fixtures import table

from fer_bench.evaluation.verify import verify
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import PREDICTIONS, StoredRun

STORE = ResultsStore(Path(__file__).parents[2] / "results")
RUNS = [run for run in STORE.runs() if (run.folder / PREDICTIONS).exists()]


@table("run", RUNS, ids=lambda run: run.name)
def test_a_shipped_record_is_what_its_predictions_say(run: StoredRun) -> None:
    checks = verify(run.require_record(), STORE.predictions(run))
    assert checks and not [f"{one.name}: {one.problem}" for one in checks if not one.agrees]
