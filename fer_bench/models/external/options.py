"""What a file from elsewhere may leave open: its labels, its input, what its outputs are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from fer_bench.config import Config, load_yaml, validate
from fer_bench.emotions import EMOTION_SETS
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Option
from fer_bench.types import Interpolation

#: Stands for an output that is no emotion, in `labels`.
LEFT_OUT = "-"


def _words(value: Any) -> Any:
    """`a, b` as a list of words; the name of an emotion set as its emotions."""
    if isinstance(value, str):
        return EMOTION_SETS.get(value) or [word.strip() for word in value.split(",")]
    return value


def _numbers(value: Any) -> Any:
    """`0.5,0.5,0.5`, or one number, as a list of numbers; anything else is pydantic's to refuse."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    return _words(value)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Numbers = Annotated[tuple[float, ...] | None, BeforeValidator(_numbers)]


class ExternalOptions(Config):
    """How a network wants its faces and what it answers, where it does not say so itself.

    The same keys on the command line and in a YAML file next to the network; texts may be lists
    with commas.
    """

    labels: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = Field(
        None, description=f"emotions in output order, or a set's name; {LEFT_OUT} leaves one out"
    )
    input_size: int | None = Field(None, ge=8, le=1024, description="side of the input, pixels")
    mean: Numbers = Field(None, description="one, or one a channel, subtracted from the values")
    std: Numbers = Field(None, description="likewise, divided by afterwards")
    colour: Annotated[Literal["rgb", "bgr", "gray"] | None, BeforeValidator(_lower)] = None
    layout: Annotated[Literal["nchw", "nhwc"] | None, BeforeValidator(_lower)] = None
    value_range: Annotated[tuple[float, float] | None, BeforeValidator(_numbers)] = Field(
        None, description="what black and white become, before mean and std: 0,1 or 0,255 or -1,1"
    )
    interpolation: Interpolation = "bilinear"
    outputs: Literal["logits", "probabilities"] | None = None
    output: str | None = Field(None, description="which of several outputs, by name")

    @model_validator(mode="after")
    def _mean_and_std(self) -> ExternalOptions:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: expected both or neither")
        return self

    def as_words(self) -> dict[str, Option]:
        """Those that are not as by default, as the command line takes them."""
        words: dict[str, Option] = {}
        for key, value in self.model_dump(exclude_defaults=True).items():
            if isinstance(value, (tuple, list)):
                value = ",".join(f"{v:g}" if isinstance(v, float) else v for v in value)
            words[key] = value
        return words


def options_for(path: Path, given: Mapping[str, Option]) -> ExternalOptions:
    """The options of a file: those given, and of the others what its YAML file says.

    That is `model.yaml` or `model.yml` next to `model.onnx`.

    Raises:
        FerBenchError: a YAML file that cannot be read, an unknown key (near ones are named), or a
            value that does not fit.
    """
    next_to = [file for suffix in (".yaml", ".yml") if (file := path.with_suffix(suffix)).is_file()]
    if len(next_to) > 1:
        raise FerBenchError(
            f"{next_to[0]} and {next_to[1].name} both describe {path.name}: keep one of them"
        )
    stated = (
        load_yaml(ExternalOptions, next_to[0]).model_dump(exclude_unset=True) if next_to else {}
    )
    return validate(ExternalOptions, stated | dict(given), f"options of {path.name}")
