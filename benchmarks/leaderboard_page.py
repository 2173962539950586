"""How long a visitor waits for the leaderboard over 1,000 made-up records.

Writes the records to a temporary folder, times their parsing in this process, then starts a fresh
server and a fresh headless Chromium and times, in the browser's own clock:

* `first_heading_s`: from navigation until the page's heading is there,
* `first_paint_s`: from navigation until the leaderboard's table is drawn; nothing is warm but the
  operating system's file cache,
* `first_charts_s`: until the bar chart below it is drawn too,
* `reload_s`: table and chart once more in the same browser,
* `again_paint_s`: from a click on a switch of the page until its new table is drawn.

Prints one JSON line. Run it from the repository's root: `python -m benchmarks.leaderboard_page`.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.harness.dashboard import chromium, serving
from fer_bench.emotions import FER2013
from fer_bench.environment import Environment, capture
from fer_bench.evaluation.metrics import compute_metrics
from fer_bench.results.record import DatasetInfo, Metrics, ModelInfo, RunRecord, TrainingInfo
from fer_bench.results.store import ResultsStore
from fer_bench.results.summary import summary_table
from fer_bench.specs.recipe import Recipe
from fer_bench.specs.run import RunSpec
from fer_bench.types import InputSpec, Provenance

MODELS = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
SETS = ("val", "test", "test_clean", "val_tta", "test_tta", "test_clean_tta")
HEADING = "() => document.querySelector('h1') && performance.now() / 1000"
#: The table's rows are there, and then the chart's bars; each gives the page's age in seconds.
TABLE = """() => document.querySelector('[data-testid="stDataFrame"] canvas td')
    && performance.now() / 1000"""
DRAWN = """() => document.querySelector('[data-testid="stDataFrame"] canvas td')
    && document.querySelector('.js-plotly-plot .bars path')
    && performance.now() / 1000"""
SWITCH = """() => {
    window.clicked = performance.now();
    document.querySelector('input[aria-label="Average over seeds"]').click();
}"""
#: Averaged over seeds, the table has a column that it did not have before.
SWITCHED = """() => [...document.querySelectorAll('[data-testid="stDataFrame"] canvas th')]
    .some((cell) => cell.textContent === 'Seeds') && (performance.now() - window.clicked) / 1000"""


def made_up_metrics(rng: np.random.Generator, n: int = 3589) -> Metrics:
    labels = rng.integers(len(FER2013), size=n)
    scores = rng.random((n, len(FER2013)))
    scores[np.arange(n), labels] += 0.5
    return compute_metrics(labels, scores / scores.sum(1, keepdims=True), FER2013)


def made_up_record(number: int, metrics: dict[str, Metrics], environment: Environment) -> RunRecord:
    """All records are of one data set and comparable: one table holds them all."""
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
        environment=environment,
        dataset=DatasetInfo(
            name="made-up",
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
    )


def write_records(root: Path, n: int, environment: Environment) -> None:
    rng = np.random.default_rng(0)
    measured = [{key: made_up_metrics(rng) for key in SETS} for _ in MODELS]
    store = ResultsStore(root)
    for number in range(n):
        store.save(made_up_record(number, measured[number % len(measured)], environment))


def timed_load(root: Path) -> float:
    """Seconds from the folder to the leaderboard's table, in this process."""
    started = time.perf_counter()
    summary_table(ResultsStore(root).runs())
    return time.perf_counter() - started


def seconds(page: Page, condition: str) -> float:
    """Waits for a condition and gives its value, the seconds that it measured itself."""
    measured: float = page.wait_for_function(condition, timeout=120_000).json_value()
    return round(measured, 3)


def timed_page(root: Path) -> dict[str, float]:
    with serving({"FER_BENCH_RESULTS": str(root)}) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/leaderboard", wait_until="commit")
        heading, first, charts = seconds(page, HEADING), seconds(page, TABLE), seconds(page, DRAWN)
        page.reload(wait_until="commit")
        reload = seconds(page, DRAWN)
        page.wait_for_load_state("networkidle")
        page.evaluate(SWITCH)
        return {
            "first_heading_s": heading,
            "first_paint_s": first,
            "first_charts_s": charts,
            "reload_s": reload,
            "again_paint_s": seconds(page, SWITCHED),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1000)
    arguments = parser.parse_args()
    environment = capture()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_records(root, arguments.records, environment)
        figures = {
            "benchmark": "leaderboard_page",
            "records": arguments.records,
            **timed_page(root),
            "store_first_s": round(timed_load(root), 3),
            "store_again_s": round(timed_load(root), 3),
            "cpu": environment.processor,
            "cpu_cores": environment.cpu_cores,
            "python": platform.python_version(),
            **{name: version(name) for name in ("streamlit", "pandas", "pydantic", "plotly")},
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
