"""What is to be run: one training run, or one ensemble."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fer_bench.config import Config
from fer_bench.emotions import emotion_set
from fer_bench.errors import FerBenchError
from fer_bench.specs.recipe import Recipe, TestTimeAugmentation
from fer_bench.types import Mode, Split

Protocol = Literal["official", "kaggle"]
VoteMode = Literal["majority", "soft-majority", "probability", "multi-target"]
#: Whether a system learnt from the test images: yes, no, or nobody says.
TrainedOn = Literal["in-sample", "held-out", "unknown"]
#: A random seed; each epoch draws from a product of it, which PyTorch wants within 64 bits.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _known_emotions(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if value is not None and not (
        isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    ):
        raise ValueError("expected the name of a set of emotions, or a list of emotions")
    try:
        return None if value is None else emotion_set(value)
    except FerBenchError as error:  # pydantic adds the key to a ValueError
        raise ValueError(str(error)) from None


#: Classes in this order; None for all that the data have.
Emotions = Annotated[tuple[str, ...] | None, BeforeValidator(_known_emotions)]


class Labels(NamedTuple):
    """What a run or an ensemble is filed under in tables."""

    model: str
    mode: str
    recipe: str
    seed: int


class DataSpec(Config):
    """Which data a record is about, and which of its splits chooses and which one measures."""

    protocol: Protocol = "official"
    emotions: Emotions = None
    votes: VoteMode | None = Field(None, description="FER+ labels instead of FER2013's")
    limit: int | None = Field(None, gt=0, description="images per split; marks the run `limit`")
    val_share: float | None = Field(
        None, gt=0, lt=1, description="of train that is held out as val; a tenth unless given"
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="side that images are stored at, pixels; else their own"
    )
    selection_split: Split = "val"
    test_split: Split = "test"

    @model_validator(mode="after")
    def _never_select_on_test(self) -> Self:
        if self.selection_split == self.test_split:
            raise ValueError(
                f"the selection split and the test split are both {self.test_split!r}: choose the "
                "checkpoint on `val`; a test split that was selected on measures nothing"
            )
        return self

    def _data_words(self) -> list[str]:
        """What deviates from the usual data, as parts of a name."""
        words = []
        if self.votes:
            words.append(f"ferplus-{self.votes}")
        if self.emotions:
            words.append(f"{len(self.emotions)}-classes")
        if self.protocol != "official":
            words.append(self.protocol)
        if self.val_share:
            words.append(f"val{self.val_share:g}")
        if self.image_size:
            words.append(f"data{self.image_size}px")
        if self.limit:
            words.append(f"limit{self.limit}")
        return words


class RunSpec(DataSpec):
    """One training run, in full: with the data, this reproduces it."""

    model: str
    mode: Mode = "full"
    recipe: Recipe
    pretraining: str = Field("imagenet", description="none, imagenet, a hub id or a local path")
    model_options: dict[str, int | float | str | bool] = Field(default_factory=dict)
    seed: Seed = 0
    epochs: int | None = Field(None, gt=0, description="what `recipe.epochs` was overridden with")
    tta_views: int | None = Field(
        None, gt=0, description="how many views `recipe.tta` was overridden with"
    )
    teachers: tuple[str, ...] = Field(
        (), description="runs whose answers are learned too, as the recipe's `distillation` says"
    )
    prompts: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="zero-shot's texts by emotion, where they are one's own"
    )

    @model_validator(mode="after")
    def _only_zero_shot_reads(self) -> Self:
        if self.prompts and self.mode != "zero-shot":
            raise ValueError(
                f"only the mode zero-shot reads prompts, not {self.mode}: leave them out or choose "
                "--mode zero-shot"
            )
        return self

    @model_validator(mode="after")
    def _validate_teachers(self) -> Self:
        if self.teachers and self.mode not in ("full", "lora"):
            raise ValueError(
                f"only the modes full and lora learn from teachers, not {self.mode}: leave the "
                "teachers out or choose another mode"
            )
        _require_different(self.teachers)
        return self

    @model_validator(mode="after")
    def _validate_pretraining(self) -> Self:
        if self.recipe.start_share and self.pretraining == "none":
            raise ValueError(
                f"recipe {self.recipe.name} keeps a share of the weights that training starts "
                "from, and random ones are none to keep: name a run's folder as --pretraining, or "
                "set start_share to 0"
            )
        return self

    @model_validator(mode="after")
    def _votes_use_the_recipe(self) -> Self:
        recipe = self.recipe
        ignored = [n for n in ("label_smoothing", "mixup", "cutmix") if getattr(recipe, n)]
        if self.votes == "multi-target" and ignored and self.mode in ("full", "lora", "frozen"):
            raise ValueError(
                f"the loss of multi-target votes knows no {', '.join(ignored)}, which recipe "
                f"{recipe.name} asks for: set {'them' if len(ignored) > 1 else 'it'} to 0, or "
                "choose other votes"
            )
        return self

    @property
    def tta(self) -> TestTimeAugmentation:
        """Views averaged in the *_tta metrics."""
        return self.recipe.tta

    @property
    def labels(self) -> Labels:
        """What it is filed under."""
        return Labels(self.model, self.mode, self.recipe.name, self.seed)

    @property
    def name(self) -> str:
        """A readable, file-safe name: model-mode-recipe, what deviates, seed."""
        parts = [self.model.replace(":", "-").replace("/", "-"), self.mode, self.recipe.name]
        if self.epochs:
            parts.append(f"{self.epochs}ep")
        if self.tta_views:
            parts.append(f"{self.tta_views}-views")
        if self.pretraining == "none":
            parts.append("scratch")
        parts += [_option_word(key, value) for key, value in self.model_options.items() if value]
        if self.teachers:
            parts.append(f"taught-by-{len(self.teachers)}")
        if self.prompts:
            parts.append(f"prompts-{_digest(self.prompts)}")
        return "-".join([*parts, *self._data_words(), f"s{self.seed}"]).lower()


class EnsembleSpec(DataSpec):
    """Runs of one data set that answer together: the mean of their calibrated probabilities.

    Attributes:
        weighting: `fitted` on the selection split (least log loss), or `equal`.
        tta: views averaged in the *_tta metrics, as in a recipe.
    """

    ensemble: tuple[str, ...] = Field(description="names of finished runs, two or more")
    title: str = Field("", description="part of its name")
    weighting: Literal["fitted", "equal"] = "fitted"
    tta: TestTimeAugmentation = "flip"

    @field_validator("ensemble")
    @classmethod
    def _validate_members(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) < 2:
            raise ValueError(f"expected two runs or more, got {len(value)}")
        _require_different(value)
        return value

    @field_validator("title")
    @classmethod
    def _file_safe(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9._-]*", value):
            raise ValueError("expected lower-case letters, digits, '.', '_' and '-' only")
        return value

    @property
    def labels(self) -> Labels:
        """What it is filed under."""
        return Labels("ensemble", f"of {len(self.ensemble)}", f"{self.weighting} weights", 0)

    @property
    def name(self) -> str:
        """`ensemble-`, its title or how many it is of, and what deviates in its data."""
        title = self.title or f"of-{len(self.ensemble)}"
        return "-".join(["ensemble", title, *self._data_words()])


class ExternalSpec(DataSpec):
    """A system that FER Bench did not train: what it is, and what is known of its training.

    Its answers were handed in (`score`), or its network was run here (`evaluate --model`).

    Attributes:
        external: its name, as tables show it.
        answers: whether it gave a probability per emotion, or one emotion per image, which has no
            calibration.
        trained_on: whether these test images were trained on (`in-sample`), were not (`held-out`),
            or nobody says.
    """

    external: str
    answers: Literal["probabilities", "labels"] = "probabilities"
    trained_on: TrainedOn = "unknown"
    version: str = ""
    source: str = Field("", description="where it comes from: a URL, a registry's name")
    licence: str = ""
    preprocessing: str = Field("", description="what was done to the faces before it saw them")
    training: str = Field("", description="its data and how its checkpoint was chosen, if known")
    title: str = Field("", pattern=r"^[a-z0-9._-]*$", description="part of the run's name")
    model: str = Field("", description="such as `onnx:FILE`, where its network was run here")
    model_options: dict[str, int | float | str | bool] = Field(
        default_factory=dict, description="what the network does not say itself"
    )

    @field_validator("external")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9@][A-Za-z0-9 ._@/:+-]{0,79}", value):
            raise ValueError(
                "expected a name of up to 80 plain letters, digits, blanks and ._@/:+- that begins "
                f"with a letter, a digit or @, got {value[:80]!r}"
            )
        return value

    @property
    def tta(self) -> TestTimeAugmentation:
        """Its answers are taken as they are."""
        return "none"

    @property
    def labels(self) -> Labels:
        """What it is filed under."""
        return Labels(self.external, "external", f"trained: {self.trained_on}", 0)

    @property
    def name(self) -> str:
        """`external-`, its title or name, and what deviates in its data."""
        title = self.title or re.sub(r"[^a-z0-9._]+", "-", self.external.lower()).strip("-")
        return "-".join(["external", title, *self._data_words()])


def _require_different(runs: tuple[str, ...]) -> None:
    twice = sorted({name for name in runs if runs.count(name) > 1})
    if twice:
        raise ValueError(f"run {twice[0]} is listed twice: name each run once")


def _digest(prompts: dict[str, tuple[str, ...]]) -> str:
    """Tells runs with other prompts apart."""
    return hashlib.sha256(json.dumps(prompts, sort_keys=True).encode()).hexdigest()[:6]


def _option_word(key: str, value: int | float | str | bool) -> str:
    """A model option as a part of a run's name: `tiny`, `48px`, `width2`."""
    if key == "input_size":
        return f"{value}px"
    word = key if value is True else f"{key}{value}"
    return re.sub(r"[^A-Za-z0-9.]+", "-", word)
