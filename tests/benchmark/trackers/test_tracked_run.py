"""What trackers are told of a run, and when they are refused, without any of their libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_bench import distributed
from fer_bench.benchmark import Runner, Source, specify
from fer_bench.benchmark.trackers.tracked_run import settings_of, tracked
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError
from fer_bench.results.store import ResultsStore

SPEC = specify(model="keras_cnn", mode="full", recipe="finetune-5", limit=10, pretraining="none")


@pytest.fixture(scope="module")
def dataset() -> FaceDataset:
    return Source(data="synthetic").load(SPEC)


def test_settings_hold_no_path_of_this_machine(dataset: FaceDataset, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"pretraining": str(tmp_path / "weights.pth")})
    settings = settings_of(spec, dataset)
    assert settings["pretraining"] == "weights.pth"
    assert not [value for value in settings.values() if str(tmp_path.parent) in str(value)]


def test_of_several_processes_the_main_one_tracks(
    dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    places = {"results": tmp_path, "work_dir": tmp_path / "work"}
    with tracked(("tensorboard",), SPEC, dataset, **places, resume=True, device="cpu") as tracking:
        assert tracking.trackers == {}
    assert list(tmp_path.iterdir()) == []


def test_unknown_and_missing_trackers_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(FerBenchError, match=r"unknown tracker 'mlfow': did you mean 'mlflow'\?"):
        Runner(store=ResultsStore(Path("none")), trackers=("mlfow",))
    monkeypatch.setattr("fer_bench.benchmark.trackers.services.find_spec", lambda name: None)
    with pytest.raises(FerBenchError, match=r"package wandb: pip install \'fer-bench\[scale\]\'"):
        Runner(store=ResultsStore(Path("none")), trackers=("wandb",))
