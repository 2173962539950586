"""Image classifiers of transformers that are not whole, or of which too much is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from external_fixtures import save_vit
from safetensors.torch import load_file, save_file
from table_fixtures import table

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


def test_an_image_processor_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = save_vit(tmp_path / "theirs", size={"height": 48, "width": 48})
    with pytest.raises(FerBenchError, match=r"hf:.* 48 px faces .*do not belong together"):
        open_external(f"hf:{folder}", {})


def renumbered(first: int, names: Sequence[object]) -> dict[str, object]:
    return {str(first + n): name for n, name in enumerate(names)}


@table(
    ("labels", "sentence"),
    [
        (renumbered(0, ["angry", "fear", "suprise"]), r"output 'suprise', which may be .*--labels"),
        (renumbered(0, ["angry", "fear", "sad face"]), r"output 'sad face', which may be"),
        (renumbered(1, ["angry", "fear", "sad"]), r"numbers its labels 1, 2, 3 .*expected .* 0 on"),
        (renumbered(0, [0, 1, 2]), r"calls its outputs 0, 1, 2, which says nothing"),
        (renumbered(0, ["angry", "fear"]), r"2 tensors .* another shape \(first: classifier\.bias"),
    ],
)
def test_labels_that_do_not_say_what_an_output_is_are_refused(
    labels: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    file = save_vit(tmp_path / "theirs", ("angry", "fear", "sad")) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id2label": labels}))
    with pytest.raises(FerBenchError, match=sentence):
        open_external(f"hf:{file.parent}", {})
