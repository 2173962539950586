"""The record of a run: one self-contained JSON document that every page and command reads."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from fer_bench.environment import Environment
from fer_bench.specs.run import EnsembleSpec, ExternalSpec, RunSpec
from fer_bench.types import SPLITS, Dtype, EmotionName, InputSpec, Provenance

Status = Literal["running", "done", "failed", "interrupted"]
#: A rate as records have them: 0.7, never 70 %.
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Base of a record's parts: unknown keys refused, so a misspelt one cannot hide."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Document(Part):
    """A file of a run; each kind says its own version."""

    #: What brings a damaged one back.
    again: ClassVar[str] = "measure again"

    schema_version: int = 1


class ClassMetrics(Part):
    """One emotion's test figures, in [0, 1], and its number of images."""

    precision: Share
    recall: Share
    f1: Share
    support: int


class Metrics(Part):
    """Metrics on one set of images. Rates are in [0, 1]."""

    n: int = Field(description="images measured")
    n_left_out: int = Field(0, description="images of classes the model does not know")
    accuracy: Share
    accuracy_ci95: tuple[Share, Share] = Field(description="95 % bootstrap interval")
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    balanced_accuracy: Share
    roc_auc: Share | None = Field(
        description="one-vs-rest, macro; None with a class missing or without probabilities"
    )
    ece: Share | None = Field(
        description="expected calibration error, 15 equal-width bins; None without probabilities"
    )
    log_loss: float | None = Field(description="None without probabilities")
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]] = Field(description="[true][predicted], in the emotions' order")


class DatasetInfo(Part):
    """The data that a run was trained and tested on."""

    name: str
    source: str = Field(description="file or folder name, without its path")
    fingerprint: str = Field(description="SHA-256 over pixels, labels and splits")
    whole_fingerprint: str | None = Field(
        None, description="of the data without a limit, with FER+'s majority; None for the same"
    )
    protocol: str = Field(description="official or kaggle, or how else the splits came about")
    emotions: tuple[EmotionName, ...]
    split_sizes: dict[str, int]
    clean_test_size: int = Field(description="test images that stand nowhere in train or val")
    class_counts: dict[str, dict[str, int]] = Field(description="split -> emotion -> images")
    n_left_out: int = Field(description="images that could not be read or labelled")
    numbering: dict[int, str] = Field(
        default_factory=dict, description="what each number meant, where labels were numbers"
    )

    @field_validator("split_sizes", "class_counts")
    @classmethod
    def _of_each_split(cls, value: dict[str, Any]) -> dict[str, Any]:
        if missing := [split for split in SPLITS if split not in value]:
            raise ValueError(f"expected {', '.join(SPLITS)}, got no {missing[0]}")
        return value


class ModelInfo(Part):
    """The network's size, input and origin."""

    parameters: int
    trainable_parameters: int
    flops: int | None = Field(description="per image, multiply and add counted as two")
    input_spec: InputSpec
    provenance: Provenance
    weights_dtype: Dtype = Field("float32", description="rounded to this before the evaluation")


class TrainingInfo(Part):
    """How long a training took, and in which precision."""

    epochs_run: int
    best_epoch: int = Field(description="the epoch kept, from 1; 0 where nothing was trained")
    seconds: float
    images_per_second: float
    device: str
    precision: str
    precision_reason: str = Field("", description="why this precision: the measurement")
    stopped_early: bool = False
    batch_size: int = Field(description="images in a step, of all processes together")
    processes: int = Field(1, ge=1, description="that shared the work")
    extractor: str | None = Field(None, description="back end that extracted frozen features")
    momentum: tuple[float, float] | None = Field(
        None, description="lowest and highest in force; Adam's first beta"
    )


class EmotionCoverage(Part):
    """Prediction sets on some faces: how often they hold the true emotion, and their size."""

    n: int
    coverage: Share
    ci95: tuple[Share, Share] = Field(description="Wilson, over the test images alone")
    expected95: tuple[float, float] | None = Field(
        None, description="where 95 % of coverages fall, beta-binomial; None: nothing promised"
    )
    mean_size: float


class SetCoverage(Part):
    """Prediction sets fitted on the selection split, measured on test."""

    level: float = Field(gt=0, lt=1, description="the coverage that was asked for")
    kind: Literal["marginal", "class-wise"]
    thresholds: dict[str, float] = Field(description="calibrated probability that is named")
    all: EmotionCoverage
    per_emotion: dict[str, EmotionCoverage]


class Member(Part):
    """A run in an ensemble."""

    run: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="its folder next to this run's")
    weight: float = Field(ge=0, description="share in the mean; the members' sum to 1")
    temperature: float = Field(gt=0, description="what its logits are divided by before the mean")
    pretraining: str = Field(description="as in its specification")


#: Pydantic puts these into the place of an error; readers of its sentence do not want them.
SPEC_KINDS = ("RunSpec", "EnsembleSpec", "ExternalSpec")


def _kind_of_spec(value: Any) -> str:
    """By the one key that only this kind has; a training run is what has none of them."""
    for key, kind in (("ensemble", SPEC_KINDS[1]), ("external", SPEC_KINDS[2])):
        if key in value if isinstance(value, dict) else hasattr(value, key):
            return kind
    return SPEC_KINDS[0]


Spec = Annotated[
    Annotated[RunSpec, Tag(SPEC_KINDS[0])]
    | Annotated[EnsembleSpec, Tag(SPEC_KINDS[1])]
    | Annotated[ExternalSpec, Tag(SPEC_KINDS[2])],
    Discriminator(_kind_of_spec),
]


class RunRecord(Document):
    """Everything about a run. Stored as `results/<dataset>/<run>/record.json`.

    Attributes:
        metrics: keys `val`, `test`, `test_clean`, and the same with `_tta`; of the plain
            probabilities, before the temperature.
    """

    name: str
    status: Status
    error: str | None = None
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    spec: Spec
    environment: Environment
    dataset: DatasetInfo
    model: ModelInfo | None = None
    training: TrainingInfo | None = None
    members: tuple[Member, ...] = Field((), description="of an ensemble, once it is done")
    metrics: dict[str, Metrics] = Field(default_factory=dict)
    temperature: float | None = Field(
        None, gt=0, description="what logits are divided by in use; fitted on the selection split"
    )
    calibrated_ece: dict[str, float] = Field(
        default_factory=dict,
        description="per split, the expected calibration error after the temperature",
    )
    prediction_sets: list[SetCoverage] = Field(
        default_factory=list, description="split conformal, marginal and class-wise"
    )
    not_comparable_because: list[str] = Field(
        default_factory=list, description="`synthetic data`, `limit`: keep it out of rankings"
    )

    @property
    def id(self) -> str:
        """`dataset/run`: what commands, addresses of pages and tables call it."""
        return f"{self.dataset.name}/{self.name}"

    @property
    def pretraining(self) -> str:
        """What its network, or those of its members, started from."""
        if isinstance(self.spec, RunSpec):
            return self.spec.pretraining
        if isinstance(self.spec, ExternalSpec):
            return "unknown"
        return " + ".join(sorted({member.pretraining for member in self.members}))

    @property
    def has_probabilities(self) -> bool:
        """Whether it gives an emotion's probability; a system that names one emotion does not."""
        return not (isinstance(self.spec, ExternalSpec) and self.spec.answers == "labels")

    @property
    def hardware(self) -> str:
        """What the work was done on: the GPU where training used one, else the processor."""
        return self.environment.hardware(self.training.device if self.training else "cpu")

    @property
    def comparable(self) -> bool:
        """Whether its numbers may stand next to others'."""
        return not self.not_comparable_because

    @model_validator(mode="after")
    def _of_its_emotions(self) -> RunRecord:
        emotions = self.dataset.emotions
        for key, one in self.metrics.items():
            cells = [len(row) for row in one.confusion]
            if one.per_class.keys() != set(emotions) or cells != [len(emotions)] * len(emotions):
                raise ValueError(
                    f"expected per_class and confusion of metrics.{key} to be of the emotions "
                    f"{', '.join(emotions)}"
                )
        return self

    @model_validator(mode="after")
    def _complete(self) -> RunRecord:
        if self.status == "done" and isinstance(self.spec, ExternalSpec):
            if not self.metrics:
                raise ValueError("an external record needs its metrics")
            return self
        if self.status == "done" and not (self.metrics and self.model and self.training):
            raise ValueError("a finished run needs its metrics, model and training parts")
        if self.status == "done" and isinstance(self.spec, EnsembleSpec) and not self.members:
            raise ValueError("a finished ensemble needs its members")
        if self.status == "failed" and not self.error:
            raise ValueError("a failed run needs its error")
        return self
