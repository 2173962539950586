"""What every test shares: its own cache folder, one thread, and the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_bench.backends import openvino_ir

pytest_plugins = (
    "time_limits",
    "page_fixtures",
    "finished_fixtures",
    "snapshot_fixtures",
    "command_fixtures",
)

HERE = Path(__file__).parent
#: Browsers, processes, toolchains, packaging: `pytest -m slow`.
SLOW = (
    "api/test_api_load.py",
    "api/test_api_schema.py",
    "backends/export/test_export.py",
    "backends/export/test_tflite.py",
    "backends/test_backends.py",
    "benchmark/cluster/test_ray_sweep.py",
    "benchmark/test_ensembles.py",
    "benchmark/test_initial_weights.py",
    "benchmark/test_seen_images.py",
    "benchmark/test_verification.py",
    "benchmark/trackers/test_trackers.py",
    "browser",
    "bundles/test_bundles.py",
    "bundles/test_push.py",
    "bundles/test_web_detector.py",
    "bundles/test_web_page.py",
    "cli/commands/studies/test_latency_command.py",
    "cli/commands/test_export_command.py",
    "cli/commands/test_serve_command.py",
    "cli/test_training_data.py",
    "data/readers/test_large_sources.py",
    "hubs/test_huggingface.py",
    "inference/video/test_video_kinds.py",
    "models/test_lora.py",
    "models/test_pretrained.py",
    "models/test_published_weights.py",
    "processes",
    "project/test_contributing.py",
    "project/test_disk_full.py",
    "project/test_notebook.py",
    "project/test_packaging.py",
    "project/test_shipped_records.py",
    "project/test_train_throughput.py",
    "results/reports/test_reports_at_once.py",
    "results/test_remote_results.py",
    "studies/explain/test_heat_map.py",
    "studies/latency/test_latency.py",
    "training/test_distillation.py",
    "ui/test_explain_page.py",
)
#: Damaged inputs of every kind: `pytest -m fuzz`.
FUZZ = ("fuzz",)

# Read when torch is first imported, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
# Each of the many processes that tests start would compile the project anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Ray's workers are nice to others by 15: beside a busy machine they would never end.
os.environ.update(RAY_worker_niceness="0")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--damaged", type=int, default=0, help="damaged inputs of each kind to read")
    parser.addoption("--renew", action="store_true", help="keep the sentences that are said now")


def pytest_configure() -> None:
    """A file that moved would be among the tests of every run, and nobody would notice."""
    if missing := [place for place in SLOW + FUZZ if not (HERE / place).exists()]:
        raise pytest.UsageError(f"tests/conftest.py lists what is not there: {', '.join(missing)}")


def listed(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.relative_to(HERE).is_relative_to(place) for place in places)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where `pytest` leaves out what is slow, it need not import it either."""
    default = config.option.markexpr == "not slow and not fuzz"
    return True if default and listed(collection_path, SLOW + FUZZ) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by where they are: what is not for every run of `pytest` stands in a list."""
    for item in items:
        for mark, places in (("slow", SLOW), ("fuzz", FUZZ)):
            if listed(item.path, places):
                item.add_marker(mark)
    # The longest file begins, so that no process ends long after the others.
    items.sort(key=lambda item: item.path.name != "test_notebook.py")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _main_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest puts its script in the place of `__main__`, which new processes import."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every precision works, whatever this CPU has instructions for, as tiny networks may."""
    monkeypatch.setattr(openvino_ir, "lacks_bf16", lambda: False)
