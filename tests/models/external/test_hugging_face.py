"""Image classifiers of transformers that are not whole, or of which too much is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from external_fixtures import save_vit
from safetensors.torch import load_file, save_file

from fer_bench.errors import FerBenchError
from fer_bench.models.build import open_external


def test_only_labels_may_be_said(tmp_path: Path) -> None:
    said = {"colour": "bgr", "input_size": 48}
    with pytest.raises(FerBenchError, match=r"says itself .*: leave colour, input_size out"):
        open_external(f"hf:{save_vit(tmp_path / 'theirs')}", said)


def test_weights_without_a_classifier_are_refused(tmp_path: Path) -> None:
    """As those of networks that were trained without labels."""
    file = save_vit(tmp_path / "theirs") / "model.safetensors"
    body = {k: v for k, v in load_file(file).items() if not k.startswith("classifier.")}
    save_file(body, file, metadata={"format": "pt"})
    with pytest.raises(FerBenchError, match=r"2 tensors are missing .*first: classifier\.bias"):
        open_external(f"hf:{file.parent}", {})
