"""Ensembles: what their networks answer, how the weights come about, and that they are runs."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finished_fixtures import tiny_spec
from numpy.typing import NDArray

from fer_bench.backends.registry import BACKENDS
from fer_bench.benchmark import (
    Runner,
    Source,
    evaluate_run,
    plan,
    require_named,
    run_sweep,
    specify,
    specify_ensemble,
)
from fer_bench.config import validate
from fer_bench.data.preprocess import to_input
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.calibration import with_temperature
from fer_bench.evaluation.confusion import scores
from fer_bench.evaluation.ensemble_weights import fit_weights
from fer_bench.inference.classifier import open_classifier
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS, StoredRun
from fer_bench.results.summary import summary_table
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.specs.sweep import Sweep
from fer_bench.studies.explain.heat_map import explain

FACES = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
SYNTHETIC = Source(data="synthetic")
TITLE = "pair"


def network(
    name: str, seed: int, emotions: tuple[str, ...] = FER2013, **options: Any
) -> Classifier:
    torch.manual_seed(seed)
    return build_model(ModelRequest(name=name, emotions=emotions, options=dict(options)))


def probabilities(model: Classifier, temperature: float = 1.0) -> NDArray[np.float64]:
    with torch.no_grad():
        logits = model(to_input(FACES, model.input_spec)).double()
    return np.asarray((logits / temperature).softmax(1))


def test_no_namesake_takes_the_place_of_a_member_or_teacher(
    store: ResultsStore, own_run: StoredRun, tmp_path: Path
) -> None:
    """Runs are kept by their names on the data: one elsewhere would be another run."""
    dataset = SYNTHETIC.load(tiny_spec())
    require_named(store, [own_run.name, own_run.id, str(own_run.folder)], dataset)
    other = shutil.copytree(own_run.folder, store.root / "other" / own_run.name)
    with pytest.raises(FerBenchError) as refused:
        require_named(store, [f"other/{own_run.name}"], dataset)
    assert str(refused.value) == (
        f"run other/{own_run.name} is of the data set other, expected one of synthetic: choose "
        "runs of the same data"
    )
    elsewhere = Path(shutil.move(other, tmp_path / own_run.dataset / own_run.name))
    with pytest.raises(FerBenchError) as refused:
        require_named(store, [str(elsewhere)], dataset)
    assert str(refused.value) == (
        f"run {own_run.name} lies in {elsewhere}, expected one in {store.location}: name that "
        "results folder, or copy the run here"
    )


# What it answers


def test_it_answers_the_weighted_mean_of_calibrated_probabilities() -> None:
    gray = network("compact_resnet", 0)
    colour = network("resnet18", 1, tiny=True, input_size=48)
    together = make_ensemble(
        [
            EnsembleMember(model=gray, weight=0.3, temperature=2.0),
            EnsembleMember(model=colour, weight=0.7, temperature=0.5),
        ]
    )
    expected = 0.3 * probabilities(gray, 2.0) + 0.7 * probabilities(colour, 0.5)
    np.testing.assert_allclose(probabilities(together), expected, atol=1e-6)
    assert together.input_spec.channels == 3


def test_gray_networks_among_colour_ones_see_the_same_gray() -> None:
    gray = network("compact_resnet", 0)
    colour = network("resnet18", 1, tiny=True, input_size=48)
    together = make_ensemble(
        [
            EnsembleMember(model=gray, weight=1.0, temperature=1.0),
            EnsembleMember(model=colour, weight=0.0, temperature=1.0),
        ]
    )
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)
    with torch.no_grad():
        alone = gray(to_input(faces, gray.input_spec)).softmax(1)
        within = together(to_input(faces, together.input_spec)).softmax(1)
    torch.testing.assert_close(within, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (
            lambda: network("compact_resnet", 1, input_size=64),
            "the same input sizes, got 48 and 64",
        ),
        (lambda: network("compact_resnet", 1, EXPRESSIO), "the same emotions"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(other: Any, reason: str) -> None:
    models = [network("compact_resnet", 0), other()]
    with pytest.raises(FerBenchError, match=reason):
        make_ensemble(
            [EnsembleMember(model=model, weight=0.5, temperature=1.0) for model in models]
        )


# Its weights


def sample(n: int, *noises: float) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Labels, and per noise the probabilities of a model whose logits are that far off."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, n)
    truth = 3 * np.eye(7)[labels]
    logits = [truth + noise * rng.normal(size=truth.shape) for noise in noises]
    return labels, [np.asarray(torch.tensor(one).softmax(1)) for one in logits]


def log_loss(labels: NDArray[np.int64], mean: NDArray[np.float64]) -> float:
    return float(-np.log(mean[np.arange(len(labels)), labels]).mean())


def test_no_other_weights_of_two_models_have_a_lower_loss() -> None:
    labels, (good, poor) = sample(3_000, 1.0, 1.6)
    weights = fit_weights(labels, [good, poor])
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > 0
    best = log_loss(labels, weights[0] * good + weights[1] * poor)
    for share in np.linspace(0, 1, 101):
        assert best <= log_loss(labels, share * good + (1 - share) * poor) + 1e-9


def test_a_model_that_only_guesses_gets_no_weight() -> None:
    labels, (good, other) = sample(20_000, 1.5, 1.5)
    guessing = np.full_like(good, 1 / 7)
    weights = fit_weights(labels, [good, guessing, other])
    assert weights[1] == pytest.approx(0, abs=1e-3)
    assert weights[0] == pytest.approx(0.5, abs=0.1)


# That it is a run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultsStore, list[RunRecord]]:
    """Two runs on drawn faces, one without flips, and their ensemble."""
    store = ResultsStore(tmp_path_factory.mktemp("results"))
    records = []
    for seed in (0, 1):
        spec = specify(
            model="resnet18",
            mode="full",
            recipe="finetune-5",
            pretraining="none",
            model_options={"tiny": True},
            epochs=2,
            seed=seed,
        )
        records.append(Runner(store=store).run(spec, SYNTHETIC.load(spec)))
    spec_of_both = specify_ensemble(store, [record.name for record in records], title=TITLE)
    records.append(Runner(store=store).run(spec_of_both, SYNTHETIC.load(spec_of_both)))
    return store, records


def test_its_record_says_who_counts_how_much(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (first, second, both) = trained
    assert (both.name, both.status) == ("ensemble-pair", "done")
    assert [member.run for member in both.members] == [first.name, second.name]
    assert [member.temperature for member in both.members] == [
        first.temperature,
        second.temperature,
    ]
    assert both.pretraining == "none"
    assert both.model and first.model and second.model
    assert both.model.parameters == first.model.parameters + second.model.parameters
    assert both.model.flops == (first.model.flops or 0) + (second.model.flops or 0)
    stored = store.find(both.name).require_record()
    assert stored == both
    assert store.history(store.find(both.name)).empty  # nothing was trained
    row = summary_table([store.find(both.name)]).iloc[0]
    assert (row["model"], row["mode"], row["recipe"]) == ("ensemble", "of 2", "fitted weights")


def test_its_weights_come_from_validation_data_alone(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (first, second, both) = trained
    calibrated = []
    for record in (first, second):
        predictions = store.predictions(store.find(record.name))
        val = predictions[predictions["split"] == "val"].sort_values("id")
        labels, plain = scores(val, record.dataset.emotions)
        calibrated.append(with_temperature(plain, record.temperature or 1.0))
    expected = fit_weights(labels, calibrated)
    assert [member.weight for member in both.members] == expected.tolist()


def test_its_predictions_are_the_mean_of_its_members(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (*members, both) = trained
    expected = 0
    for record, member in zip(members, both.members, strict=True):
        _, plain = scores(store.predictions(store.find(record.name)), FER2013)
        expected = expected + member.weight * with_temperature(plain, member.temperature)
    _, found = scores(store.predictions(store.find(both.name)), FER2013)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("tta", [False, True])
def test_evaluating_it_gives_its_numbers_again(
    trained: tuple[ResultsStore, list[RunRecord]], tta: bool
) -> None:
    store, (*_, both) = trained
    report = evaluate_run(store, both.name, SYNTHETIC, tta=tta)
    assert report.metrics == both.metrics["test_tta" if tta else "test"]


#: int8 wants faces to calibrate on, and compiling takes half a minute; test_backends has both.
QUICK = [name for name in BACKENDS if "int8" not in name and "compile" not in name]


@pytest.mark.usefixtures("any_precision")
@pytest.mark.parametrize("backend", QUICK)
def test_it_names_faces_and_shows_where_it_looked(
    trained: tuple[ResultsStore, list[RunRecord]], backend: str
) -> None:
    store, (*_, both) = trained
    reference = open_classifier(store.find(both.name), "torch-fp32").probabilities(list(FACES))
    classifier = open_classifier(store.find(both.name), backend)
    np.testing.assert_allclose(classifier.probabilities(list(FACES)), reference, atol=0.02)
    assert explain(classifier, FACES[0]).shape == FACES[0].shape


def test_its_command_makes_it_again(trained: tuple[ResultsStore, list[RunRecord]]) -> None:
    _, (first, second, both) = trained
    assert shlex.split(reproduce_command(both)) == [
        *("python", "-m", "fer_bench", "ensemble", first.name, second.name),
        *("--data", "synthetic:0", "--weighting", "fitted", "--tta", "flip", "--title", TITLE),
    ]


def test_equal_weights_are_equal(trained: tuple[ResultsStore, list[RunRecord]]) -> None:
    store, (first, second, _) = trained
    spec = specify_ensemble(store, [first.name, second.name], title="even", weighting="equal")
    record = Runner(store=store).run(spec, SYNTHETIC.load(spec))
    assert [member.weight for member in record.members] == [0.5, 0.5]


def test_a_benchmark_makes_its_ensembles_last(tmp_path: Path) -> None:
    entry = {"models": "resnet18", "modes": "full", "recipes": "finetune-5", "seeds": [0, 1]}
    members = [f"resnet18-full-finetune-5-1ep-scratch-tiny-s{seed}" for seed in (0, 1)]
    values = {
        "name": "both",
        "pretraining": "none",
        "runs": [entry | {"epochs": 1, "model_options": {"tiny": True}}],
        "ensembles": [{"ensemble": members}],
    }
    specs = plan(validate(Sweep, values, "both"))
    assert [spec.name for spec in specs] == [*members, "ensemble-of-2"]
    heard: list[str] = []
    records = run_sweep(
        specs,
        SYNTHETIC,
        Runner(store=ResultsStore(tmp_path)),
        lambda _, state, words: heard.append(state),
    )
    assert heard == ["started", "done"] * 3
    assert [record.status for record in records] == ["done"] * 3


def test_limited_runs_are_known_by_their_names_without_the_limit() -> None:
    entry = {"models": "resnet18", "modes": "full", "recipes": "demo", "seeds": [0, 1]}
    members = [f"resnet18-full-demo-s{seed}" for seed in (0, 1)]
    values = {
        "name": "both",
        "runs": [entry, entry | {"seeds": 2, "teachers": members}],
        "ensembles": [{"ensemble": members}],
    }
    *runs, student, together = plan(validate(Sweep, values, "both"), limit=9)
    limited = ("resnet18-full-demo-limit9-s0", "resnet18-full-demo-limit9-s1")
    assert tuple(run.name for run in runs) == limited
    assert isinstance(student, RunSpec)
    assert isinstance(together, EnsembleSpec)
    assert student.teachers == together.ensemble == limited
    assert together.limit == 9


def test_an_ensemble_of_a_benchmark_is_about_the_data_of_its_members() -> None:
    entry = {"models": "resnet18", "modes": "full", "recipes": "demo", "seeds": [0, 1]}
    values = {
        "name": "both",
        "runs": [entry | {"emotions": "happy,sad", "limit": 9}],
        "ensembles": [{"ensemble": [f"resnet18-full-demo-2-classes-limit9-s{s}" for s in (0, 1)]}],
    }
    together = plan(validate(Sweep, values, "both"))[-1]
    assert (together.emotions, together.limit) == (("happy", "sad"), 9)


# What is refused


def test_a_split_that_chooses_and_measures_is_refused() -> None:
    values = {"ensemble": ["a", "b"], "selection_split": "test"}
    with pytest.raises(FerBenchError, match="selection split and the test split are both 'test'"):
        validate(EnsembleSpec, values, "spec")


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (["ensemble-pair", 0], "ensemble-pair is an ensemble: name its members instead"),
        ([0, 0], "listed twice: name each run once"),
        ([0], "expected two runs or more, got 1"),
        ([0, "resnet19"], "unknown run 'resnet19'"),
    ],
)
def test_what_cannot_be_a_member_is_refused(
    trained: tuple[ResultsStore, list[RunRecord]], runs: list[str | int], reason: str
) -> None:
    store, records = trained
    names = [records[run].name if isinstance(run, int) else run for run in runs]
    with pytest.raises(FerBenchError, match=reason):
        spec = specify_ensemble(store, names, title="refused")
        Runner(store=store).run(spec, SYNTHETIC.load(spec))


def test_members_of_other_data_are_refused(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (first, second, _) = trained
    spec = specify_ensemble(store, [first.name, second.name], title="elsewhere")
    with pytest.raises(RunFailed, match="was trained on other data or splits"):
        Runner(store=store).run(spec, Source(data="synthetic:1").load(spec))


def test_a_member_without_weights_says_how_to_get_them(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (first, _, both) = trained
    weights = store.find(first.name).folder / WEIGHTS
    hidden = weights.rename(weights.with_suffix(".hidden"))
    try:
        assert not store.find(both.name).has_weights
        with pytest.raises(FerBenchError, match="train it again with `python -m fer_bench train"):
            open_classifier(store.find(both.name))
    finally:
        hidden.rename(weights)


def test_a_member_that_was_trained_again_or_is_gone_is_named(
    trained: tuple[ResultsStore, list[RunRecord]],
) -> None:
    store, (first, _, both) = trained
    other = first.model_copy(update={"temperature": (first.temperature or 1) * 2})
    folder = store.save(other)
    with pytest.raises(FerBenchError, match="trained again since ensemble ensemble-pair was made"):
        open_classifier(store.find(both.name))
    store.save(first)
    away = folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FerBenchError, match=f"needs run {first.name}, which is not in"):
        open_classifier(store.find(both.name))
    away.rename(folder)
    assert open_classifier(store.find(both.name)).name == both.name
