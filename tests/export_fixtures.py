"""What the tests of exports share: drawn faces, and networks that know them."""

from __future__ import annotations

from pathlib import Path

import torch
from test_models import small
from torch import nn

from fer_bench.backends.export_metadata import describe
from fer_bench.backends.exporting import export_model
from fer_bench.backends.exporting_comparison import Faces
from fer_bench.data.synthetic import read_synthetic
from fer_bench.data.transform import to_input
from fer_bench.models.base import Classifier
from fer_bench.results.exports import Export

_DRAWN = read_synthetic(n_per_class=3, seed=0)
COMPARED = Faces(images=_DRAWN.images, labels=_DRAWN.labels, source="synthetic")
CALIBRATION = Faces(images=read_synthetic(n_per_class=3, seed=1).images, source="synthetic train")
BLACK = Faces(images=0 * CALIBRATION.images, source="black pictures")


def write(
    model: Classifier, out: Path, format: str = "onnx", calibration: Faces | None = None
) -> Export:
    """Exports a network and compares it on `COMPARED`."""
    return export_model(
        model,
        out,
        format,
        metadata=describe(model, run="some-run", temperature=1.5),
        faces=COMPARED,
        calibration=calibration,
    )


def trained(name: str, steps: int) -> Classifier:
    """A tiny network that tells the faces of `COMPARED` apart with some certainty."""
    model = small(name).train()
    x, y = to_input(COMPARED.images, model.input_spec), torch.from_numpy(_DRAWN.labels)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
