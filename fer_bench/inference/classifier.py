"""A trained run, ready to name the emotion of faces: preprocessing, network, temperature."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import Backend
from fer_bench.backends.registry import AUTO
from fer_bench.backends.select import open_backend
from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.prediction_sets import SetRule, require_level, rule_of
from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.models.classifier import Classifier
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.models.weights import load_model
from fer_bench.results.location import fetch, shown_location
from fer_bench.results.parse import read_predictions
from fer_bench.results.record import Member, RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.stored_run import PREDICTIONS, StoredRun, read_run
from fer_bench.specs.run import ExternalSpec


@dataclass(frozen=True, kw_only=True)
class FaceClassifier:
    """Crops of faces to probabilities; may be shared between threads.

    Attributes:
        name: the run's.
        temperature: what the logits are divided by; 1 leaves them as they are.
        run: where it comes from; prediction sets are fitted on its stored predictions.
    """

    name: str
    model: Classifier
    backend: Backend
    temperature: float = 1.0
    run: StoredRun | None = None

    def set_rule(self, level: float) -> SetRule:
        """The rule of class-wise prediction sets, for probabilities as this gives them.

        Raises:
            FerBenchError: an invalid level, or no stored predictions to fit it on.
        """
        require_level(level)
        if self.run is None:
            raise FerBenchError(
                f"model {self.name} is no stored run: prediction sets need a run with predictions"
            )
        record = self.run.require_record()
        predictions = read_predictions(self.run.folder / PREDICTIONS)
        return rule_of(record, predictions, level, temperature=self.temperature)

    @property
    def emotions(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.model.emotions

    def crops(
        self, image: NDArray[np.uint8], faces: Sequence[DetectedFace]
    ) -> list[NDArray[np.uint8]]:
        """Faces of an image cut out of it as the network takes them; see `crop_face`."""
        return [crop_face(image, face, self.model.input_spec) for face in faces]

    def prepare(self, crops: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Crops, each uint8 `(H, W)` gray or `(H, W, 3)` RGB, to `(B, channels, S, S)` float32.

        Raises:
            FerBenchError: crops of another type or shape.
        """
        spec = self.model.input_spec
        return torch.cat([to_input(crop[None], spec) for crop in crops])

    def logits(self, crops: Sequence[NDArray[np.uint8]]) -> Tensor:
        """float32 `(B, C)`, as the network gives them; B may be 0."""
        if not len(crops):  # several may be one array
            return torch.zeros(0, len(self.emotions))
        return self.backend.forward(self.prepare(crops))

    def probabilities(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """float64 `(B, C)`, rows sum to 1; scaled by the temperature (Guo et al., 1706.04599).

        Raises:
            FerBenchError: as `prepare`.
            RunFailed: logits that are not finite.
        """
        return self._calibrated(self.logits(crops))

    def classify_prepared(self, faces: Tensor) -> NDArray[np.float64]:
        """As `probabilities`, of faces `(B, channels, S, S)` as `prepare` gives them."""
        return self._calibrated(self.backend.forward(faces))

    def _calibrated(self, raw: Tensor) -> NDArray[np.float64]:
        logits = raw.double()
        if not torch.isfinite(logits).all():
            raise RunFailed(
                f"model {self.name} gave logits that are not finite: its training diverged or its "
                "weights are broken; train it again with a lower learning rate"
            )
        scaled = logits / self.temperature
        return scaled.softmax(1).numpy()


def open_classifier(run: StoredRun, backend: str = AUTO) -> FaceClassifier:
    """The trained network of a run on a back end, warm.

    Raises:
        FerBenchError: a run that cannot be read or has no weights here (the message says how to
            train it again), or a back end that is unknown or does not work here.
    """
    model = load_run_model(run)
    temperature = run.require_record().temperature
    return FaceClassifier(
        name=run.name,
        model=model,
        backend=open_backend(backend, model),
        temperature=1.0 if temperature is None else temperature,
        run=run,
    )


def load_run_model(run: StoredRun) -> Classifier:
    """The trained network of a run; of an ensemble, all its members' as one.

    Raises:
        FerBenchError: only its record is here; the message says how to train it again. Or an
            ensemble whose members are no longer those that were measured.
    """
    record = run.require_record()
    if record.members:
        _require_members(run, record)
        return load_ensemble(run.folder.parent, record.members)
    if not run.has_weights and isinstance(record.spec, ExternalSpec):
        raise FerBenchError(
            f"run {run.name} is external, only its answers are stored: expected a run with a "
            "network; evaluate one with `--model onnx:FILE` or `hf:ID`, or choose another run"
        )
    if not run.has_weights:
        raise FerBenchError(
            f"the weights of run {run.name} are not here, only its record: train it again with "
            f"{_again(run, record)}"
        )
    fetch(run.weight_files)
    return load_model(run.folder)


def _again(run: StoredRun, record: RunRecord) -> str:
    """The command that makes a finished run again where it lies."""
    root = run.folder.parent.parent
    command = reproduce_command(record, str(root))
    return f"`{command} --results {shlex.quote(shown_location(root))} --force`"


def _require_members(run: StoredRun, record: RunRecord) -> None:
    again = f"make the ensemble again with {_again(run, record)}"
    for member in record.members:
        stored = read_run(run.folder.parent / member.run)
        if not stored.folder.exists():
            raise FerBenchError(
                f"ensemble {run.name} needs run {member.run}, which is not in "
                f"{run.folder.parent}: bring it back, or make an ensemble of others"
            )
        if stored.require_record().members:
            raise FerBenchError(
                f"ensemble {run.name} is made of {member.run}, an ensemble itself: {again}"
            )
        # Fitted on validation data, so that no two trainings have the same.
        if (stored.require_record().temperature or 1.0) != member.temperature:
            raise FerBenchError(
                f"run {member.run} was trained again since ensemble {run.name} was made of it, "
                f"whose numbers no longer hold: {again}"
            )


def load_ensemble(folder: Path, members: Sequence[Member]) -> Classifier:
    """The networks of runs that lie in `folder`, as one classifier.

    Raises:
        FerBenchError: as `load_run_model`, or networks that do not fit together.
    """
    return make_ensemble(
        [
            EnsembleMember(
                model=load_run_model(read_run(folder / member.run)),
                weight=member.weight,
                temperature=member.temperature,
            )
            for member in members
        ]
    )
