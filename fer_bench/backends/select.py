"""`open_backend`; its `auto` is the fastest that agrees with eager fp32, measured here once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import Backend, Unavailable, one_by_one
from fer_bench.backends.cache import SCHEMA, Choice, load_choice, save_choice
from fer_bench.backends.fidelity import compare, why_unfaithful
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.registry import AUTO, BACKENDS, open_prepared, reference_of
from fer_bench.backends.timing import interleaved
from fer_bench.environment import capture
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.models.classifier import Classifier

#: What `auto` tries besides it. Not torch-compile: it takes 3 to 23 s to open, too long for a page
#: that someone waits for, and never beats OpenVINO in the same precision.
CANDIDATES = (
    "torch-channels-last",
    "torch-bf16",
    "openvino-fp32",
    "openvino-bf16",
    "openvino-int8",
)
#: Seconds of measurement after which it is enough that one back end is clearly the fastest.
CLEAR_AFTER = 0.3
#: What it tries where OpenVINO does not run the network: ONNX Runtime is seldom faster, and the
#: export that it needs takes seconds.
SUBSTITUTES = ("onnxruntime-fp32", "onnxruntime-int8")


def open_backend(
    name: str,
    model: Classifier,
    *,
    threads: int | None = None,
    calibration: NDArray[np.uint8] | None = None,
) -> Backend:
    """A model on the back end of this name, warm; `auto` takes the fastest faithful one.

    Args:
        model: in eval mode; shared with the back end, so leave it as it is.
        threads: CPU threads that a call may use; by default PyTorch's.
        calibration: uint8 faces `(N, H, W)` gray or `(N, H, W, 3)` RGB of the training split, a
            few hundred, for int8: it is calibrated on every other one and `auto` compares on the
            rest. A network quantised once is stored in the cache and needs none again.

    Raises:
        FerBenchError: no such back end (near names suggested).
        Unavailable: it cannot run this model on this machine; says what to install or to give.
    """
    if name != AUTO and name not in BACKENDS:
        raise unknown_name("back end", name, (AUTO, *BACKENDS))
    prepared = PreparedModel(model, threads, calibration)
    return choose(prepared) if name == AUTO else open_prepared(name, prepared)


def choose(prepared: PreparedModel, seconds: float = 1.5) -> Backend:
    """The fastest faithful back end, as remembered from a measurement on this machine or now.

    Args:
        seconds: of measurement, for all candidates together, where none is clearly ahead before;
            opening them comes on top.
    """
    key = _key(prepared)
    remembered = load_choice(key)
    if remembered:
        try:
            opened = open_prepared(remembered.name, prepared)
        except FerBenchError:
            pass  # it was there when it was measured: measure again
        else:
            reason = f"measured before: {remembered.reason}"
            return replace(opened, reason=reason, milliseconds=remembered.milliseconds)
    chosen = measure(prepared, seconds)
    choice = Choice(name=chosen.name, reason=chosen.reason, milliseconds=chosen.milliseconds)
    save_choice(key, choice)
    return chosen


def measure(prepared: PreparedModel, seconds: float) -> Backend:
    """The fastest faithful back end, measured now; one face at a time, as in live use."""
    own = reference_of(prepared.model)
    reference = open_prepared(own, prepared)
    expected = one_by_one(reference.forward, prepared.checking)
    others, left_out = _faithful(prepared, expected, CANDIDATES)
    if not any(name.startswith("openvino") for name in others):
        more, without = _faithful(prepared, expected, SUBSTITUTES)
        others |= more
        left_out |= without
    racers = {**others, own: reference}
    face = prepared.checking[:1]
    calls = {name: partial(backend.forward, face) for name, backend in racers.items()}
    # The best of all calls: what others do on this machine can only add to it.
    taken = {
        name: min(times)
        for name, times in interleaved(calls, seconds=seconds, clear_after=CLEAR_AFTER).items()
    }
    best = min(taken, key=lambda name: taken[name])
    parts = [", ".join(f"{name} {ms:.1f} ms" for name, ms in taken.items())]
    parts += [f"without {name}: {why}" for name, why in left_out.items()]
    return replace(racers[best], reason="; ".join(parts), milliseconds=taken)


def _faithful(
    prepared: PreparedModel, expected: Tensor, names: Sequence[str]
) -> tuple[dict[str, Backend], dict[str, str]]:
    """The back ends that run the model as eager fp32 does, and why the others do not."""
    racers, left_out = {}, {}
    for name in names:
        try:
            backend = open_prepared(name, prepared)
            fidelity = compare(one_by_one(backend.forward, prepared.checking), expected, "")
            if why := why_unfaithful(fidelity):
                raise Unavailable(why)
            racers[name] = backend
        except Unavailable as why_not:
            left_out[name] = str(why_not)
    return racers, left_out


def _key(prepared: PreparedModel) -> str:
    """What a choice depends on: network, machine, threads, packages, and whether int8 may be."""
    seen = capture()
    parts = [
        SCHEMA,
        prepared.fingerprint,
        prepared.int8_faces,
        CANDIDATES,
        seen.cpu,
        seen.cpu_cores,
        seen.cpu_flags,
        seen.cpu_design,
        str(prepared.device),
        seen.gpu,
        prepared.threads,
        seen.fer_bench,
        seen.packages,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
