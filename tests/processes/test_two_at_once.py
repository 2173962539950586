"""Two processes over one results folder: each run is carried out once, every record is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from record_fixtures import make_record
from test_kill import ROOT, fer_bench

from fer_bench.benchmark import Runner, Source, run_sweep, specify
from fer_bench.benchmark.sweep import RunState
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.locks import carried_out, run_lock
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import EnsembleSpec, RunSpec

RECIPE = "name: quick\nepochs: 2\nbatch_size: 32\nprecision: fp32\n"
SWEEP = """
name: twice
data: synthetic
pretraining: none
runs:
- {models: clip_vit_b_32, modes: full, recipes: RECIPE, seeds: [0, 1], model_options: {tiny: true}}
"""
#: Claims a run, says so, and holds it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from fer_bench.results.locks import run_lock
with run_lock(Path(sys.argv[1]) / "synthetic" / sys.argv[2]):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    return ResultsStore(tmp_path / "results")


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(RECIPE)
    return specify(
        model="clip_vit_b_32",
        mode="full",
        recipe=str(recipe),
        pretraining="none",
        model_options={"tiny": True},
    )


def hold(store: ResultsStore, name: str) -> subprocess.Popen[str]:
    """Another process that has claimed a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root), name],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    return process


def test_two_sweeps_at_once_carry_out_each_run_once(tmp_path: Path) -> None:
    recipe, sweep = tmp_path / "quick.yaml", tmp_path / "sweep.yaml"
    recipe.write_text(RECIPE)
    sweep.write_text(SWEEP.replace("RECIPE", str(recipe)))
    words = ("run", str(sweep), "--results", str(tmp_path / "results"))
    processes = [fer_bench(*words) for _ in range(2)]
    said = [process.communicate(timeout=240)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    together = "\n".join(said)
    assert together.count(": started") == together.count(": done") == 2
    assert together.count(": skipped") == 2
    runs = ResultsStore(tmp_path / "results").runs()
    assert [run.require_record().status for run in runs] == ["done", "done"]
    assert not list((tmp_path / "results").rglob("*.tmp"))


def test_a_run_that_another_process_carries_out_is_refused(
    store: ResultsStore, spec: RunSpec
) -> None:
    holder = hold(store, spec.name)
    with pytest.raises(RunFailed, match="is being carried out by another process: wait until it"):
        Runner(store=store).run(spec, Source(data="synthetic").load(spec))
    assert store.runs() == []
    holder.communicate("", timeout=60)


def test_a_killed_process_lets_go_of_its_run(store: ResultsStore, spec: RunSpec) -> None:
    holder = hold(store, spec.name)
    holder.kill()
    holder.communicate(timeout=60)
    with run_lock(store.folder("synthetic", spec.name)):
        pass


def test_a_run_is_running_for_as_long_as_its_process_is_there(store: ResultsStore) -> None:
    record = make_record(dataset="synthetic", status="running")
    run = f"synthetic/{record.name}"
    holder = hold(store, record.name)
    store.save(record)
    for _ in range(3):  # to look leaves it to its process
        assert store.find(run).require_record() == record
        assert carried_out(store.root) == {run}
    holder.kill()
    holder.communicate(timeout=60)
    found = store.find(run).require_record()
    assert carried_out(store.root) == frozenset()
    assert found.status == "interrupted"
    assert found.error is not None and "`--resume`" in found.error
    with run_lock(store.folder("synthetic", record.name)):  # by this very process and thread
        assert store.find(run).require_record() == record


def test_a_run_whose_results_were_copied_is_not_running(store: ResultsStore) -> None:
    record = make_record(status="running")
    store.save(record)
    assert store.runs()[0].require_record().status == "interrupted"


def test_a_sweep_waits_for_a_run_and_skips_it_once_it_is_done(
    store: ResultsStore, spec: RunSpec
) -> None:
    source = Source(data="synthetic")
    elsewhere = ResultsStore(store.root.with_name("elsewhere"))
    finished = Runner(store=elsewhere).run(spec, source.load(spec))
    holder = hold(store, spec.name)
    heard = []

    def on_run(one: RunSpec | EnsembleSpec, state: RunState, words: str) -> None:
        heard.append(words)
        if state == "waiting":
            store.save(finished)
            holder.communicate("", timeout=60)

    (record,) = run_sweep([spec], source, Runner(store=store), on_run)
    assert heard == ["waiting: another process carries it out", "skipped"]
    assert record == finished


def test_a_claim_may_be_nested_and_ends_with_its_block(store: ResultsStore) -> None:
    run = store.folder("synthetic", "a-run")
    with run_lock(run), run_lock(run):
        pass
    hold(store, "a-run").communicate("")


def test_a_results_folder_that_cannot_be_written_is_one_sentence(store: ResultsStore) -> None:
    store.root.write_text(json.dumps("a file"))
    refused = pytest.raises(FerBenchError, match=r"cannot work on a-run in .*: Not a dir")
    with refused, run_lock(store.folder("synthetic", "a-run")):
        pass
