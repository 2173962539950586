"""How long the leaderboard's data take to load: 1,000 made-up records, cold and again.

Writes the records to a temporary folder, then times `ResultsStore.runs()` with `summary_table`
twice in this process: the first parses every record, the second finds them parsed. Prints one JSON
line. Run it from the repository's root: `python -m benchmarks.leaderboard_load`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fer_bench.config import Recipe, RunSpec
from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.results.describe import summary_table
from fer_bench.results.record import DatasetInfo, Metrics, ModelInfo, RunRecord, TrainingInfo
from fer_bench.results.store import ResultsStore
from fer_bench.types import InputSpec, Provenance

MODELS = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip")


def made_up_metrics(rng: np.random.Generator, n: int = 3589) -> Metrics:
    labels = rng.integers(len(FER2013), size=n)
    scores = rng.random((n, len(FER2013)))
    scores[np.arange(n), labels] += 0.5
    return compute_metrics(labels, scores / scores.sum(1, keepdims=True), FER2013)


def made_up_record(number: int, metrics: dict[str, Metrics]) -> RunRecord:
    spec = RunSpec(
        model=MODELS[number % len(MODELS)],
        recipe=Recipe(name="finetune-5", epochs=5),
        seed=number,
    )
    now = datetime.now(UTC)
    counts = {split: dict.fromkeys(FER2013, 512) for split in ("train", "val", "test")}
    return RunRecord(
        name=spec.name,
        status="done",
        started_at=now,
        finished_at=now,
        spec=spec,
        environment=capture(),
        dataset=DatasetInfo(
            name=f"made-up-{number % 4}",
            source="made-up.zip",
            fingerprint="0" * 64,
            protocol=spec.protocol,
            emotions=FER2013,
            split_sizes=dict.fromkeys(counts, 3589),
            clean_test_size=3021,
            class_counts=counts,
            n_left_out=0,
        ),
        model=ModelInfo(
            parameters=11_180_103,
            trainable_parameters=11_180_103,
            flops=3_640_000_000,
            input_spec=InputSpec(size=48, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3),
            provenance=Provenance(architecture="made up"),
        ),
        training=TrainingInfo(
            epochs_run=5,
            best_epoch=5,
            seconds=300,
            images_per_second=480,
            device="cpu",
            precision="fp32",
            batch_size=64,
        ),
        metrics=metrics,
        not_comparable_because=["made up"],
    )


def write_records(store: ResultsStore, n: int) -> None:
    keys = ("val", "test", "test_clean", "val_tta", "test_tta", "test_clean_tta")
    rng = np.random.default_rng(0)
    measured = [{key: made_up_metrics(rng) for key in keys} for _ in range(5)]
    for number in range(n):
        record = made_up_record(number, measured[number % len(measured)])
        store.save(record)


def timed_load(root: Path) -> tuple[float, int]:
    """Seconds, and how many runs the table has."""
    started = time.perf_counter()
    table = summary_table(ResultsStore(root).runs())
    return time.perf_counter() - started, len(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_records(ResultsStore(root), arguments.records)
        first, n = timed_load(root)
        again, _ = timed_load(root)
    print(
        json.dumps(
            {
                "benchmark": "leaderboard_load",
                "records": n,
                "first_seconds": round(first, 3),
                "again_seconds": round(again, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
