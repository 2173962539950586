"""The model that comes with FER Bench: small, honest, and right about a smile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_bench.inference.load import load
from fer_bench.models.weights import read_model_document
from fer_bench.results.lineage import same_data_only
from fer_bench.results.store import DEFAULT, ResultsStore
from fer_bench.results.stored_run import StoredRun

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> StoredRun:
    return ResultsStore(ROOT / "results").find(DEFAULT)


def test_its_network_takes_at_most_twelve_megabytes(shipped: StoredRun) -> None:
    assert sum(file.stat().st_size for file in shipped.folder.glob("model.*")) <= 12_000_000


def test_its_record_is_comparable_and_its_temperature_fitted(shipped: StoredRun) -> None:
    record = shipped.require_record()
    assert record.comparable and record.status == "done"
    assert record.spec.protocol == "official"
    assert same_data_only(shipped)  # from random weights, by whatever runs it goes back to
    assert (record.spec.selection_split, record.spec.test_split) == ("val", "test")
    assert record.dataset.split_sizes == {"train": 28_709, "val": 3_589, "test": 3_589}
    assert record.temperature is not None
    assert record.model is not None
    assert read_model_document(shipped.folder).input_spec == record.model.input_spec


def test_it_sees_one_smiling_face(shipped: StoredRun) -> None:
    picture = np.asarray(Image.open(ROOT / "assets" / "samples" / "astronaut.jpg"))
    (face,) = load(shipped, backend="torch-fp32").predict(picture).faces
    assert face.emotion == "happy"
    assert face.score > 0.8
