"""Training the whole network: it learns, it resumes exactly, it keeps the epoch it should."""

import re
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from fer_bench.benchmark import specify
from fer_bench.benchmark.initial_weights import request_for
from fer_bench.data.load import load_dataset
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.build import build_model
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import RunSpec
from fer_bench.training import precision
from fer_bench.training.finetune import finetune
from fer_bench.training.job import TrainingJob
from fer_bench.training.precision import choose_precision, settled_choice
from fer_bench.training.state import FILE, load_checkpoint, save_checkpoint
from fer_bench.types import silent

DATASET = load_dataset("synthetic")


def spec_for(recipe: Recipe, mode: str = "full", model: str = "densenet121") -> RunSpec:
    return RunSpec(
        model=model,
        mode=mode,
        recipe=recipe,
        pretraining="none",
        model_options={"tiny": True, "input_size": 32},
    )


def recipe(**changes) -> Recipe:
    values = {
        "name": "test",
        "epochs": 3,
        "batch_size": 32,
        "precision": "fp32",
        "optimizer": {"name": "adam", "lr": 3e-3},
        "augmentation": {"flip": True, "rotate": 10, "erase": 0.5},
    }
    return Recipe.model_validate(values | changes)


def fresh(spec: RunSpec):
    torch.manual_seed(spec.seed)
    return build_model(request_for(spec, DATASET.emotions))


class Killed(Exception):
    pass


def kill_after(epoch: int):
    def progress(stage, done, total, figures):
        if stage == "epochs" and done == epoch:
            raise Killed

    return progress


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9, "schedule": {"name": "one-cycle"}, "clip_grad": 1.0},
        {"mixup": 0.2, "cutmix": 1.0, "schedule": {"name": "plateau", "patience": 0}},
        {"precision": "bf16", "optimizer": {"name": "sgd", "lr": 0.05}, "head": [16]},
    ],
    ids=["plain", "ema-one-cycle-clip", "mix-plateau", "bf16-sgd-head"],
)
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, changes):
    spec = spec_for(recipe(**changes))
    whole = fresh(spec)
    outcome = finetune(TrainingJob(whole, DATASET, spec, work_dir=tmp_path / "whole"))

    with pytest.raises(Killed):
        finetune(
            TrainingJob(
                fresh(spec), DATASET, spec, work_dir=tmp_path / "killed", progress=kill_after(2)
            )
        )
    resumed = fresh(spec)
    again = finetune(TrainingJob(resumed, DATASET, spec, work_dir=tmp_path / "killed", resume=True))

    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    measured = ["images_per_second", "seconds"]
    assert outcome.history.drop(columns=measured).equals(again.history.drop(columns=measured))


def test_it_learns_drawn_faces(tmp_path):
    spec = spec_for(recipe(augmentation={}), model="resnet18")
    outcome = finetune(TrainingJob(fresh(spec), DATASET, spec, work_dir=tmp_path))
    assert outcome.history["train_accuracy"].iloc[-1] > 0.3  # chance is 0.14
    assert outcome.history["train_loss"].is_monotonic_decreasing


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_kept_epoch_is_the_best_on_val_or_the_last(tmp_path, checkpoint):
    spec = spec_for(recipe(epochs=4, checkpoint=checkpoint))
    outcome = finetune(TrainingJob(fresh(spec), DATASET, spec, work_dir=tmp_path))
    accuracies = list(outcome.history["val_accuracy"])
    expected = accuracies.index(max(accuracies)) + 1 if checkpoint == "best" else 4
    assert outcome.info.best_epoch == expected


def test_a_share_of_the_starting_weights_stays(tmp_path):
    spec = spec_for(recipe())
    start, trained, mixed = fresh(spec), fresh(spec), fresh(spec)
    finetune(TrainingJob(trained, DATASET, spec, work_dir=tmp_path / "trained"))
    sharing = spec.model_copy(
        update={"recipe": recipe(start_share=0.25, modes=("full",)), "pretraining": "a run"}
    )
    job = TrainingJob(mixed, DATASET, sharing, tmp_path / "mixed", kill_after(1))
    with pytest.raises(Killed):
        finetune(job)
    mixed.load_state_dict(start.state_dict())
    finetune(replace(job, progress=silent, resume=True))
    for name, value in mixed.state_dict().items():
        whole, before = trained.state_dict()[name], start.state_dict()[name]
        expected = 0.25 * before + 0.75 * whole if value.is_floating_point() else whole
        torch.testing.assert_close(value, expected)


def test_there_must_be_a_start_to_keep_a_share_of():
    with pytest.raises(ValidationError, match="random ones are none to keep"):
        spec_for(recipe(start_share=0.5, modes=("full",)))
    with pytest.raises(ValidationError, match="write modes: \\[full\\]"):
        recipe(start_share=0.5)


def test_the_test_split_is_never_read(tmp_path):
    class Watched:
        def __init__(self, images):
            self.images, self.seen = images, set()
            self.dtype, self.ndim, self.shape = images.dtype, images.ndim, images.shape

        def __getitem__(self, rows):
            self.seen.update(rows.tolist())
            return self.images[rows]

    watched = Watched(DATASET.images)
    dataset = load_dataset("synthetic")
    object.__setattr__(dataset, "images", watched)
    spec = spec_for(recipe(epochs=1))
    finetune(TrainingJob(fresh(spec), dataset, spec, work_dir=tmp_path))
    assert watched.seen.isdisjoint(DATASET.indices("test").tolist())
    assert watched.seen.issuperset(DATASET.indices("val").tolist())


@pytest.mark.parametrize(("checkpoint", "kept"), [("best", 1), ("last", 3)])
def test_early_stopping_watches_val_whichever_epoch_is_kept(tmp_path, checkpoint, kept):
    # A vanishing rate leaves val accuracy where it was: nothing improves after epoch 1.
    changes = {"epochs": 9, "early_stopping": 2, "optimizer": {"name": "sgd", "lr": 1e-12}}
    spec = spec_for(recipe(**changes, checkpoint=checkpoint), model="vit_b_16")
    outcome = finetune(TrainingJob(fresh(spec), DATASET, spec, work_dir=tmp_path))
    assert (outcome.info.epochs_run, outcome.info.best_epoch) == (3, kept)
    assert outcome.info.stopped_early


def test_lora_changes_few_weights_and_full_all(tmp_path):
    spec = spec_for(recipe(epochs=1), mode="lora", model="vit_b_16")
    model = fresh(spec)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    finetune(TrainingJob(model, DATASET, spec, work_dir=tmp_path))
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all("lora" in n or n.startswith("head") for n in changed)


def test_a_diverging_loss_is_a_clear_failure(tmp_path):
    spec = spec_for(recipe(optimizer={"name": "sgd", "lr": 1e30}))
    with pytest.raises(
        RunFailed, match=r"the loss became (nan|inf) in epoch 1: lower the learning"
    ):
        finetune(TrainingJob(fresh(spec), DATASET, spec, work_dir=tmp_path))


def test_a_damaged_checkpoint_says_what_to_do(tmp_path):
    save_checkpoint(tmp_path, {"epoch": 1})
    assert load_checkpoint(tmp_path) == {"epoch": 1}
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:40])
    with pytest.raises(FerBenchError, match=r"is damaged .*: delete it and run again"):
        load_checkpoint(tmp_path)


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, {"epoch": 1})

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunFailed, match=r"cannot write the checkpoint .*No space left"):
        save_checkpoint(tmp_path, {"epoch": 2})
    assert load_checkpoint(tmp_path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_what_a_killed_process_left_of_a_checkpoint_goes_with_the_next(tmp_path):
    (tmp_path / f".{'0' * 32}.tmp.pt").write_bytes(b"half")
    save_checkpoint(tmp_path, {"epoch": 1})
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_a_recipe_refuses_a_mode_it_is_not_for():
    with pytest.raises(
        FerBenchError, match="recipe 'frozen-20' is for mode frozen, got mode 'full'"
    ):
        specify(model="resnet18", mode="full", recipe="frozen-20")


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (True, "this CPU has no bf16 instructions"),
        (False, "bf16 measured .* times as fast as fp32"),
    ],
)
def test_bf16_is_tried_where_the_cpu_has_it(lacking, reason, monkeypatch):
    monkeypatch.setattr(precision, "lacks_bf16", lambda: lacking)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten())
    automatic = recipe(precision="auto")
    chosen, why = choose_precision(automatic, network, torch.ones(2, 1, 8, 8), "cpu", seconds=0.01)
    assert re.fullmatch(reason, why)
    assert chosen == "fp32" or not lacking


@pytest.mark.parametrize("tokens", [5, 10, 50])
def test_attention_in_bf16_answers_and_learns_as_in_fp32(tokens):
    faces = torch.randn(3, 2, 4, tokens, 8, generator=torch.Generator().manual_seed(0))

    def attention(dtype, kind):
        query = faces.clone().to(dtype).requires_grad_()
        with precision.autocast("cpu", kind):
            answer = torch.nn.functional.scaled_dot_product_attention(*query)
        answer.square().sum().backward()
        return answer.detach().float(), query.grad.float()

    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    for exact, rounded in zip(
        attention(torch.float32, "fp32"), attention(torch.bfloat16, "bf16"), strict=True
    ):
        assert (rounded - exact).norm() < 0.02 * exact.norm()
    assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed() == before


class Counted(torch.nn.Module):
    """Notes how many images every call, of it or of its copies, was about."""

    batches: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        self.batches.append(len(x))
        return x.flatten(1) * self.scale


@pytest.mark.parametrize(
    ("images", "worthwhile", "batches"),
    [
        (320, 5.0, {4}),  # five epochs of one batch: a look at four, and nothing else
        (320, 0.0, {4}),  # measured on these four
        (10**6, 0.0, {4, 64}),
    ],
)
def test_precision_is_measured_on_as_many_images_as_the_work_ahead_is_worth(
    images, worthwhile, batches, monkeypatch
):
    monkeypatch.setattr(precision, "lacks_bf16", lambda: False)
    monkeypatch.setattr(precision, "WORTHWHILE_SECONDS", worthwhile)
    monkeypatch.setattr(Counted, "batches", [])
    sample = torch.ones(64, 1, 8, 8)
    chosen, why = choose_precision(
        recipe(precision="auto"), Counted(), sample, "cpu", images=images, seconds=0.01
    )
    assert set(Counted.batches) == batches
    measured = worthwhile == 0
    assert re.fullmatch("bf16 measured .*" if measured else "only .* s of work ahead", why)
    assert measured or (chosen == "fp32" and len(Counted.batches) == 2)


def test_a_resumed_run_keeps_the_precision_it_once_measured(tmp_path):
    def settle(resume, found):
        return settled_choice(tmp_path, resume, lambda: found, ("fp32", "bf16"))

    first = settle(False, ("bf16", "measured"))
    assert settle(True, ("fp32", "again")) == first
    assert settle(False, ("fp32", "again")) == ("fp32", "again")
    (tmp_path / "precision.json").write_text("{")
    with pytest.raises(FerBenchError, match=r"precision.json is damaged: delete it and run again"):
        settle(True, ("fp32", "again"))


def test_a_resumed_run_does_not_change_to_a_precision_asked_for_later(tmp_path):
    def settle(precision):
        return settled_choice(tmp_path, True, lambda: (precision, "set"), (precision,))

    settle("bf16")
    assert settle("fp32") == ("fp32", "set")  # no epoch is trained yet
    settle("bf16")
    save_checkpoint(tmp_path, {})
    message = "the epochs to go on from were trained with bf16, got fp32: go on with bf16"
    with pytest.raises(FerBenchError, match=message):
        settle("fp32")
