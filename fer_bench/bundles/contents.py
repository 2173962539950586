"""What every bundle is made of: a network, what it says about itself, its model card, licences."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import ModelCard

from fer_bench.inference.detectors import base, haar, search
from fer_bench.models.export_metadata import ExportMetadata

#: The network's name in every bundle.
MODEL = "model.onnx"
MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True, kw_only=True)
class BundleContents:
    """An exported run.

    Attributes:
        model: the network as an ONNX file.
        card: the model card; its `text` is Markdown.
    """

    model: bytes
    metadata: ExportMetadata
    card: ModelCard


def licences(contents: BundleContents, cascade: str, runtime: str | None = None) -> str:
    """The licences of what a bundle holds.

    Args:
        cascade: that of OpenCV's face cascade.
        runtime: the version of ONNX Runtime Web, where it is part of the bundle.
    """
    foreign = contents.card.data.get("license_name")
    ours = "FER Bench" if foreign else f"FER Bench and {MODEL}"
    parts = [f"{ours}: MIT, Copyright (c) 2026 The FER Bench developers\n\n{MIT}"]
    if foreign:
        parts.append(f"{MODEL}, weights from elsewhere: {foreign}\n")
    if runtime:
        parts.append(
            f"ONNX Runtime Web {runtime}: MIT, Copyright (c) Microsoft Corporation\n\n{MIT}"
        )
    parts.append(f"OpenCV's frontal face cascade\n\n{cascade}\n")
    return f"\n{'-' * 80}\n\n".join(parts)


def detector_settings() -> dict[str, object]:
    """What the default detector goes by; sides in pixels."""
    return {
        "min_face": haar.MIN_FACE,
        "step": haar.STEP,
        "fine_step": haar.FINE_STEP,
        "agreeing": {effort.value: number for effort, number in haar.AGREEING.items()},
        "sure": {effort.value: number for effort, number in haar.SURE.items()},
        "doubtful": haar.DOUBTFUL,
        "confirmed": haar.CONFIRMED,
        "closer_margin": haar.CLOSER_MARGIN,
        "closer_face": haar.CLOSER_FACE,
        "closer_step": haar.CLOSER_STEP,
        "crop_side": haar.CROP_SIDE,
        "border": haar.BORDER,
        "light_share": haar.LIGHT_SHARE,
        "shortest_shrunk": base.SHORTEST_SHRUNK,
        "longest_shrunk": base.LONGEST_SHRUNK,
        "max_overlap": base.MAX_OVERLAP,
        "coarse_side": search.COARSE_SIDE,
        "fine_side": search.FINE_SIDE,
        "fine_pixels": search.FINE_PIXELS,
        "turns": search.TURNS,
    }
