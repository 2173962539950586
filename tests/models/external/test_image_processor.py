"""Image processors of transformers: what is not in our terms is refused, not approximated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fer_bench.errors import FerBenchError
from fer_bench.models.external.image_processor import read_preprocessing


def processor(folder: Path, **values: Any) -> Path:
    """The file of a ViT's processor, as its hub repositories have it, with other values."""
    folder.mkdir()
    published = {
        "image_processor_type": "ViTImageProcessor",
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": 32, "width": 32},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(published | values))
    return folder


@pytest.mark.parametrize(
    "values",
    [
        {"do_resize": False},
        {"resample": 0},
        {"image_std": [0.5, 0.0, 0.5]},
        {"image_mean": [0.5], "image_std": [0.5]},
        {"size": {"longest_edge": 32}},
        {"do_center_crop": True},
        {"do_center_crop": True, "crop_size": {"height": 24, "width": 28}},
        {"do_center_crop": True, "crop_size": {"height": 40, "width": 40}},
        {"image_processor_type": "EfficientNetImageProcessor", "include_top": True},
        {"image_processor_type": "DPTImageProcessor", "do_pad": True, "size_divisor": 48},
    ],
    ids=str,
)
def test_what_is_not_in_our_terms_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match="in a way that FER Bench does not have"):
        read_preprocessing(processor(tmp_path / "m", **values), "theirs")


@pytest.mark.parametrize("size", [32, {"height": 32, "width": 32}, {"shortest_edge": 32}], ids=str)
def test_a_side_is_understood_however_it_is_written(size: Any, tmp_path: Path) -> None:
    found = read_preprocessing(processor(tmp_path / "m", size=size), "theirs")
    assert (found.spec.size, found.crop) == (32, None)
