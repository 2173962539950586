"""A whole benchmark: the runs and ensembles that one file names."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from fer_bench.config import Config
from fer_bench.specs.recipe import TestTimeAugmentation
from fer_bench.specs.run import Emotions, Protocol, Seed, VoteMode
from fer_bench.types import Mode


class SweepEntry(Config):
    """Models x modes x recipes x seeds; a plain value stands for a list of one.

    Attributes:
        protocol, emotions, votes, pretraining: instead of the benchmark's.
    """

    models: tuple[str, ...] = Field(min_length=1)
    modes: tuple[Mode, ...] = Field(min_length=1)
    recipes: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    protocol: Protocol | None = None
    emotions: Emotions = None
    votes: VoteMode | None = None
    pretraining: str | None = None
    model_options: dict[str, int | float | str | bool] = Field(default_factory=dict)
    limit: int | None = Field(None, gt=0)
    epochs: int | None = Field(None, gt=0, description="overrides the recipes' epochs")
    teachers: tuple[str, ...] = Field((), description="runs to learn from, as `RunSpec.teachers`")

    @field_validator("models", "modes", "recipes", "seeds", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else (value,)


class EnsembleEntry(Config):
    """One ensemble of a benchmark; its fields are those of `EnsembleSpec`."""

    ensemble: tuple[str, ...]
    title: str = ""
    weighting: Literal["fitted", "equal"] = "fitted"
    tta: TestTimeAugmentation = "flip"


class Sweep(Config):
    """A benchmark: data protocol and a list of entries."""

    name: str
    description: str = ""
    data: str | None = Field(None, description="default source; `synthetic` needs no files")
    protocol: Protocol = "official"
    emotions: Emotions = None
    votes: VoteMode | None = None
    pretraining: str = "imagenet"
    runs: tuple[SweepEntry, ...] = Field(min_length=1)
    ensembles: tuple[EnsembleEntry, ...] = Field(
        (), description="made of these or of stored runs, after all of them"
    )
