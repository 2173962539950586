"""A stored run's model on faces unlike those it learnt from, with the numbers stored next to it."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.benchmark.seen_images import seen_images
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Source
from fer_bench.inference.classifier import load_run_model
from fer_bench.results.reports.robustness import (
    RobustnessReport,
    add_robustness,
    check_robustness,
)
from fer_bench.results.reports.transfer import TransferResult, add_transfer, check_transfer
from fer_bench.results.stored_run import StoredRun
from fer_bench.studies.robustness.evaluate import chosen_corruptions, measure_robustness
from fer_bench.studies.robustness.transfer import measure_transfer
from fer_bench.types import Progress, Split, silent


def robustness_of_run(
    run: StoredRun,
    source: Source,
    *,
    corruptions: Sequence[str] | None = None,
    split: Split = "test",
    seed: int = 0,
    limit: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> RobustnessReport:
    """Measures a run on corrupted faces and puts the report into its `robustness.json`.

    What else is given: as `studies.robustness.evaluate.measure_robustness`.

    Raises:
        FerBenchError: no weights next to the record, data that do not fit or were seen, an unknown
            corruption, or a `robustness.json` that cannot be read or written.
        RunFailed: the model's logits are not finite.
    """
    names = chosen_corruptions(corruptions)
    check_robustness(run.folder)  # before minutes are spent
    record = run.require_record()
    report = measure_robustness(
        load_run_model(run),
        _unseen(run, source, split),
        corruptions=names,
        split=split,
        seed=seed,
        limit=limit,
        device=device,
        run_finished_at=record.finished_at,
        progress=progress,
    )
    add_robustness(run.folder, report)
    return report


def transfer_of_run(
    run: StoredRun,
    sources: Sequence[Source],
    *,
    split: Split = "test",
    limit: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> list[TransferResult]:
    """Measures a run on several data sets and puts each result into its `transfer.json`.

    Other arguments: as `studies.robustness.transfer.measure_transfer`.

    Raises:
        FerBenchError: no weights next to the record, data that do not fit or were seen (the results
            before these are stored), or a `transfer.json` that cannot be read or written.
        RunFailed: the model's logits are not finite.
    """
    check_transfer(run.folder)
    record = run.require_record()
    model = load_run_model(run)
    results = []
    for source in sources:
        result = measure_transfer(
            model,
            _unseen(run, source, split),
            record.dataset,
            split=split,
            limit=limit,
            device=device,
            run_finished_at=record.finished_at,
            progress=progress,
        )
        add_transfer(run.folder, result)
        results.append(result)
    return results


def _unseen(run: StoredRun, source: Source, split: Split) -> FaceDataset:
    """Data to try a run on.

    Raises:
        FerBenchError: the run was trained on, or chosen by, images of their test split.
    """
    dataset = source.load_for(run.require_record().spec)
    if split == "test":
        seen_images([run], dataset)
    return dataset
