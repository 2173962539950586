"""Small value types that pass between the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Mode = Literal["frozen", "full", "lora", "zero-shot"]
Precision = Literal["fp32", "bf16"]
#: A curve over the epochs.
Quantity = Literal["accuracy", "loss"]
QUANTITIES: tuple[Quantity, ...] = ("accuracy", "loss")
#: Keys of a record's metrics whose predictions are stored.
ImageSet = Literal["test", "test_clean", "val"]
#: A class's name as records and models hold it: words, so that it is harmless wherever it stands.
EmotionName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z _-]{0,39}$")]
#: How trained weights are stored.
Dtype = Literal["float32", "float16"]
#: Weights of red, green and blue in gray: ITU-R 601-2 luma, as in Pillow's `convert("L")`.
LUMA = (0.299, 0.587, 0.114)
#: `-8bit`: whole gray levels after each pass, as torchvision and transformers resize pictures.
Interpolation = Literal["bilinear", "bicubic", "bilinear-8bit", "bicubic-8bit"]


#: The stage of a `Progress` that reports an epoch's end: `done` of `total` epochs, and its figures.
EPOCHS = "epochs"


class Progress(Protocol):
    """How long work reports itself: `stage` in words, `done` of `total`, and named figures."""

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None: ...


def silent(stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    """A `Progress` that says nothing."""


class InputSpec(BaseModel):
    """How a model wants its faces; travels with the weights and is the only preprocessing there is.

    A face is converted to `channels` (1 = gray, ITU-R 601 luma; 3 = RGB, gray repeated), resized
    to `size` x `size` with antialiasing, scaled to [0, 1], then `(x - mean) / std` per channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0, le=1024, description="side of the square input, pixels")
    channels: Literal[1, 3]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"
    face_margin: float = Field(
        0.0, ge=0, le=1, description="how far a detected face box is widened, share of its side"
    )

    @model_validator(mode="after")
    def _one_constant_per_channel(self) -> InputSpec:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(
                f"expected {self.channels} means and stds, one per channel, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"expected stds above 0, got {self.std}")
        return self


class Provenance(BaseModel):
    """Where a model's design and starting weights come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = Field(description="the design, in words")
    paper: str = Field("", description="reference or URL")
    weights: str = Field(
        "none",
        description="`none`, a weight enum, a hub id, `local file`, `run NAME (pretraining: ...)`",
    )
    licence: str = Field("", description="licence of the starting weights, where there are any")
