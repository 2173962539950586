"""Teachers: what the student's loss becomes, and who may teach."""

from __future__ import annotations

import pytest
import torch
from finished_fixtures import run, tiny_spec
from torch import Tensor

from fer_bench.benchmark import Source
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.recipe import Distillation
from fer_bench.training.loss import Teachers
from fer_bench.types import Mode

LABEL_LOSS = torch.tensor(1.5)
STUDENT = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
BATCH = torch.randn(4, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def network(seed: int, size: int = 48) -> Classifier:
    torch.manual_seed(seed)
    options = {"width": 0.25, "input_size": size}
    return build_model(ModelRequest(name="compact_resnet", emotions=FER2013, options=options))


def answers(model: Classifier, temperature: float = 1.0) -> Tensor:
    with torch.no_grad():
        return (model(BATCH) / temperature).softmax(1)


def teachers(*models: Classifier, weight: float = 0.5, temperature: float = 1.0) -> Teachers:
    how = Distillation(weight=weight, temperature=temperature)
    return Teachers(models, how, STUDENT.input_spec, "cpu", "fp32")


def test_without_teachers_the_loss_is_that_of_the_labels() -> None:
    assert teachers().blend(LABEL_LOSS, torch.zeros(4, 7), BATCH) is LABEL_LOSS


def test_a_student_that_agrees_pays_for_the_labels_alone() -> None:
    teacher = network(0)
    blended = teachers(teacher, weight=0.25).blend(LABEL_LOSS, answers(teacher).log(), BATCH)
    assert float(blended) == pytest.approx(0.75 * 1.5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distance_is_the_divergence_from_the_mean_answer(temperature: float) -> None:
    first, second = network(0), network(1)
    logits = torch.randn(4, 7)
    mean = (answers(first, temperature) + answers(second, temperature)) / 2
    student = (logits / temperature).softmax(1)
    divergence = (mean * (mean / student).log()).sum(1).mean() * temperature**2
    taught = teachers(first, second, weight=1.0, temperature=temperature)
    torch.testing.assert_close(taught.blend(LABEL_LOSS, logits, BATCH), divergence)


def test_teachers_do_not_learn() -> None:
    teacher, logits = network(0), torch.zeros(4, 7, requires_grad=True)
    teachers(teacher).blend(LABEL_LOSS, logits, BATCH).backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_that_wants_other_faces_is_refused() -> None:
    with pytest.raises(FerBenchError, match="wants faces of 64 px and 1 channels"):
        teachers(network(0, size=64))


# As runs


def test_a_taught_run_says_so_and_learns_otherwise(
    store: ResultsStore, finished: StoredRun
) -> None:
    alone = run(store, tiny_spec(seed=1))
    taught = run(store, tiny_spec(seed=1, teachers=(finished.name,)))
    assert taught.name == "clip_vit_b_32-full-finetune-5-1ep-scratch-tiny-taught-by-1-s1"
    assert taught.spec.teachers == (finished.name,)
    assert taught.metrics["val"].log_loss != alone.metrics["val"].log_loss


def test_a_teacher_of_other_data_or_of_no_name_is_refused(
    store: ResultsStore, finished: StoredRun
) -> None:
    with pytest.raises(RunFailed, match="trained on other data or splits"):
        run(store, tiny_spec(seed=1, teachers=(finished.name,)), Source(data="synthetic:1"))
    with pytest.raises(RunFailed, match="unknown run 'synthetic/nobody'"):
        run(store, tiny_spec(seed=1, teachers=("nobody",)))


@pytest.mark.parametrize(
    ("mode", "teachers", "reason"),
    [
        ("frozen", ("a",), "only the modes full and lora learn from teachers"),
        ("full", ("a", "a"), "run a is listed twice: name each run once"),
    ],
)
def test_teachers_that_would_not_count_are_refused(
    mode: Mode, teachers: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(FerBenchError, match=reason):
        tiny_spec(mode=mode, teachers=teachers)
