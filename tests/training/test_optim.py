"""Optimisers and schedules do what the recipe says, and go on from a checkpoint."""

import pytest
import torch
from torch import nn

from fer_bench.specs.recipe import Optimizer, Recipe, Schedule
from fer_bench.training.optim import LearningRate, make_optimizer


def recipe(schedule: Schedule, lr: float = 0.1, optimizer: str = "sgd") -> Recipe:
    return Recipe(
        name="r",
        epochs=4,
        optimizer=Optimizer(name=optimizer, lr=lr),
        schedule=schedule,
        learning_rates={"special": 0.5},
    )


def rates(schedule: Schedule, accuracies: list[float], steps: int = 2) -> list[float]:
    """The rate in force at the end of each epoch."""
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], recipe(schedule), "m")
    rate = LearningRate(optimizer, schedule, epochs=len(accuracies), steps=steps)
    seen = []
    for accuracy in accuracies:
        for _ in range(steps):
            optimizer.step()
            rate.step_batch()
        rate.step_epoch(accuracy)
        seen.append(rate.value)
    return seen


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sgd", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("nadam", torch.optim.NAdam),
    ],
)
def test_the_named_optimiser_gets_the_trainable_parameters_only(name, kind):
    fixed = nn.Parameter(torch.zeros(1), requires_grad=False)
    free = nn.Parameter(torch.zeros(2))
    optimizer = make_optimizer([fixed, free], recipe(Schedule(), optimizer=name), "m")
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["params"] == [free]


def test_a_model_can_have_an_optimiser_of_its_own():
    transformers = Optimizer(name="adamw", lr=3e-4, weight_decay=0.05)
    mixed = recipe(Schedule()).model_copy(update={"optimizers": {"vit": transformers}})
    parameters = [nn.Parameter(torch.zeros(1))]
    optimizer = make_optimizer(parameters, mixed, "vit")
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["lr"] == 3e-4
    assert optimizer.param_groups[0]["weight_decay"] == 0.05
    assert mixed.only_for("vit").optimizer == transformers
    assert mixed.only_for("special").optimizer.lr == 0.5
    assert type(make_optimizer(parameters, mixed, "m")) is torch.optim.SGD


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_steps_are_fused_and_as_those_that_are_not(name):
    start = torch.linspace(-1, 1, 9)

    def after_three_steps(fused: bool) -> torch.Tensor:
        weights = nn.Parameter(start.clone())
        optimizer = make_optimizer([weights], recipe(Schedule(), optimizer=name), "m")
        assert optimizer.param_groups[0]["fused"] is True
        optimizer.param_groups[0]["fused"] = fused
        for _ in range(3):
            optimizer.zero_grad()
            weights.square().sum().backward()
            optimizer.step()
        return weights.detach()

    torch.testing.assert_close(after_three_steps(True), after_three_steps(False))


def test_a_model_with_its_own_learning_rate_gets_it():
    parameter = nn.Parameter(torch.zeros(1))
    assert make_optimizer([parameter], recipe(Schedule()), "special").param_groups[0]["lr"] == 0.5
    assert make_optimizer([parameter], recipe(Schedule()), "other").param_groups[0]["lr"] == 0.1


def test_constant_stays():
    assert rates(Schedule(), [0.1, 0.2, 0.3]) == [0.1, 0.1, 0.1]


def test_cosine_falls_to_zero_along_half_a_wave():
    assert rates(Schedule(name="cosine"), [0, 0]) == pytest.approx([0.05, 0.0])


def test_warm_up_rises_linearly_to_the_peak():
    schedule = Schedule(name="constant", warmup_epochs=2)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], recipe(schedule), "m")
    rate = LearningRate(optimizer, schedule, epochs=4, steps=2)
    seen = []
    for _ in range(5):
        seen.append(rate.value)
        optimizer.step()
        rate.step_batch()
    assert seen == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])


def test_one_cycle_rises_then_falls_below_its_start():
    values = rates(Schedule(name="one-cycle"), [0] * 10)
    peak = values.index(max(values))
    assert values[:peak] == sorted(values[:peak])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[-1] < 1e-5 < 0.1 * max(values)


@pytest.mark.parametrize(
    ("cycled", "optimizer", "expected"),
    [
        (True, "sgd", (0.85, 0.95)),
        (True, "adam", (0.85, 0.95)),
        (False, "sgd", (0.9, 0.9)),
        (False, "adamw", (0.9, 0.9)),
    ],
)
def test_one_cycle_says_what_momentum_it_gives(cycled, optimizer, expected):
    schedule = Schedule(name="one-cycle", cycle_momentum=cycled)
    settings = recipe(schedule, optimizer=optimizer)
    made = make_optimizer([nn.Parameter(torch.zeros(1))], settings, "m")
    rate = LearningRate(made, schedule, epochs=4, steps=5)
    seen = set()
    for _ in range(20):
        made.step()
        rate.step_batch()
        group = made.param_groups[0]
        seen.add(round(group["momentum"] if "momentum" in group else group["betas"][0], 4))
    assert rate.momentum == expected
    assert expected[0] <= min(seen) <= max(seen) <= expected[1]
    assert len(seen) == 1 or cycled


def test_plateau_halves_after_patience_runs_out():
    schedule = Schedule(name="plateau", factor=0.5, patience=1)
    assert rates(schedule, [0.5, 0.5, 0.5, 0.6]) == pytest.approx([0.1, 0.1, 0.05, 0.05])


@pytest.mark.parametrize("name", ["constant", "cosine", "one-cycle", "plateau"])
def test_a_schedule_goes_on_from_its_state(name):
    schedule = Schedule(name=name, patience=0)

    def stepped(times: int) -> tuple[torch.optim.Optimizer, LearningRate]:
        optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], recipe(schedule), "m")
        rate = LearningRate(optimizer, schedule, epochs=4, steps=1)
        for _ in range(times):
            optimizer.step()
            rate.step_batch()
            rate.step_epoch(0.5)
        return optimizer, rate

    _, whole = stepped(3)
    half_optimizer, half = stepped(2)
    optimizer, resumed = stepped(0)
    optimizer.load_state_dict(half_optimizer.state_dict())
    resumed.load_state_dict(half.state_dict())
    optimizer.step()
    resumed.step_batch()
    resumed.step_epoch(0.5)
    assert resumed.value == whole.value
