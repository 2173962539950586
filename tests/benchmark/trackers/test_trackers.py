"""Trackers follow a run and change nothing; what they keep is read back from their own files."""

import json
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from accelerate.tracking import TensorBoardTracker
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from fer_bench.benchmark import Runner, Source, specify
from fer_bench.benchmark.trackers.services import TRACKERS, mlflow_store
from fer_bench.benchmark.trackers.tracked_run import (
    final_figures,
    settings_of,
    tracking_folder,
    where_to_look,
)
from fer_bench.errors import RunFailed
from fer_bench.results.store import ResultsStore

SYNTHETIC = Source(data="synthetic")
SPEC = specify(
    model="keras_cnn",
    mode="full",
    recipe="finetune-5",
    epochs=2,
    limit=10,
    pretraining="none",
)
DATASET = SYNTHETIC.load(SPEC)
EPOCH = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@dataclass
class Tracked:
    """A run with all trackers, and the same one without."""

    store: ResultsStore
    with_trackers: ResultsStore


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Tracked:
    found = Tracked(*(ResultsStore(tmp_path_factory.mktemp(name)) for name in ("plain", "all")))
    Runner(store=found.store).run(SPEC, DATASET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Runner(store=found.with_trackers, trackers=TRACKERS).run(SPEC, DATASET)
        assert "MLFLOW_TRACKING_URI" not in os.environ
    return found


@pytest.fixture
def prepared(tracked, tmp_path) -> ResultsStore:
    """A new results folder whose MLflow store has its tables already, but no runs."""
    place = tracking_folder(tmp_path)
    place.mkdir()
    shutil.copy(tracking_folder(tracked.with_trackers.root) / "mlflow.db", place)
    for run in mlflow_runs(tmp_path):
        MlflowClient(mlflow_store(place)).delete_run(run.info.run_id)
    return ResultsStore(tmp_path)


def history(store: ResultsStore):
    return store.history(store.find(SPEC.name))


def mlflow_runs(results: Path):
    client = MlflowClient(mlflow_store(tracking_folder(results)))
    experiment = client.get_experiment_by_name("fer_bench")
    return client.search_runs([experiment.experiment_id])


def mlflow_curve(results: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    client = MlflowClient(mlflow_store(tracking_folder(results)))
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def events(results: Path) -> EventAccumulator:
    folder = tracking_folder(results) / "tensorboard" / "synthetic" / SPEC.name
    return EventAccumulator(str(folder)).Reload()


def event_text(read: EventAccumulator, name: str) -> str:
    return read.Tensors(f"{name}/text_summary")[-1].tensor_proto.string_val[0].decode()


def wandb_records(results: Path) -> list:
    """The records of the one offline run: LevelDB's log format in blocks of 32 KiB."""
    (path,) = (tracking_folder(results) / "wandb").glob("offline-run-*/*.wandb")
    data, at, whole, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return records


def test_a_tracked_run_has_the_record_of_an_untracked_one(tracked):
    plain, followed = (
        store.find(SPEC.name).require_record() for store in (tracked.store, tracked.with_trackers)
    )
    assert followed.metrics == plain.metrics
    assert (followed.temperature, followed.model) == (plain.temperature, plain.model)
    columns = ["epoch", *EPOCH]
    assert history(tracked.with_trackers)[columns].equals(history(tracked.store)[columns])
    assert [run.name for run in tracked.with_trackers.runs()] == [SPEC.name]


def test_tensorboard_reads_every_epoch_and_the_final_metrics(tracked):
    read, epochs = events(tracked.with_trackers.root), history(tracked.with_trackers)
    for name in (*EPOCH, "images_per_second", "seconds"):
        scalars = read.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2]
        assert [scalar.value for scalar in scalars] == epochs[name].astype(np.float32).tolist()
    final = final_figures(tracked.with_trackers.find(SPEC.name).require_record())
    assert {"val/accuracy", "test/macro_f1", "test_tta/ece"} <= set(final)
    for name, value in final.items():
        (scalar,) = read.Scalars(name)
        assert (scalar.step, scalar.value) == (2, np.float32(value))
    assert event_text(read, "status") == "done"


def test_mlflow_keeps_settings_epochs_and_final_metrics(tracked):
    results = tracked.with_trackers.root
    (run,) = mlflow_runs(results)
    assert (run.info.run_name, run.info.status) == (SPEC.name, "FINISHED")
    settings = settings_of(SPEC, DATASET)
    assert run.data.params == {name: str(value) for name, value in settings.items()}
    assert settings["recipe.optimizer.lr"] == SPEC.recipe.optimizer.lr
    assert settings["dataset.images.train"] == 10
    epochs = history(tracked.with_trackers)
    for name in EPOCH:
        expected = list(zip([1, 2], epochs[name], strict=True))
        assert mlflow_curve(results, run.info.run_id, name) == expected
    final = final_figures(tracked.with_trackers.find(SPEC.name).require_record())
    assert final.items() <= run.data.metrics.items()
    assert (run.data.tags["status"], run.data.tags["dataset"]) == ("done", "synthetic")


def test_wandb_keeps_the_run_offline(tracked):
    records = wandb_records(tracked.with_trackers.root)
    (run,) = [r.run for r in records if r.WhichOneof("record_type") == "run"]
    assert (run.display_name, run.project, run.run_group) == (SPEC.name, "fer_bench", "synthetic")
    rows = [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
        for r in records
        if r.WhichOneof("record_type") == "history"
    ]
    epochs = history(tracked.with_trackers)
    assert [row["_step"] for row in rows] == [1, 2]
    for name in EPOCH:
        assert [row[name] for row in rows] == epochs[name].tolist()
    final = final_figures(tracked.with_trackers.find(SPEC.name).require_record())
    assert final.items() <= rows[-1].items()
    (ended,) = [r.exit for r in records if r.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 0


def test_a_failed_run_is_a_failed_one_for_its_trackers(prepared):
    bad = SPEC.model_copy(update={"teachers": ("nobody",)})
    with pytest.raises(RunFailed, match="nobody"):
        Runner(store=prepared, trackers=("mlflow",)).run(bad, DATASET)
    (run,) = mlflow_runs(prepared.root)
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", "failed")
    assert run.data.tags["error"].startswith(f"run {bad.name} failed: unknown run")


def test_a_resumed_run_goes_on_in_the_same_run_of_each_tracker(prepared):
    def kill(stage, done, total, figures):
        if stage == "epochs":
            raise KeyboardInterrupt

    runner = {"store": prepared, "trackers": ("tensorboard", "mlflow")}
    with pytest.raises(KeyboardInterrupt):
        Runner(**runner, progress=kill).run(SPEC, DATASET)
    (killed,) = mlflow_runs(prepared.root)
    assert killed.info.status == "KILLED"
    assert event_text(events(prepared.root), "status") == "interrupted"

    Runner(**runner).run(SPEC, DATASET)
    (run,) = mlflow_runs(prepared.root)
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    expected = history(prepared)["val_loss"]
    assert mlflow_curve(prepared.root, run.info.run_id, "val_loss") == [*enumerate(expected, 1)]
    scalars = events(prepared.root).Scalars("val_loss")
    assert [(s.step, s.value) for s in scalars] == [*enumerate(expected.astype(np.float32), 1)]


def test_a_run_made_anew_is_a_new_one_and_hides_the_events_of_the_old(prepared):
    Runner(store=prepared, trackers=("tensorboard",)).run(SPEC, DATASET)
    again = SPEC.model_copy(update={"recipe": SPEC.recipe.model_copy(update={"epochs": 1})})
    assert again.name == SPEC.name
    Runner(store=prepared, trackers=("tensorboard", "mlflow"), resume=False).run(again, DATASET)
    assert [s.step for s in events(prepared.root).Scalars("val_loss")] == [1]
    assert len(mlflow_runs(prepared.root)) == 1


def test_the_users_own_mlflow_server_is_used_and_stays_named(prepared, tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    shutil.copytree(tracking_folder(prepared.root), tracking_folder(theirs))
    uri = mlflow_store(tracking_folder(theirs))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    Runner(store=prepared, trackers=("mlflow",)).run(SPEC, DATASET)
    assert os.environ["MLFLOW_TRACKING_URI"] == uri
    assert where_to_look(("mlflow",), prepared.root) == [
        "tracked in mlflow: on the server that MLFLOW_TRACKING_URI names"
    ]
    assert (len(mlflow_runs(theirs)), len(mlflow_runs(prepared.root))) == (1, 0)


def test_a_tracker_that_fails_costs_a_sentence_and_not_the_run(
    tracked, tmp_path, monkeypatch, capsys
):
    place = tracking_folder(tmp_path)
    place.mkdir()
    (place / "mlflow.db").write_text("this is no database " * 100)
    log = TensorBoardTracker.log

    def refuse(self, values, step=None, **kwargs):
        if step == 2:
            raise OSError("no way to https://user:secret@example.org/runs")
        log(self, values, step, **kwargs)

    monkeypatch.setattr(TensorBoardTracker, "log", refuse)
    store = ResultsStore(tmp_path)
    record = Runner(store=store, trackers=("tensorboard", "mlflow")).run(SPEC, DATASET)
    assert record.metrics == tracked.store.find(SPEC.name).require_record().metrics
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert len(warnings) == 2
    assert warnings[0].startswith(f"warning: mlflow does not follow run {SPEC.name} any more (")
    assert "file is not a database" in warnings[0]
    assert "tensorboard" in warnings[1]
    assert "(no way to https://example.org/runs)" in warnings[1]
    assert [s.step for s in events(tmp_path).Scalars("val_loss")] == [1]


def test_a_folder_that_cannot_be_made_costs_a_sentence_for_each_tracker(tmp_path, capsys):
    tracking_folder(tmp_path).write_text("in the way")
    names = ("tensorboard", "wandb")
    assert Runner(store=ResultsStore(tmp_path), trackers=names).run(SPEC, DATASET).status == "done"
    err = capsys.readouterr().err
    assert [err.count(f"warning: {name} does not follow") for name in names] == [1, 1]


def test_train_and_run_take_trackers_and_say_where_to_look(tmp_path, fer):
    sweep = tmp_path / "sweep.yaml"
    entry = "{models: keras_cnn, modes: full, recipes: finetune-5, epochs: 2, limit: 10}"
    sweep.write_text(f"name: one\ndata: synthetic\npretraining: none\nruns: [{entry}]\n")
    results = str(tmp_path / "r")
    for words in (["run", str(sweep)], ["train", "--model", "keras_cnn", "--recipe", "x"]):
        code, _, err = fer(*words, "--track", "tensorboard,wandbb")
        assert code == 2
        assert "error: unknown tracker 'wandbb': did you mean 'wandb'?" in err
    words = ["run", str(sweep), "--results", results, "--device", "cpu", "--json"]
    code, out, err = fer(*words, "--track", "tensorboard")
    assert code == 0
    assert json.loads(out)[0]["status"] == "done"
    folder = tracking_folder(Path(results)) / "tensorboard"
    assert f"tracked in tensorboard: tensorboard --logdir {folder}\n" in err
    assert len(events(Path(results)).Scalars("val_loss")) == 2
