"""`open_backend`; its `auto` is the fastest that agrees with eager fp32, measured here once.

The race itself is that of `features.extractors` too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import Backend, Forward, Unavailable, one_by_one
from fer_bench.backends.cache import choice_key, load_choice, save_choice
from fer_bench.backends.fidelity import compare, why_unfaithful
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.registry import AUTO, BACKENDS, open_prepared, reference_of
from fer_bench.backends.timing import interleaved
from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.models.classifier import Classifier
from fer_bench.results.reports.latency import Fidelity

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
    network = prepared.fingerprint, prepared.int8_faces, CANDIDATES
    key = choice_key(str(prepared.device), prepared.threads, *network)
    if remembered := load_choice(key):
        try:
            opened = open_prepared(remembered.name, prepared)
        except FerBenchError:
            pass  # it was there when it was measured: measure again
        else:
            reason = f"measured before: {remembered.reason}"
            return replace(opened, reason=reason, milliseconds=remembered.milliseconds)
    chosen = measure(prepared, seconds)
    save_choice(key, chosen)
    return chosen


def measure(prepared: PreparedModel, seconds: float) -> Backend:
    """The fastest faithful back end, measured now; one face at a time, as in live use."""
    own = reference_of(prepared.model)
    race = Race(
        reference=open_prepared(own, prepared),
        open=lambda name: open_prepared(name, prepared),
        answer=lambda forward: one_by_one(forward, prepared.checking),
    )
    race.admit(CANDIDATES)
    if not any(name.startswith("openvino") for name in race.racers):
        race.admit(SUBSTITUTES)
    race.racers[own] = race.reference
    face = prepared.checking[:1]
    return race.run(face, "{:.1f} ms".format, seconds=seconds, clear_after=CLEAR_AFTER)


@dataclass(kw_only=True)
class Race:
    """Ways to run a network that are timed against each other, and why others are not.

    Attributes:
        reference: eager fp32.
        open: one by its name.
        answer: what one says to the faces that all are compared on, `(B, C)`.
        why_not: what is too far from eager fp32, in words; empty where nothing is.
        note: what else the reason says of the fastest.
    """

    reference: Backend
    open: Callable[[str], Backend]
    answer: Callable[[Forward], Tensor]
    why_not: Callable[[Fidelity], str] = why_unfaithful
    note: Callable[[Fidelity], str] = lambda _: ""
    racers: dict[str, Backend] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    fidelity: dict[str, Fidelity] = field(default_factory=dict)

    @cached_property
    def _expected(self) -> Tensor:
        return self.answer(self.reference.forward)

    def admit(self, names: Iterable[str]) -> None:
        """Opens them; those that are faithful take part."""
        for name in names:
            try:
                racer = self.open(name)
                match = compare(self.answer(racer.forward), self._expected, "")
                self.fidelity[name] = match
                if why := self.why_not(match):
                    raise Unavailable(why)
                self.racers[name] = racer
            except Unavailable as reason:
                self.left_out[name] = str(reason)

    def run(
        self,
        x: Tensor,
        words: Callable[[float], str],
        *,
        seconds: float,
        among: Collection[str] = (),
        warmup: int = 1,
        clear_after: float | None = None,
    ) -> Backend:
        """The fastest, with the measurement behind it.

        Args:
            x: model input of a call.
            words: for the milliseconds that an image takes.
            among: which may be chosen; all, where none of these takes part.
            seconds, warmup, clear_after: see `interleaved`.
        """
        calls = {name: partial(racer.forward, x) for name, racer in self.racers.items()}
        # The best of all calls: what others do on this machine can only add to it.
        times = interleaved(calls, seconds=seconds, warmup=warmup, clear_after=clear_after)
        taken = {name: min(each) / len(x) for name, each in times.items()}
        best = min([n for n in taken if n in among] or taken, key=lambda name: taken[name])
        parts = [", ".join(f"{name} {words(ms)}" for name, ms in taken.items())]
        parts += [self.note(match) for name, match in self.fidelity.items() if name == best]
        parts += [f"without {name}: {why}" for name, why in self.left_out.items()]
        reason = "; ".join(filter(None, parts))
        return replace(self.racers[best], reason=reason, milliseconds=taken, fidelity=self.fidelity)
