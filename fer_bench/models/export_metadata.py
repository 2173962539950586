"""What an exported network says about itself, in every format: all that a stranger needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

import fer_bench
from fer_bench.config import Config
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier
from fer_bench.types import LUMA, InputSpec

#: Names of the one input, float32 `(B, channels, size, size)`, and the one output, `(B, C)`.
INPUT, OUTPUT = "faces", "logits"
ExportPrecision = Literal["fp32", "int8"]


class ExportMetadata(Config):
    """How to prepare a face for an exported network, and how to read its logits."""

    fer_bench: str = Field(fer_bench.__version__, description="version of FER Bench")
    model: str = Field(description="the architecture's name, such as `compact_resnet`")
    run: str = Field("", description="the run whose weights these are")
    precision: ExportPrecision = "fp32"
    emotions: tuple[str, ...] = Field(min_length=1, description="class names in logit order")
    input_spec: InputSpec
    temperature: float = Field(
        1.0, gt=0, description="what logits are divided by before the softmax"
    )

    @property
    def preprocessing(self) -> str:
        """The way from a picture of a face to the input, in words."""
        spec = self.input_spec
        weights = " + ".join(f"{w} {c}" for w, c in zip(LUMA, "RGB", strict=True))
        colour = f"gray ({weights})" if spec.channels == 1 else "RGB"
        margin = f" widened by {spec.face_margin:g} of its side," if spec.face_margin else ""
        return (
            f"crop the face,{margin} convert it to {colour}, resize it to {spec.size} x "
            f"{spec.size} ({spec.interpolation}, antialiased), divide by 255, subtract the mean "
            f"and divide by the std of each channel: float32 (batch, {spec.channels}, "
            f"{spec.size}, {spec.size}); softmax(logits / temperature) are the probabilities"
        )

    def as_strings(self) -> dict[str, str]:
        """As key and value pairs, lists and objects in JSON; `from_strings` reads them again."""
        values = self.model_dump(mode="json")
        strings = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
        colour = "gray" if self.input_spec.channels == 1 else "RGB"
        return strings | {"colour_order": colour, "preprocessing": self.preprocessing}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], source: str) -> ExportMetadata:
        """What `as_strings` wrote; keys that are not its own are passed over.

        Args:
            source: names the file in errors.

        Raises:
            FerBenchError: nothing that FER Bench wrote.
        """
        values: dict[str, object] = {k: strings[k] for k in cls.model_fields if k in strings}
        if "fer_bench" not in values:
            raise FerBenchError(
                f"{source} is no export of FER Bench: it does not say which emotions it knows and "
                "how it wants its faces; export a run with `python -m fer_bench export`"
            )
        try:
            for key in ("emotions", "input_spec"):
                values[key] = json.loads(str(values.get(key, "null")))
            return cls.model_validate(values)
        except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
            raise FerBenchError(
                f"what {source} says about its emotions and input is damaged: export it again"
            ) from None


def describe(
    model: Classifier, *, run: str = "", temperature: float | None = None
) -> ExportMetadata:
    """The metadata of a classifier as it stands.

    Args:
        temperature: None for logits that are taken as they are.
    """
    return ExportMetadata(
        model=model.request.name,
        run=run,
        emotions=model.emotions,
        input_spec=model.input_spec,
        temperature=1.0 if temperature is None else temperature,
    )
