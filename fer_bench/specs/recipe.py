"""Recipes: how a network is trained, as validated YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fer_bench.config import Config, load_yaml, validate
from fer_bench.errors import FerBenchError, coded, unknown_name
from fer_bench.types import Mode

TestTimeAugmentation = Literal["none", "flip", "five-crop", "ten-crop"]
RECIPES_DIR = Path(__file__).parent / "recipes"
#: Settings that only some schedules read, by these, and those that `degrade` alone brings about.
OF_SCHEDULES = {
    ("constant", "cosine"): ("warmup_epochs",),
    ("plateau",): ("factor", "patience"),
    ("one-cycle",): ("cycle_momentum",),
}
DEGRADATIONS = ("blur", "resolution", "light", "noise", "jpeg")


class Augmentation(Config):
    """Random changes to a training batch; each image draws its own. All zero means none."""

    flip: bool = Field(False, description="mirror left-right with probability 1/2")
    rotate: float = Field(0.0, ge=0, le=180, description="degrees, uniform in ±rotate")
    scale: tuple[float, float] = Field((1.0, 1.0), description="zoom factor, uniform in the range")
    translate: float = Field(0.0, ge=0, le=0.5, description="share of the side, uniform in ±")
    brightness: float = Field(0.0, ge=0, le=1, description="pixels times 1 ± brightness")
    contrast: float = Field(
        0.0, ge=0, le=1, description="distance from the mean times 1 ± contrast"
    )
    erase: float = Field(0.0, ge=0, le=1, description="probability of one erased rectangle")
    degrade: float = Field(
        0.0, ge=0, le=1, description="probability of each of the degradations below, one by one"
    )
    blur: float = Field(
        0.0, ge=0, le=0.2, description="sigma, share of the side, uniform in 0 to blur"
    )
    resolution: float = Field(
        1.0, gt=0, le=1, description="share of the pixels per side, uniform in resolution to 1"
    )
    light: float = Field(
        1.0, gt=0, le=1, description="share of the light, log-uniform in light to 1"
    )
    noise: float = Field(0.0, ge=0, le=1, description="sigma, white = 1, uniform in 0 to noise")
    jpeg: int = Field(100, ge=1, le=100, description="quality, uniform in jpeg to 100")

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"expected 0 < low <= high, got {value}")
        return value


class Optimizer(Config):
    """What changes the weights at each step, and how strongly."""

    name: Literal["sgd", "adam", "adamw", "nadam"] = "adam"
    lr: float = Field(1e-3, gt=0, description="peak learning rate at the recipe's batch size")
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    nesterov: bool = True


class Schedule(Config):
    """How the learning rate moves. one-cycle is Smith's (arXiv 1803.09820): it rises for 30 % of
    the steps, then falls to nothing, and momentum (Adam's first beta) moves against it.
    """

    name: Literal["constant", "cosine", "one-cycle", "plateau"] = "constant"
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up (constant and cosine)")
    factor: float = Field(0.5, gt=0, lt=1, description="plateau: lr is multiplied by this")
    patience: int = Field(3, ge=0, description="plateau: epochs without improvement on val")
    cycle_momentum: bool = Field(
        True, description="one-cycle: momentum goes 0.95 to 0.85 and back; else the optimizer's"
    )


class Distillation(Config):
    """How a run with teachers learns from them (Hinton et al. 2015, arXiv 1503.02531)."""

    weight: float = Field(0.7, ge=0, le=1, description="share of the teachers in the loss")
    temperature: float = Field(2.0, gt=0, description="what both sides' logits are divided by")


class Recipe(Config):
    """How a model is trained; everything but the model, the data and the seed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="part of runs' names")
    description: str = ""
    modes: tuple[Mode, ...] = Field(
        ("full", "lora"), min_length=1, description="modes it is meant for"
    )
    epochs: int = Field(gt=0)
    batch_size: int = Field(64, gt=1)
    optimizer: Optimizer = Optimizer()
    learning_rates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="lr of single models, where it differs"
    )
    optimizers: dict[str, Optimizer] = Field(
        default_factory=dict, description="optimizer of single models, where it differs"
    )
    schedule: Schedule = Schedule()
    augmentation: Augmentation = Augmentation()
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: bool = Field(False, description="weigh classes by inverse frequency in train")
    mixup: float = Field(0.0, ge=0, description="Beta parameter; 0 = off (arXiv 1710.09412)")
    cutmix: float = Field(0.0, ge=0, description="Beta parameter; 0 = off (arXiv 1905.04899)")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="moving average of weights; 0 = off")
    clip_grad: float = Field(0.0, ge=0, description="maximum gradient norm; 0 = off")
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the weights it started from in those it ends with (arXiv 2109.01903)",
    )
    early_stopping: int = Field(0, ge=0, description="epochs without a better val; 0 = off")
    checkpoint: Literal["best", "last"] = Field(
        "best", description="which epoch is kept: best val accuracy, or the last"
    )
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    tta: TestTimeAugmentation = Field("flip", description="views averaged in the *_tta metrics")
    distillation: Distillation = Distillation()
    head: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (), description="hidden widths between backbone and output"
    )
    head_dropout: float = Field(0.0, ge=0, lt=1)
    input_size: int | None = Field(
        None, ge=32, le=1024, description="overrides the model's input size, pixels"
    )
    emotions: tuple[str, ...] | None = Field(None, description="class subset the recipe is for")

    @model_validator(mode="after")
    def _warms_up_in_time(self) -> Recipe:
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"expected a warm-up shorter than the training, got {self.schedule.warmup_epochs:g}"
                f" warmup_epochs of {self.epochs} epochs"
            )
        return self

    @model_validator(mode="after")
    def _keeps_a_start_in_full_training(self) -> Recipe:
        if self.start_share and self.modes != ("full",):
            raise ValueError(
                f"start_share is for full training alone, got modes {', '.join(self.modes)}: write "
                "modes: [full]"
            )
        return self

    def optimizer_for(self, model: str) -> Optimizer:
        """The optimizer for a model, with its peak learning rate."""
        settings = self.optimizers.get(model, self.optimizer)
        return settings.model_copy(update={"lr": self.learning_rates.get(model, settings.lr)})

    def only_for(self, model: str) -> Recipe:
        """This recipe without the settings for other models, to compare it with another."""
        optimizer = self.optimizer_for(model)
        return self.model_copy(
            update={"optimizer": optimizer, "optimizers": {}, "learning_rates": {}}
        )


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(p.stem for p in RECIPES_DIR.glob("*.yaml"))


@coded("bad_config")
def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name, one's own by its YAML file, or a run's by its `record.json`.

    Raises:
        FerBenchError: unknown name (near ones suggested) or an invalid file.
    """
    path = Path(name)
    if path.suffix == ".json":
        return _recorded_recipe(path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES_DIR / f"{name}.yaml"
        if name not in recipe_names():
            raise unknown_name("recipe", name, recipe_names())
    recipe = load_yaml(Recipe, path)
    _require_own_momentum(recipe, path)
    _require_in_force(recipe, path)
    return recipe


def _require_own_momentum(recipe: Recipe, path: Path) -> None:
    """Refuses a momentum of one's own that would not be in force; records are read as is.

    Raises:
        FerBenchError: one-cycle moves momentum, and the file has one of its own.
    """
    own = [
        one.momentum
        for one in (recipe.optimizer, *recipe.optimizers.values())
        if one.momentum != Optimizer().momentum
    ]
    if own and recipe.schedule.name == "one-cycle" and recipe.schedule.cycle_momentum:
        raise FerBenchError(
            f"{path}: one-cycle moves momentum between 0.95 and 0.85 and would override the "
            f"optimizer's {own[0]:g}: leave momentum out, or set "
            "schedule.cycle_momentum: false to train with it"
        )


def _require_in_force(recipe: Recipe, path: Path) -> None:
    """Refuses what is written down and would do nothing; records are read as is.

    Raises:
        FerBenchError: a setting of another schedule, optimizer or of degradations without any, or
            a model's rate twice.
    """
    schedule, degrades = recipe.schedule, recipe.augmentation.degrade > 0
    optimizers = {"optimizer": recipe.optimizer}
    optimizers |= {f"optimizers.{model}": one for model, one in recipe.optimizers.items()}
    rules: list[tuple[str, Config, tuple[str, ...], bool, str]] = [
        ("augmentation", recipe.augmentation, DEGRADATIONS, degrades, "augmentation.degrade"),
    ]
    rules += [
        ("schedule", schedule, settings, schedule.name in names, f"schedule {' or '.join(names)}")
        for names, settings in OF_SCHEDULES.items()
    ]
    rules += [
        (key, one, ("momentum", "nesterov"), one.name == "sgd", "sgd")
        for key, one in optimizers.items()
    ]
    for part, config, settings, in_force, needed in rules:
        # A recipe that is written out whole has every setting, most at their defaults.
        changed = config.model_dump(exclude_defaults=True)
        idle = [name for name in settings if name in changed]
        if idle and not in_force:
            raise FerBenchError(
                f"{path}: {part}.{idle[0]} does nothing without {needed}: leave it out, or set that"
            )
    if twice := sorted(recipe.optimizers.keys() & recipe.learning_rates.keys()):
        raise FerBenchError(
            f"{path}: {twice[0]} has a rate in optimizers and in learning_rates: keep one of them"
        )


def _recorded_recipe(path: Path) -> Recipe:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["spec"]["recipe"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise FerBenchError(f"cannot read a recipe from {path}: expected a run's record") from None
    return validate(Recipe, values, str(path))
