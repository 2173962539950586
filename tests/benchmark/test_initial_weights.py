"""Runs that go on from other runs: their records say so, and hold no path of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from finished_fixtures import SYNTHETIC, run, tiny_spec
from page_fixtures import make_ensemble_record
from record_fixtures import make_record
from table_fixtures import table

from fer_bench.benchmark import is_finished
from fer_bench.benchmark.initial_weights import as_recorded
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.lineage import origin, run_at, same_data_only, starting_run
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS, StoredRun
from fer_bench.results.summary import summary_table
from fer_bench.specs.run import RunSpec

FIRST = "clip_vit_b_32-full-finetune-5-1ep-scratch-tiny-s0"
SECOND = "clip_vit_b_32-full-finetune-5-1ep-tiny-s1"
THIRD = "clip_vit_b_32-full-finetune-5-1ep-tiny-s2"


def spec_from(pretraining: Path | str, seed: int = 0, **changes: str) -> RunSpec:
    return tiny_spec(pretraining=str(pretraining), seed=seed, **changes)


@pytest.fixture(scope="module")
def root(finished: StoredRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a run from random weights, one that goes on from it, and so again."""
    folder = tmp_path_factory.mktemp("results")
    store = ResultsStore(folder)
    first = shutil.copytree(finished.folder, folder / finished.id)
    second = run(store, spec_from(first, seed=1))
    run(store, spec_from(store.find(second.name).folder / WEIGHTS, seed=2))
    return folder


# --- what a training writes --------------------------------------------------------------------


def test_a_run_that_goes_on_from_another_names_it(root: Path) -> None:
    second = ResultsStore(root).find(SECOND)
    record = second.require_record()
    assert record.spec.pretraining == f"results/synthetic/{FIRST}"
    assert record.model.provenance.weights == f"run {FIRST} (pretraining: none)"
    kept = json.loads((second.folder / "model.json").read_text())
    assert kept["request"]["pretraining"] == record.spec.pretraining
    assert kept["provenance"]["weights"] == record.model.provenance.weights


def test_a_line_of_runs_is_told_back_to_its_beginning(root: Path) -> None:
    third = ResultsStore(root).find(THIRD)
    line = f"run {SECOND} (pretraining: run {FIRST} (pretraining: none))"
    assert third.require_record().model.provenance.weights == line
    assert origin(third) == line
    assert summary_table([third]).iloc[0]["pretraining"] == line
    assert starting_run(third).name == SECOND
    assert same_data_only(third)


def test_a_finished_run_is_known_again_however_its_start_is_spelt(root: Path) -> None:
    store, data = ResultsStore(root), SYNTHETIC.load(tiny_spec())
    first = store.find(FIRST).folder
    assert is_finished(store, spec_from(first, seed=1), data)
    assert is_finished(store, spec_from(first / WEIGHTS, seed=1), data)
    with pytest.raises(FerBenchError, match=r"is finished in .*, but with other settings"):
        is_finished(store, spec_from("imagenet", seed=1), data)


def test_other_local_weights_are_told_by_their_name_alone(root: Path, tmp_path: Path) -> None:
    weights = tmp_path / "elsewhere" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes((ResultsStore(root).find(FIRST).folder / "model.safetensors").read_bytes())
    store = ResultsStore(tmp_path / "results")
    stored = store.find(run(store, spec_from(weights)).name)
    assert stored.require_record().spec.pretraining == weights.name
    assert stored.require_record().model.provenance.weights == "local file"
    for text in (stored.folder / "record.json", stored.folder / "model.json"):
        assert str(tmp_path) not in text.read_text()
    assert not same_data_only(stored)


@table(
    ("place", "told"),
    [
        ("none", "none"),
        ("imagenet", "imagenet"),
        ("timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
        ("weights/w.pth", "weights/w.pth"),
        ("/home/somebody/w.pth", "w.pth"),
        ("~/w.pth", "w.pth"),
        ("~nobody-here/clip", "clip"),
        ("weights/../../somebody/w.pth", "w.pth"),
    ],
)
def test_only_a_path_within_the_working_folder_is_recorded(place: str, told: str) -> None:
    assert as_recorded(spec_from(place)).pretraining == told


def test_learning_rates_of_other_models_make_no_other_run(root: Path) -> None:
    spec, data = tiny_spec(), SYNTHETIC.load(tiny_spec())

    def with_rate(model: str) -> RunSpec:
        recipe = spec.recipe.model_copy(update={"learning_rates": {model: 0.5}})
        return spec.model_copy(update={"recipe": recipe})

    assert is_finished(ResultsStore(root), with_rate("vgg16"), data)
    with pytest.raises(FerBenchError, match="but with other settings"):
        is_finished(ResultsStore(root), with_rate("clip_vit_b_32"), data)


def test_a_start_that_was_chosen_on_test_images_is_refused(root: Path, tmp_path: Path) -> None:
    spec = spec_from(ResultsStore(root).find(FIRST).folder, protocol="kaggle")
    with pytest.raises(RunFailed, match="chosen by the protocol official, expected kaggle: what"):
        run(ResultsStore(tmp_path), spec)


@table("place", ["none", "imagenet", "timm/x", "/nowhere", "~nobody-here/x", ""])
def test_what_is_no_run_is_taken_for_none(place: str) -> None:
    assert run_at(place) is None


# --- what is read from records -----------------------------------------------------------------


def saved(root: Path, name: str, pretraining: str, *teachers: str, **changes: object) -> StoredRun:
    """A run whose weights came from a path, as records said it before they named the run."""
    record = make_record(name=name, pretraining=pretraining, **changes)
    spec = record.spec.model_copy(update={"teachers": teachers})
    weights = "none" if pretraining == "none" else "local file"
    source = record.model.provenance.model_copy(update={"weights": weights})
    model = record.model.model_copy(update={"provenance": source})
    ResultsStore(root).save(record.model_copy(update={"spec": spec, "model": model}))
    return ResultsStore(root).find(name)


def retold(run: StoredRun, **changes: object) -> RunRecord:
    return run.require_record().model_copy(update=changes)


def test_an_older_record_leads_to_its_start_by_the_path(tmp_path: Path) -> None:
    saved(tmp_path, "a", "none")
    saved(tmp_path, "b", "somewhere/fer2013/a/model.safetensors")
    last = saved(tmp_path, "c", "results/fer2013/b")
    assert origin(last) == "run b (pretraining: run a (pretraining: none))"
    ensemble = make_ensemble_record("both", {"a": 0.5, "b": 0.5})
    begun = ("none", last.require_record().spec.pretraining)
    members = (
        member.model_copy(update={"pretraining": start})
        for member, start in zip(ensemble.members, begun, strict=True)
    )
    store = ResultsStore(tmp_path)
    store.save(ensemble.model_copy(update={"members": tuple(members)}))
    told = summary_table([store.find(ensemble.name)]).iloc[0]["pretraining"]
    assert told == "none + run b (pretraining: run a (pretraining: none))"


@pytest.mark.parametrize("place", ["results/fer2013/gone", "gone.pth", "../..", "imagenet"])
def test_a_start_that_is_not_here_stays_a_local_file(tmp_path: Path, place: str) -> None:
    last = saved(tmp_path, "c", place)
    assert (origin(last), starting_run(last)) == ("local file", None)


def test_runs_that_start_from_each_other_come_to_an_end(tmp_path: Path) -> None:
    first = saved(tmp_path, "a", "results/fer2013/b")
    saved(tmp_path, "b", "results/fer2013/a")
    assert origin(first) == "run b (pretraining: local file)"
    assert not same_data_only(first)


@pytest.mark.parametrize(
    ("first", "teachers", "alone"),
    [
        ("none", (), True),
        ("none", ("a",), True),
        ("none", ("t",), False),
        ("none", ("gone",), False),
        ("imagenet", (), False),
        ("results/fer2013/t", (), False),
    ],
)
def test_that_no_other_data_came_in_holds_for_every_run_behind_it(
    tmp_path: Path, first: str, teachers: tuple[str, ...], alone: bool
) -> None:
    saved(tmp_path, "t", "imagenet")
    saved(tmp_path, "a", first)
    saved(tmp_path, "b", "none", *teachers)
    assert same_data_only(saved(tmp_path, "c", "results/fer2013/a", "b")) == alone


def test_a_start_of_other_data_is_other_data(tmp_path: Path) -> None:
    first = saved(tmp_path, "a", "none")
    other = first.require_record().dataset.model_copy(update={"fingerprint": "cd" * 32})
    ResultsStore(tmp_path).save(retold(first, dataset=other))
    assert not same_data_only(saved(tmp_path, "c", "results/fer2013/a"))
