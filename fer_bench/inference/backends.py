"""Ways to run a trained classifier on a few faces at a time, and the choice of the fastest."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_bench.data.synthetic import draw_face
from fer_bench.data.transform import to_input
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, suggest
from fer_bench.models.base import Classifier
from fer_bench.models.openvino_model import (
    Unavailable,
    bf16_is_native,
    convert,
    load_openvino,
)

#: float32 `(B, channels, S, S)`, as `to_input` gives, to float32 logits `(B, C)` on the CPU. May be
#: called from several threads at once.
Forward = Callable[[Tensor], Tensor]

AUTO = "auto"
#: Largest difference of any probability from eager fp32's with which a back end may be chosen.
FAITHFUL = 0.02
#: Faces of each emotion that back ends are compared on.
SAMPLE = 2


class _Candidate:
    """A model to be made ready; what several back ends need of it is made once."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    @cached_property
    def converted(self) -> Any:
        """The network in OpenVINO's form, any batch size."""
        spec = self.model.input_spec
        shape = (spec.channels, spec.size, spec.size)
        converted = convert(self.model, torch.zeros(2, *shape))
        converted.reshape([-1, *shape])
        return converted


def _torch_fp32(candidate: _Candidate) -> Forward:
    def forward(x: Tensor) -> Tensor:
        with torch.inference_mode():
            out: Tensor = candidate.model(x)
        return out

    return forward


def _torch_bf16(candidate: _Candidate) -> Forward:
    network = copy.deepcopy(candidate.model).to(torch.bfloat16)
    network = network.to(memory_format=torch.channels_last)

    def forward(x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = x.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
            out: Tensor = network(x).float()
        return out

    spec = candidate.model.input_spec
    try:
        forward(torch.zeros(1, spec.channels, spec.size, spec.size))
    except RuntimeError as error:  # not every operation is there for bf16
        raise Unavailable(f"PyTorch cannot run it in bf16: {error}") from error
    return forward


def _openvino(precision: str) -> Callable[[_Candidate], Forward]:
    def build(candidate: _Candidate) -> Forward:
        openvino = load_openvino()
        if precision == "bf16" and not bf16_is_native():
            raise Unavailable("this CPU has no bf16 instructions")
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        try:
            compiled = openvino.compile_model(candidate.converted, "CPU", settings)
        except RuntimeError as error:
            raise Unavailable(f"OpenVINO cannot run it: {error}") from error
        requests = threading.local()  # a request serves one call at a time

        def forward(x: Tensor) -> Tensor:
            if not hasattr(requests, "own"):
                requests.own = compiled.create_infer_request()
            found = requests.own.infer([x.contiguous().numpy()], share_inputs=True)
            return torch.from_numpy(found[0].copy())

        return forward

    return build


_BUILDERS: dict[str, Callable[[_Candidate], Forward]] = {
    "torch-fp32": _torch_fp32,
    "torch-bf16": _torch_bf16,
    "openvino-fp32": _openvino("f32"),
    "openvino-bf16": _openvino("bf16"),
}
BACKENDS = tuple(_BUILDERS)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A model made ready to run.

    reason: why this one, in words, where it was chosen by measurement.
    milliseconds: per face at batch 1, by candidate, where it was.
    """

    name: str
    forward: Forward
    reason: str = ""
    milliseconds: dict[str, float] = field(default_factory=dict)


def open_backend(name: str, model: Classifier) -> Backend:
    """A model on the back end of this name, warm; `auto` measures which is fastest.

    model: in eval mode, on the CPU; shared with the back end, so leave it as it is.

    Raises:
        FerBenchError: no such back end (near names suggested).
        Unavailable: it cannot run this model on this machine.
    """
    if name == AUTO:
        return _fastest(model)
    if name not in BACKENDS:
        raise FerBenchError(f"unknown back end {name!r}: {suggest(name, (AUTO, *BACKENDS))}")
    forward = _BUILDERS[name](_Candidate(model))
    forward(_sample(model)[:1])
    return Backend(name=name, forward=forward)


def _sample(model: Classifier) -> Tensor:
    """Model input of drawn faces, `(7 * SAMPLE, channels, S, S)`."""
    rng = np.random.default_rng(0)
    faces = [draw_face(emotion, size=48, rng=rng) for emotion in FER2013 * SAMPLE]
    return to_input(np.stack(faces), model.input_spec)


def _fastest(model: Classifier, seconds: float = 0.3) -> Backend:
    """The fastest back end whose probabilities agree with eager fp32's; about `seconds` each."""
    sample = _sample(model)
    candidate = _Candidate(model)
    reference = _torch_fp32(candidate)(sample).softmax(1)
    racers: dict[str, Forward] = {}
    left_out = []
    for name, build in _BUILDERS.items():
        try:
            forward = build(candidate)
        except Unavailable as why:
            left_out.append(f"{name}: {why}")
            continue
        apart = float((forward(sample).softmax(1) - reference).abs().max())
        if apart <= FAITHFUL:
            racers[name] = forward
        else:
            left_out.append(f"{name}: a probability differs by {apart:.3f}")
    taken = _race(racers, sample[:1], seconds)
    best = min(taken, key=lambda name: taken[name])
    figures = ", ".join(f"{name} {ms:.1f} ms" for name, ms in taken.items())
    return Backend(
        name=best,
        forward=racers[best],
        reason="; ".join([figures, *left_out]),
        milliseconds=taken,
    )


def _race(racers: dict[str, Forward], face: Tensor, seconds: float) -> dict[str, float]:
    """Milliseconds by name: the best of calls made in turns, so that a busy moment hits all."""
    best = dict.fromkeys(racers, float("inf"))
    end = time.perf_counter() + seconds * len(racers)
    while time.perf_counter() < end:
        for name, forward in racers.items():
            start = time.perf_counter()
            forward(face)
            best[name] = min(best[name], (time.perf_counter() - start) * 1000)
    return best
