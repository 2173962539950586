"""What a training starts from, and how its record says so without a path of this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

from fer_bench.errors import FerBenchError
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.results.lineage import described, run_at
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import EnsembleSpec, ExternalSpec, RunSpec


def request_for(spec: RunSpec, emotions: tuple[str, ...]) -> ModelRequest:
    """What the model builder is asked for; `emotions` are the data's."""
    return ModelRequest(
        name=spec.model,
        emotions=emotions,
        mode=spec.mode,
        pretraining=spec.pretraining,
        options=dict(spec.model_options),
        head=spec.recipe.head,
        head_dropout=spec.recipe.head_dropout,
        prompts=dict(spec.prompts),
    )


def as_recorded(
    spec: RunSpec | EnsembleSpec | ExternalSpec,
) -> RunSpec | EnsembleSpec | ExternalSpec:
    """The specification as in records.

    A run that it starts from is called `results/<dataset>/<run>`, wherever it lies; of other paths
    that lead out of the working folder only the last name stays.
    """
    if not isinstance(spec, RunSpec):
        return spec
    return spec.model_copy(update={"pretraining": _portable(spec.pretraining)})


def _portable(pretraining: str) -> str:
    if start := run_at(pretraining):
        return f"results/{start.id}"
    path = PurePath(pretraining)
    leads_out = path.is_absolute() or pretraining.startswith("~") or ".." in path.parts
    return path.name if leads_out else pretraining


def starting_model(request: ModelRequest, spec: RunSpec) -> Classifier:
    """The network that a training begins with; where it comes from as the record says it.

    Raises:
        FerBenchError: as `models.build.build_model`, or a run to start from that cannot be read
            or was chosen by another protocol.
    """
    start = run_at(spec.pretraining)
    if start is not None:
        _require_protocol(start, spec.protocol)
    model = build_model(request)
    model.request = replace(model.request, pretraining=_portable(spec.pretraining))
    if start is not None:
        known = start.require_record().model
        licence = known.provenance.licence if known else ""
        model.provenance = model.provenance.model_copy(
            update={"weights": described(start), "licence": licence}
        )
    return model


def _require_protocol(start: StoredRun, protocol: str) -> None:
    chosen_by = start.require_record().spec.protocol
    if chosen_by != protocol:
        raise FerBenchError(
            f"run {start.name} was trained and chosen by the protocol {chosen_by}, expected "
            f"{protocol}: what it was chosen on may be tested on here; start from a run of the "
            "same protocol"
        )
