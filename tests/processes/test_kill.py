"""A run killed with SIGKILL goes on where it was, and never leaves half a record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting_fixtures import PATIENCE_S, wait_until

from fer_bench.training import finetune

ROOT = Path(__file__).parents[2]
NAME = "clip_vit_b_32-full-killable-scratch-tiny-s0"
RECIPE = """
name: killable
epochs: 10
batch_size: 32
precision: fp32
optimizer: {name: adam, lr: 1.0e-3}
augmentation: {flip: true, rotate: 10}
ema_decay: 0.9
"""


def start(results: Path, recipe: Path, *more: str) -> subprocess.Popen[bytes]:
    words = ["train", "--model", "clip_vit_b_32", "--recipe", str(recipe), "--data", "synthetic"]
    words += ["--pretraining", "none", "--option", "tiny=true", "--results", str(results), *more]
    return fer_bench(*words)


def fer_bench(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fer_bench", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err.decode()


def kill_when(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> None:
    def come() -> bool:
        assert process.poll() is None, "it ended before it could be killed"
        return moment()

    wait_until(come, "the moment to kill it", every=0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL


def record(results: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        (results / "synthetic" / NAME / "record.json").read_text(encoding="utf-8")
    )
    return found


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "killable.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, recipe) -> dict[str, object]:
    results = tmp_path_factory.mktemp("whole")
    finish(start(results, recipe))
    return record(results)


def says_running(results: Path) -> bool:
    return (results / "synthetic" / NAME / "record.json").exists()


def has_checkpoint(results: Path) -> bool:
    return any(results.glob(f".work/synthetic/{NAME}/*/checkpoint.pt"))


def writes_checkpoint(results: Path) -> bool:
    return any(results.glob(f".work/synthetic/{NAME}/*/.*.tmp.pt"))


@pytest.mark.timeout(600)  # four processes, one after the other
def test_a_killed_run_ends_with_the_same_metrics(tmp_path, recipe, uninterrupted):
    for moment in (says_running, has_checkpoint, writes_checkpoint):
        process = start(tmp_path, recipe, "--resume")
        kill_when(process, lambda moment=moment: moment(tmp_path))
        assert record(tmp_path)["status"] == "running"

    # What a kill within the short moment of saving leaves behind.
    (tmp_path / "synthetic" / NAME / ".record.json.0.tmp").write_text('{"schema')
    finish(start(tmp_path, recipe, "--resume"))
    done = record(tmp_path)
    assert done["status"] == "done"
    assert done["metrics"] == uninterrupted["metrics"]
    assert sorted(p.name for p in (tmp_path / "synthetic" / NAME).iterdir()) == [
        "history.csv",
        "model.json",
        "model.safetensors",
        "predictions.parquet",
        "record.json",
        "seen.npy",
    ]
    assert not list((tmp_path / ".work").rglob("*.pt*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_says_so_and_is_never_started_over_silently(
    tmp_path, recipe, fer, monkeypatch, number
):
    monkeypatch.chdir(tmp_path)
    train = ["train", "--model", "clip_vit_b_32", "--recipe", recipe, "--data", "synthetic"]
    train += ["--pretraining", "none", "--option", "tiny=true", "--results", tmp_path]
    plain = finetune.save_checkpoint

    def save_and_strike(folder, state):
        plain(folder, state)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(finetune, "save_checkpoint", save_and_strike)
        code, out, err = fer(*train)
    assert (code, out) == (128 + number, "")
    assert "error: interrupted: the same command with --resume goes on" in err
    assert record(tmp_path)["status"] == "interrupted"
    code, out, _ = fer("results", "--results", tmp_path, "--json")
    assert [row["status"] for row in json.loads(out)["runs"]] == ["interrupted"]

    before = contents(tmp_path)
    code, _, err = fer(*train)
    assert code == 2
    assert "is not finished and left a checkpoint: say --resume to go on" in err
    assert contents(tmp_path) == before

    code, _, err = fer(*train, "--resume")
    assert code == 0, err
    assert "epoch 1/10" not in err
    assert "no checkpoint of these settings and data" not in err
    assert record(tmp_path)["status"] == "done"

    code, _, err = fer(*train, "--resume", "--seed", "1", "--epochs", "1")
    assert code == 0, err
    assert "no checkpoint of these settings and data: starting with epoch 1" in err


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_killed_benchmark_keeps_what_is_done_and_ends_alike(tmp_path, recipe, uninterrupted):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: two\ndata: synthetic\npretraining: none\nruns:\n"
        f"- {{models: clip_vit_b_32, modes: full, recipes: {recipe}, seeds: [1, 0],"
        " model_options: {tiny: true}}\n"
    )
    words = ("run", str(spec), "--results", str(tmp_path))
    kill_when(fer_bench(*words), lambda: has_checkpoint(tmp_path))
    first = tmp_path / "synthetic" / NAME.replace("-s0", "-s1") / "record.json"
    before = first.stat().st_mtime_ns, first.read_bytes()
    assert json.loads(before[1])["status"] == "done"
    assert record(tmp_path)["status"] == "running"

    finish(fer_bench(*words))
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before
    assert record(tmp_path)["metrics"] == uninterrupted["metrics"]


AFTER_OPENVINO = """
import gc, os, signal, sys
import numpy as np
from fer_bench.backends.select import open_backend
from fer_bench.cli.main import main
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import FERPLUS
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.training import finetune

options = {"tiny": True}
network = build_model(ModelRequest(name="clip_vit_b_32", emotions=FERPLUS, options=options))
faces = read_synthetic(n_per_class=4).images
opened = [open_backend(name, network, calibration=faces) for name in sys.argv.pop(1).split()]
while opened:  # in the order they were made, so that each puts back what was there before it
    del opened[0]
    gc.collect()

def save_and_strike(folder, state, plain=finetune.save_checkpoint):
    plain(folder, state)
    os.kill(os.getpid(), signal.SIGTERM)

finetune.save_checkpoint = save_and_strike
main()
"""


@pytest.mark.parametrize("backends", ["openvino-fp32 openvino-fp32", "openvino-int8 openvino-int8"])
def test_sigterm_after_openvino_ends_in_the_commands_sentence(tmp_path, recipe, backends):
    words = ["train", "--model", "clip_vit_b_32", "--recipe", str(recipe), "--data", "synthetic"]
    words += ["--pretraining", "none", "--option", "tiny=true", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", AFTER_OPENVINO, backends, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=250,
    )
    assert done.returncode == 128 + signal.SIGTERM, (done.returncode, done.stderr)
    assert "error: interrupted: the same command with --resume goes on" in done.stderr
    assert record(tmp_path)["status"] == "interrupted"
