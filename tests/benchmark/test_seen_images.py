"""What another run was trained on, or chosen by, is never tested on as if it were new."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from finished_fixtures import SYNTHETIC, run, tiny_spec

from fer_bench.benchmark import Runner, Source, evaluate_run, specify_ensemble
from fer_bench.benchmark.generalization import robustness_of_run, transfer_of_run
from fer_bench.benchmark.seen_images import seen_images
from fer_bench.data.dataset import FaceDataset
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import SEEN, StoredRun
from fer_bench.specs.run import DataSpec
from fer_bench.types import SPLITS

TRAIN, VAL, TEST = range(3)


@pytest.fixture
def dataset() -> FaceDataset:
    return SYNTHETIC.load(tiny_spec())


def swapped(dataset: FaceDataset, split: int) -> FaceDataset:
    """As another protocol has it: what was `split` is tested on, what was tested on is not used."""
    splits = dataset.splits.copy()
    splits[dataset.splits == TEST] = -1
    chosen = np.flatnonzero(dataset.splits == split)[:4]
    splits[chosen] = TEST
    return replace(dataset, splits=splits)


def test_a_run_keeps_the_hashes_of_all_that_its_weights_have_seen(
    finished: StoredRun, dataset: FaceDataset
) -> None:
    kept = np.load(finished.folder / SEEN)
    used = np.isin(dataset.splits, (TRAIN, VAL))
    assert kept.tolist() == np.unique(dataset.hashes[used]).tolist()


@pytest.mark.parametrize("split", [TRAIN, VAL])
def test_test_images_that_the_other_run_has_seen_are_refused(
    finished: StoredRun, dataset: FaceDataset, split: int
) -> None:
    """Trained on, or only chosen by; in another data set of another name."""
    other = swapped(dataset, split)
    expected = rf"{finished.name} was trained on, or chosen by, 4 of the 4 test images"
    with pytest.raises(FerBenchError, match=expected):
        seen_images([finished], other)


@dataclass(frozen=True, kw_only=True)
class Swapped(Source):
    """Data whose test images were trained on."""

    def load(self, spec: DataSpec, *, complete: bool = True) -> FaceDataset:
        return swapped(super().load(spec, complete=complete), TRAIN)


def test_a_finished_run_is_not_tried_on_what_it_has_seen(finished: StoredRun) -> None:
    store, own = ResultsStore(finished.folder.parent.parent), Swapped(data="synthetic")
    assert evaluate_run(store, finished.name, own).n_seen == 4
    assert evaluate_run(store, finished.name, own, split="train").n_seen == 0
    assert evaluate_run(store, finished.name, SYNTHETIC).n_seen == 0
    for measure in (
        lambda: transfer_of_run(finished, [own]),
        lambda: robustness_of_run(finished, own),
    ):
        with pytest.raises(FerBenchError, match="trained on, or chosen by, 4 of the 4 test images"):
            measure()
    assert transfer_of_run(finished, [SYNTHETIC])[0].own_data


def test_a_start_that_saw_the_test_images_fails_the_run(
    finished: StoredRun, tmp_path: Path
) -> None:
    spec = tiny_spec(pretraining=str(finished.folder), seed=1)
    other = swapped(SYNTHETIC.load(spec), VAL)
    with pytest.raises(RunFailed, match="what it has seen cannot be tested on") as failed:
        Runner(store=ResultsStore(tmp_path)).run(spec, other)
    assert failed.value.exit_code == 2


def test_the_same_data_are_fine_for_starts_teachers_and_members(
    store: ResultsStore, own_run: StoredRun
) -> None:
    second = run(store, tiny_spec(pretraining=str(own_run.folder), seed=1))
    taught = tiny_spec(seed=2, teachers=(own_run.name,))
    both = specify_ensemble(store, [own_run.name, second.name])
    for record in (second, run(store, taught), run(store, both)):
        assert record.status == "done"
        assert not [why for why in record.not_comparable_because if "seen" in why]


def test_a_run_of_other_data_that_cannot_say_is_not_comparable_and_hands_that_on(
    own_run: StoredRun, dataset: FaceDataset, tmp_path: Path
) -> None:
    (own_run.folder / SEEN).unlink()
    test = SPLITS.index("test")
    assert seen_images([own_run], dataset)[1] == []  # of these very data, by its record
    other = replace(dataset, labels=np.where(dataset.splits == test, 0, dataset.labels))
    assert seen_images([own_run], other)[1] == [own_run.name]

    runner = Runner(store=ResultsStore(tmp_path / "later"))
    start = own_run
    for seed in (1, 2):
        record = runner.run(tiny_spec(pretraining=str(start.folder), seed=seed), other)
        reason = f"run {own_run.name} does not say which images it has seen"
        assert reason in record.not_comparable_because
        start = runner.store.find(record.name)
        assert not (start.folder / SEEN).exists()
