"""The options that models take, as validated configs."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field

from fer_bench.config import Config, validate
from fer_bench.models.classifier import ModelRequest

DEFAULT_LORA_RANK = 8


class CommonOptions(Config):
    """Options of every model."""

    lora_rank: int = Field(DEFAULT_LORA_RANK, ge=1, description="rank of the updates, mode lora")


class SizeOptions(CommonOptions):
    """Options of models that work at more than one input size."""

    input_size: int | None = Field(
        None, ge=32, le=1024, description="side of the input, pixels; None = the model's own"
    )


class ArchitectureOptions(SizeOptions):
    """Options of the five reference architectures."""

    tiny: bool = Field(
        False, description="a small network of the same design, for tests and demonstrations"
    )


AnyOptions = TypeVar("AnyOptions", bound=CommonOptions)


def read_options(kind: type[AnyOptions], request: ModelRequest) -> AnyOptions:
    """The request's options as `kind`.

    Raises:
        FerBenchError: an option that the model does not have (near or all ones are named), or a
            value out of range.
    """
    return validate(kind, request.options, f"options of model {request.name}")
