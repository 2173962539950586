"""A benchmark on Ray gives what it gives without, whatever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
import ray
from command_fixtures import Fer
from s3_fixtures import lab, objects, s3
from test_kill import NAME, RECIPE, ROOT, has_checkpoint

from fer_bench.benchmark import Runner, Source, plan, run_sweep
from fer_bench.benchmark.cluster.ray_cluster import Cluster, connected, gpus_for
from fer_bench.benchmark.cluster.ray_sweep import run_sweep_on_ray
from fer_bench.benchmark.cluster.ray_task import RunEvent
from fer_bench.cli.sweep_table import ENDED
from fer_bench.config import load_yaml
from fer_bench.errors import FerBenchError
from fer_bench.results.location import local_folder
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS
from fer_bench.settings import cache_dir
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.specs.sweep import Sweep

__all__ = ["lab", "s3"]  # fixtures

SYNTHETIC = Source(data="synthetic")
OTHER = NAME.replace("-s0", "-s1")
#: A run that fails, two that do not, and one that is made of those.
SWEEP = f"""
name: four
data: synthetic
pretraining: none
runs:
- {{models: keras_cnn, modes: full, recipes: finetune-5, epochs: 1, pretraining: ghost.pt}}
- {{models: clip_vit_b_32, modes: full, recipes: RECIPE, seeds: [1, 0],
   model_options: {{tiny: true}}}}
ensembles:
- {{ensemble: [{NAME}, {OTHER}], title: both}}
"""
ONE = Cluster(address="local", workers=1)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "killable.yaml").write_text(RECIPE)
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.replace("RECIPE", str(folder / "killable.yaml")))
    return path


@pytest.fixture(scope="module")
def specs(sweep: Path) -> list[RunSpec | EnsembleSpec]:
    return plan(load_yaml(Sweep, sweep))


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, specs: list[RunSpec | EnsembleSpec]
) -> ResultsStore:
    """The results of the same benchmark without Ray."""
    store = ResultsStore(tmp_path_factory.mktemp("alone"))
    run_sweep(specs, SYNTHETIC, Runner(store=store), lambda *_: None)
    return store


@pytest.fixture(scope="module")
def cluster(s3: None) -> Iterator[None]:
    """Ray on this machine, once for all; its processes know the object store."""
    with connected(ONE):
        yield


def named(specs: list[RunSpec | EnsembleSpec], *names: str) -> list[RunSpec | EnsembleSpec]:
    return [next(spec for spec in specs if spec.name == name) for name in names]


def on_ray(
    specs: list[RunSpec | EnsembleSpec], results: Path, source: Source = SYNTHETIC
) -> tuple[list[RunRecord], list[RunEvent]]:
    heard: list[RunEvent] = []
    runner = Runner(store=ResultsStore(results), device="auto")
    return run_sweep_on_ray(specs, source, runner, ONE, heard.append), heard


def require_the_same(results: Path, alone: ResultsStore, *names: str) -> None:
    """Metrics, predictions and members to the last digit."""
    store = ResultsStore(results)
    for name in names:
        found, expected = (one.find(name) for one in (store, alone))
        assert found.require_record().status == "done"
        assert found.require_record().metrics == expected.require_record().metrics
        assert found.require_record().members == expected.require_record().members
        assert store.predictions(found).equals(alone.predictions(expected))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def holder(results: Path, name: str) -> int:
    """The process that has claimed a run, as the kernel's table of locks has it."""
    inode = (results / ".work" / "synthetic" / f".{name}.lock").stat().st_ino
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    (pid,) = {int(words[4]) for words in locks if words[5].endswith(f":{inode}")}
    return pid


def when(moment: Callable[[], bool], act: Callable[[], None]) -> Thread:
    """Does something as soon as it is time, beside the test."""

    def wait() -> None:
        deadline = time.monotonic() + 240
        while not moment() and time.monotonic() < deadline:
            time.sleep(0.001)
        act()

    thread = Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_worker_that_is_killed_is_replaced_and_its_run_goes_on(
    cluster: None, specs: list[RunSpec | EnsembleSpec], alone: ResultsStore, tmp_path: Path
) -> None:
    killed: list[int] = []

    def strike() -> None:
        killed.append(holder(tmp_path, NAME))
        kill(killed[0])

    striking = when(lambda: has_checkpoint(tmp_path), strike)
    (record,), heard = on_ray(named(specs, NAME), tmp_path)
    striking.join(270)
    assert not striking.is_alive()
    assert len(killed) == 1
    assert record.status == "done"
    assert [event.state for event in heard].count("started") == 2
    epochs = [event.epoch for event in heard if event.words == "training"]
    assert epochs == sorted(set(epochs)), "an epoch was trained twice"
    require_the_same(tmp_path, alone, NAME)


def test_a_benchmark_gives_the_same_records_as_without_ray(
    cluster: None, fer: Fer, sweep: Path, alone: ResultsStore, tmp_path: Path
) -> None:
    words = ("run", str(sweep), "--ray", "local", "--workers", "1", "--results", str(tmp_path))
    code, out, err = fer(*words, "--json")
    records = json.loads(out)
    names = [record["name"] for record in records]
    assert code == 1, "one of them fails"
    assert [record["status"] for record in records] == ["failed", "done", "done", "done"]
    assert names[1:3] == [OTHER, NAME]
    failed = alone.find(names[0]).require_record()
    assert (failed.status, records[0]["error"]) == ("failed", failed.error)
    require_the_same(tmp_path, alone, *names[1:])
    assert [f"[{i}/4] {name}: started on " in err for i, name in enumerate(names, 1)] == [True] * 4
    assert [err.count(f": {what}\n") for what in ("done", "skipped")] == [3, 0]
    assert not list((tmp_path / ".work").glob(".sweep-*"))

    before = {name: ResultsStore(tmp_path).find(name).require_record() for name in names[1:]}
    code, _, err = fer(*words)
    assert (code, err.count(": skipped\n")) == (1, 3)
    assert {
        name: ResultsStore(tmp_path).find(name).require_record() for name in names[1:]
    } == before


def test_what_is_made_of_others_waits_for_them(
    cluster: None, specs: list[RunSpec | EnsembleSpec], alone: ResultsStore, tmp_path: Path
) -> None:
    both = specs[-1]
    shutil.copytree(alone.find(NAME).folder, tmp_path / "synthetic" / NAME)  # one is there already
    records, heard = on_ray([both, *named(specs, OTHER, NAME)], tmp_path)
    assert [record.name for record in records] == [both.name, OTHER, NAME]
    ended = [event.run for event in heard if event.state in ENDED]
    assert ended[-1] == both.name
    require_the_same(tmp_path, alone, both.name)


def test_a_driver_that_is_killed_is_followed_by_another(
    cluster: None,
    sweep: Path,
    specs: list[RunSpec | EnsembleSpec],
    alone: ResultsStore,
    tmp_path: Path,
) -> None:
    address = ray.get_runtime_context().gcs_address
    words = ["run", str(sweep), "--only", "clip", "--results", str(tmp_path), "--ray", address]
    driver = subprocess.Popen(
        [sys.executable, "-m", "fer_bench", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    first = tmp_path / "synthetic" / OTHER / "record.json"

    def second_is_at_work() -> bool:
        return any(tmp_path.glob(f".work/synthetic/{NAME}/*/checkpoint.pt"))

    when(second_is_at_work, driver.kill).join(270)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == -signal.SIGKILL, said.decode()
    before = first.stat().st_mtime_ns, first.read_bytes()
    assert json.loads(before[1])["status"] == "done"

    _, heard = on_ray(named(specs, OTHER, NAME), tmp_path)
    assert [event.state for event in heard if event.state in ENDED] == ["skipped", "done"]
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before
    require_the_same(tmp_path, alone, OTHER, NAME)


def test_records_arrive_whole_at_an_object_store(
    cluster: None, lab: str, specs: list[RunSpec | EnsembleSpec], alone: ResultsStore
) -> None:
    here = local_folder(lab, cache_dir() / "results")
    on_ray(named(specs, NAME), here)
    expected = alone.find(NAME)
    assert set(objects(lab)) == {
        f"synthetic/{NAME}/{path.name}" for path in expected.folder.iterdir()
    }
    assert objects(lab)[f"synthetic/{NAME}/{WEIGHTS}"] == expected.weight_files[0].stat().st_size
    local_folder(lab, cache_dir() / "results")
    require_the_same(here, alone, NAME)
    _, heard = on_ray(named(specs, NAME), here)
    assert [event.state for event in heard] == ["skipped"]


def test_data_that_a_machine_does_not_have_name_it(
    cluster: None, specs: list[RunSpec | EnsembleSpec], tmp_path: Path
) -> None:
    with pytest.raises(FerBenchError, match=rf"^on {os.uname().nodename}: .*nothing-here"):
        on_ray(named(specs, NAME), tmp_path, Source(data=str(tmp_path / "nothing-here")))


def test_more_than_any_machine_has_is_refused(cluster: None) -> None:
    with pytest.raises(FerBenchError, match="no machine of the cluster has 500 CPUs and 0 GPUs"):
        gpus_for(Cluster(address="local", cpus=500), "cpu")
    with pytest.raises(FerBenchError, match="--device cpu and 1 GPUs for a run exclude each"):
        gpus_for(Cluster(address="local", gpus=1), "cpu")
    with pytest.raises(FerBenchError, match="expected device auto, cpu or cuda, got 'tpu'"):
        gpus_for(ONE, "tpu")
