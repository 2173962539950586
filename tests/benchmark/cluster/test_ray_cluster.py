"""What is refused before Ray is started."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray
from command_fixtures import Fer

from fer_bench.benchmark.cluster.ray_cluster import Cluster
from fer_bench.errors import FerBenchError

SWEEP = """
name: one
data: synthetic
runs: [{models: keras_cnn, modes: full, recipes: finetune-5}]
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


# Before Ray is started: a process that has joined a cluster stays with it.
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense", "it is no HOST:PORT"),
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:1", "Connection refused"),
    ],
)
def test_an_address_without_a_cluster_is_one_sentence(
    fer: Fer, sweep: Path, tmp_path: Path, address: str, why: str
) -> None:
    code, _, err = fer("run", str(sweep), "--ray", address, "--results", str(tmp_path))
    assert code == 2
    assert f"error: no Ray cluster answers at '{address}' ({why}): expected" in err
    assert not ray.is_initialized()


def test_workers_go_with_ray(fer: Fer, sweep: Path) -> None:
    code, _, err = fer("run", str(sweep), "--workers", "2")
    assert code == 2
    assert "error: --workers, --cpus-per-run and --gpus-per-run go with --ray: say" in err


@pytest.mark.parametrize("needs", [{"cpus": 0}, {"gpus": -1}])
def test_a_run_needs_something(needs: dict[str, float]) -> None:
    with pytest.raises(FerBenchError, match="expected more than 0 CPUs and 0 GPUs or more"):
        Cluster(address="local", **needs)
