"""One run by two processes: the same evaluation, the same gradients, one record, one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from process_fixtures import (
    NAME,
    SIZES,
    evaluated,
    frozen,
    plain,
    predicted,
    still,
    train_words,
    trained,
    usual,
)
from torch import nn
from waiting_fixtures import wait_until

from fer_bench import distributed
from fer_bench.errors import FerBenchError
from fer_bench.training.parallel import (
    join_batch_norm,
    put_back,
    rank_generator,
    require_enough,
    shard_batch,
)
from fer_bench.training.state import seed_epoch

ROOT = Path(__file__).parents[2]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
#: On a machine without GPUs `--cpu` would start one process.
ACCELERATE = (
    "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


def launch(launcher: tuple[str, ...], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/tests/fixtures"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[list[dict[str, Any]], str, int]:
    """What two processes found, what was said last, and the launcher's exit code."""
    process = launch(TORCHRUN, "tests/processes/process_worker.py", str(folder))
    err = process.communicate(timeout=240)[1]
    try:
        found = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]
    except OSError:
        pytest.fail(err)
    return found, err, process.returncode


@pytest.fixture(scope="module")
def found(both: tuple[list[dict[str, Any]], str, int]) -> list[dict[str, Any]]:
    return both[0]


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_processes_meet(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["gather"] == one["everywhere"] == [0, 10]
        assert one["on_main"] == 7
        assert one["total"] == [3.0]
        assert one["in_step"] == "the second cannot"


def test_a_process_by_itself_meets_no_one() -> None:
    assert (distributed.count(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.gather("a") == distributed.all_ranks(lambda: "a") == ["a"]
    assert distributed.on_main(lambda: "a") == "a"
    values = torch.ones(2)
    assert distributed.total(values) is values
    with pytest.raises(FerBenchError, match="as it is"), distributed.raise_together():
        raise FerBenchError("as it is")


@pytest.mark.parametrize("size", SIZES)
def test_predictions_are_those_of_one_process_to_the_last_digit(
    found: list[dict[str, Any]], size: int
) -> None:
    alone = predicted(size)
    assert alone.shape == (size, 3)
    for one in found:
        assert torch.equal(one["predicted"][size], alone)


def test_metrics_count_every_face_once(found: list[dict[str, Any]]) -> None:
    alone = evaluated()
    for one in found:
        assert one["evaluated"] == alone


def test_gradients_are_those_of_the_whole_batch(
    found: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Shares of eight and seven faces: a plain mean over processes would be off by a tenth."""
    alone = trained(plain(), tmp_path)
    assert same_weights(found[0]["plain"]["weights"], found[1]["plain"]["weights"])
    for name, value in alone["weights"].items():
        shared = found[0]["plain"]["weights"][name]
        assert torch.allclose(shared, value, rtol=1e-4, atol=1e-6), name
    for name, values in alone["history"].items():
        assert np.allclose(found[0]["plain"]["history"][name], values, rtol=1e-4), name
    assert (alone["processes"], found[0]["plain"]["processes"]) == (1, 2)


def test_batch_norm_ends_with_the_mean_of_what_the_processes_saw(
    found: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = trained(still(), tmp_path)["weights"]
    for one in found:
        weights = one["still"]["weights"]
        assert torch.allclose(weights["backbone.1.running_mean"], alone["backbone.1.running_mean"])
        # The variance within shares of 45 of the 90 faces, which is a little less or more.
        shared, whole = weights["backbone.1.running_var"], alone["backbone.1.running_var"]
        assert torch.allclose(shared, whole, rtol=0.02)
    assert same_weights(found[0]["still"]["weights"], found[1]["still"]["weights"])


def test_two_processes_are_as_accurate_as_one(found: list[dict[str, Any]], tmp_path: Path) -> None:
    alone, shared = trained(usual(), tmp_path)["metrics"], found[0]["usual"]["metrics"]
    low, high = alone["accuracy_ci95"]
    assert low <= shared["accuracy"] <= high
    assert shared["n"] == alone["n"] == 200
    assert same_weights(found[0]["usual"]["weights"], found[1]["usual"]["weights"])


def test_a_shared_run_resumes_to_the_same_weights(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert same_weights(one["usual"]["weights"], one["resumed"]["weights"])
        assert one["usual"]["history"] == one["resumed"]["history"]


def test_a_head_on_frozen_features_is_that_of_one_process(
    found: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))  # not what the two computed
    alone = trained(frozen(), tmp_path)
    for one in found:
        assert same_weights(alone["weights"], one["frozen"]["weights"])
        assert one["frozen"]["history"] == alone["history"]
        assert one["frozen"]["metrics"] == alone["metrics"]


def test_each_process_changes_its_images_in_its_own_way(found: list[dict[str, Any]]) -> None:
    common = seed_epoch(5, 1)
    assert rank_generator(5, 1, common) is common
    alone = torch.rand(3, generator=common), torch.rand(3)
    assert torch.equal(found[0]["draws"][0], alone[0])
    assert torch.equal(found[0]["draws"][1], alone[1])
    for first, second in zip(found[0]["draws"], found[1]["draws"], strict=True):
        assert not torch.equal(first, second)


def test_bad_input_on_one_host_ends_all_with_one_sentence(found: list[dict[str, Any]]) -> None:
    (code, said), (other_code, other_said) = (one["bad_input"] for one in found)
    assert code == other_code == 2
    assert other_said == ""
    *news, sentence = said.splitlines()
    assert sentence.startswith("error: the data source ")
    assert not [line for line in news if "error" in line]


def test_a_command_that_is_for_one_process_says_so(found: list[dict[str, Any]]) -> None:
    sentence = (
        "error: `list` is for one process, got 2: start it without accelerate launch and "
        "torchrun, which are for train, ensemble, evaluate\n"
    )
    assert [one["not_shared"] for one in found] == [(2, sentence), (2, "")]


def test_what_fails_in_one_process_is_said_once_and_ends_the_others(
    both: tuple[list[dict[str, Any]], str, int], folder: Path
) -> None:
    _, err, code = both
    said = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(said) == 1
    assert said[0].startswith("error: process 1: run resnet18-")
    assert said[0].endswith("failed: MemoryError: too little memory here")
    assert code == 1
    (record,) = folder.glob("failing/*/*/record.json")
    assert json.loads(record.read_text())["status"] == "running"  # `--resume` takes it up


def test_a_run_whose_main_process_is_killed_goes_on_and_ends_alike(
    found: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    """Started by accelerate, taken up under torchrun."""
    assert [one["whole"] for one in found] == [0, 0]
    words = ["-m", "fer_bench", *train_words(tmp_path), "--data", "synthetic", "--resume", "--json"]
    process = launch(ACCELERATE, *words)

    def has_checkpoint() -> bool:
        assert process.poll() is None, process.communicate(timeout=60)[1]
        return any(tmp_path.glob(f"results/.work/synthetic/{NAME}/*/checkpoint.pt"))

    wait_until(has_checkpoint, "a checkpoint to go on from")
    (main,) = (
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == "0"
    )
    main.kill()
    process.communicate(timeout=120)
    assert process.returncode == 1

    resumed = launch(TORCHRUN, *words)
    out, err = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, err

    results = tmp_path / "results" / "synthetic" / NAME
    record = json.loads((results / "record.json").read_text())
    assert json.loads(out) == [record]
    assert [err.count(f"epoch {number}/3 ") for number in (1, 3)] == [0, 1]
    assert record["training"]["processes"] == 2
    whole = folder / "whole" / "results" / "synthetic" / NAME
    assert record["metrics"] == json.loads((whole / "record.json").read_text())["metrics"]
    for place in (results, whole):
        assert sorted(path.name for path in place.iterdir()) == [
            "history.csv",
            "model.json",
            "model.safetensors",
            "predictions.parquet",
            "record.json",
            "seen.npy",
        ]


def test_a_share_counts_for_as_many_faces_as_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(10)
    assert shard_batch(rows)[1] == 1
    shares = []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(distributed, "count", lambda: 3)
        shares.append(shard_batch(rows))
    assert sorted(np.concatenate([mine for mine, _ in shares]).tolist()) == rows.tolist()
    assert [len(mine) for mine, _ in shares] == [4, 3, 3]
    assert sum(weight for _, weight in shares) == pytest.approx(3)
    with pytest.raises(FerBenchError, match="batches of 6 images or more, two for each of the 3"):
        require_enough(100, batch_size=5)
    with pytest.raises(FerBenchError, match=r"batches of 6 images or more, .* got 4"):
        require_enough(4, batch_size=64)
    require_enough(100, batch_size=6)


def test_batch_norm_over_gpus_is_put_back() -> None:
    """PyTorch's only works there; what replaces it shares its weights and statistics."""
    norm = nn.BatchNorm2d(4)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(norm), nn.ReLU())
    replaced = join_batch_norm(model)
    joint = model[1][0]
    assert isinstance(joint, nn.SyncBatchNorm)
    assert joint.weight is norm.weight
    assert joint.running_mean is norm.running_mean
    put_back(replaced)
    assert model[1][0] is norm


def test_more_processes_than_gpus_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "64")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(FerBenchError, match="expected a GPU for each of the 64 processes"):
        distributed.join("cuda")
