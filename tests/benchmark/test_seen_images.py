"""What another run was trained on, or chosen by, is never tested on as if it were new."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from test_starting import SYNTHETIC, run, spec_of

from fer_bench.benchmark import Runner, Source, evaluate_run, specify, specify_ensemble
from fer_bench.benchmark.generalization import robustness_of_run, transfer_of_run
from fer_bench.benchmark.seen_images import seen_images
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.store import SEEN, ResultsStore, StoredRun
from fer_bench.specs.run import DataSpec
from fer_bench.types import SPLITS

TRAIN, VAL, TEST = range(3)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return run(tmp_path_factory.mktemp("results"), spec_of())


@pytest.fixture
def dataset() -> FaceDataset:
    return SYNTHETIC.load(spec_of())


def swapped(dataset: FaceDataset, split: int) -> FaceDataset:
    """As another protocol has it: what was `split` is tested on, what was tested on is not used."""
    splits = dataset.splits.copy()
    splits[dataset.splits == TEST] = -1
    chosen = np.flatnonzero(dataset.splits == split)[:4]
    splits[chosen] = TEST
    return replace(dataset, splits=splits)


def test_a_run_keeps_the_hashes_of_all_that_its_weights_have_seen(
    first: StoredRun, dataset: FaceDataset
) -> None:
    kept = np.load(first.folder / SEEN)
    used = np.isin(dataset.splits, (TRAIN, VAL))
    assert kept.tolist() == np.unique(dataset.hashes[used]).tolist()


@pytest.mark.parametrize("split", [TRAIN, VAL])
def test_test_images_that_the_other_run_has_seen_are_refused(
    first: StoredRun, dataset: FaceDataset, split: int
) -> None:
    """Trained on, or only chosen by; in another data set of another name."""
    other = swapped(dataset, split)
    expected = rf"{first.name} was trained on, or chosen by, 4 of the 4 test images"
    with pytest.raises(FerBenchError, match=expected):
        seen_images([first], other)


@dataclass(frozen=True, kw_only=True)
class Swapped(Source):
    """Data whose test images were trained on."""

    def load(self, spec: DataSpec, *, complete: bool = True) -> FaceDataset:
        limited = spec.model_copy(update={"limit": 8})  # as the run was
        return swapped(super().load(limited, complete=complete), TRAIN)


def test_a_finished_run_is_not_tried_on_what_it_has_seen(first: StoredRun) -> None:
    store, own = ResultsStore(first.folder.parent.parent), Swapped(data="synthetic")
    assert evaluate_run(store, first.name, own).n_seen == 4
    assert evaluate_run(store, first.name, own, split="train").n_seen == 0
    assert evaluate_run(store, first.name, SYNTHETIC).n_seen == 0
    for measure in (lambda: transfer_of_run(first, [own]), lambda: robustness_of_run(first, own)):
        with pytest.raises(FerBenchError, match="trained on, or chosen by, 4 of the 4 test images"):
            measure()
    assert transfer_of_run(first, [SYNTHETIC])[0].own_data


def test_a_start_that_saw_the_test_images_fails_the_run(first: StoredRun, tmp_path: Path) -> None:
    spec = spec_of(first.folder, seed=1)
    other = swapped(SYNTHETIC.load(spec), VAL)
    with pytest.raises(RunFailed, match="what it has seen cannot be tested on") as failed:
        Runner(store=ResultsStore(tmp_path)).run(spec, other)
    assert failed.value.exit_code == 2


def test_the_same_data_are_fine_for_starts_teachers_and_members(first: StoredRun) -> None:
    root = first.folder.parent.parent
    store = ResultsStore(root)
    second = run(root, spec_of(first.folder, seed=1))
    taught = specify(
        model="resnet18",
        recipe="finetune-5",
        mode="full",
        pretraining="none",
        model_options={"tiny": True},
        epochs=1,
        limit=8,
        seed=2,
        teachers=(first.name,),
    )
    both = specify_ensemble(store, [first.name, second.name])
    for spec in (taught, both):
        record = Runner(store=store).run(spec, SYNTHETIC.load(spec))
        assert record.status == "done"
        assert not [why for why in record.not_comparable_because if "seen" in why]


def test_a_run_of_other_data_that_cannot_say_is_not_comparable_and_hands_that_on(
    first: StoredRun, dataset: FaceDataset, tmp_path: Path
) -> None:
    unknown = replace(first, folder=tmp_path / "elsewhere")
    test = SPLITS.index("test")
    assert seen_images([unknown], dataset)[1] == []  # of these very data, by its record
    other = replace(dataset, labels=np.where(dataset.splits == test, 0, dataset.labels))
    assert seen_images([unknown], other)[1] == [first.name]

    (first.folder / SEEN).rename(tmp_path / SEEN)
    try:
        store = ResultsStore(tmp_path / "results")
        start = spec_of(first.folder, seed=1)
        record = Runner(store=store).run(start, other)
        reason = f"run {first.name} does not say which images it has seen"
        assert reason in record.not_comparable_because
        second = store.find(record.name)
        assert not (second.folder / SEEN).exists()
        third = Runner(store=store).run(spec_of(second.folder, seed=2), other)
        assert reason in third.not_comparable_because
    finally:
        (tmp_path / SEEN).rename(first.folder / SEEN)
