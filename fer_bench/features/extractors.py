"""Ways to run a fixed backbone over many images, and the choice of the fastest faithful one.

What is fastest differs by machine and network (bf16 pays only where the CPU has instructions for
it, int8 only where it stays faithful), so candidates are measured here and now, on real faces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench.backends.base import Unavailable, first_line
from fer_bench.backends.openvino_ir import (
    compile_for_cpu,
    convert,
    lacks_bf16,
    load_openvino,
    require_bf16,
)
from fer_bench.backends.pytorch import in_bf16
from fer_bench.backends.quantize import has_attention, quantise_openvino
from fer_bench.errors import FerBenchError, suggest

#: float32 `(B, channels, S, S)` as `to_input` gives, to float32 `(B, D)` features; the result is
#: on the device that the extractor was made for.
Extractor = Callable[[Tensor], Tensor]

#: Mean cosine with eager fp32 features from which a candidate counts as faithful. bf16 reaches
#: 0.9999; int8 of networks that quantise badly falls below and is left out.
FAITHFUL_MEAN = 0.999
#: No single image may come out worse than this.
FAITHFUL_MIN = 0.995
#: Seconds of eager work ahead from which preparing a candidate can pay for itself.
WORTHWHILE_SECONDS = {
    "torch-bf16": 2.0,
    "openvino-fp32": 30.0,
    "openvino-bf16": 30.0,
    "openvino-int8": 120.0,
}
#: Images of the first look at how fast eager is, which decides whether anything else is tried.
FIRST_LOOK = 4
#: Comparing back ends runs each over the sample; as many times its images must lie ahead.
WORTHWHILE_SAMPLES = 16
#: Images that a timed batch has; the whole sample serves for agreement and int8 calibration.
RACE_BATCH = 32
#: Images per OpenVINO request: a fixed shape lets it pick faster kernels than a dynamic one.
CHUNK = 16


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Cosine similarity per image with the features of eager fp32."""

    cosine_min: float
    cosine_mean: float

    @property
    def faithful(self) -> bool:
        """Close enough to stand in for eager fp32."""
        return self.cosine_mean >= FAITHFUL_MEAN and self.cosine_min >= FAITHFUL_MIN


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The extractor to use, and the measurement behind it.

    Attributes:
        images_per_second, agreement: by candidate, for those that ran.
        left_out: by candidate, why it was not taken into the race.
    """

    name: str
    extractor: Extractor
    reason: str
    images_per_second: dict[str, float]
    agreement: dict[str, Agreement] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def _torch_fp32(backbone: nn.Module, sample: Tensor, device: str) -> Extractor:
    network = backbone.to(device).eval()
    return _by_torch(network, device, torch.float32, torch.preserve_format)


def _torch_bf16(backbone: nn.Module, sample: Tensor, device: str) -> Extractor:
    require_bf16(torch.device(device).type)
    network = in_bf16(backbone).to(device).eval()
    return _by_torch(network, device, torch.bfloat16, torch.channels_last)


def _by_torch(
    network: nn.Module, device: str, dtype: torch.dtype, layout: torch.memory_format
) -> Extractor:
    def extract(x: Tensor) -> Tensor:
        with torch.no_grad():
            out: Tensor = network(x.to(device, dtype, memory_format=layout)).float()
        return out

    return extract


def _openvino(*, bf16: bool, quantised: bool = False) -> Callable[..., Extractor]:
    def build(backbone: nn.Module, sample: Tensor, device: str) -> Extractor:
        if device != "cpu":
            raise Unavailable(f"OpenVINO runs on the CPU here, not on {device}")
        if bf16 and not quantised:
            require_bf16("cpu")
        model = convert(backbone, sample)
        try:
            if quantised:
                model.reshape([-1, *sample.shape[1:]])
                # Every other image only, so that agreement is not measured on its own examples.
                model = quantise_openvino(model, sample[::2], attends=has_attention(backbone))
            model.reshape([CHUNK, *sample.shape[1:]])
            return _in_chunks(model, bf16=bf16 and not lacks_bf16())
        except RuntimeError as error:
            raise Unavailable(f"OpenVINO cannot run it: {first_line(error)}") from error

    return build


def _in_chunks(model: Any, *, bf16: bool) -> Extractor:
    """An extractor that spreads chunks over parallel streams, as many threads as torch uses."""
    threads = torch.get_num_threads()
    compiled = compile_for_cpu(model, hint="THROUGHPUT", bf16=bf16, threads=threads)
    queue = load_openvino().AsyncInferQueue(compiled)
    width = compiled.output(0).partial_shape[1].get_length()

    def extract(x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, 0, 0, 0, 0, 0, -len(x) % CHUNK)).contiguous().numpy()
        out = torch.empty(len(padded), width)

        def keep(request: Any, start: int) -> None:
            out[start : start + CHUNK] = torch.from_numpy(request.get_output_tensor(0).data)

        queue.set_callback(keep)
        for start in range(0, len(padded), CHUNK):
            # Without sharing, OpenVINO 2026.4 copies later chunks into the first ones' memory.
            queue.start_async(padded[start : start + CHUNK], start, share_inputs=True)
        queue.wait_all()
        return out[: len(x)]

    return extract


_BUILDERS: dict[str, Callable[..., Extractor]] = {
    "torch-fp32": _torch_fp32,
    "torch-bf16": _torch_bf16,
    "openvino-fp32": _openvino(bf16=False),
    "openvino-bf16": _openvino(bf16=True),
    "openvino-int8": _openvino(bf16=True, quantised=True),
}
EXTRACTORS = tuple(_BUILDERS)


def check_extractor(name: str) -> None:
    """Refuses a name that is no extractor's.

    Raises:
        FerBenchError: it is unknown; near ones are suggested.
    """
    if name not in EXTRACTORS:
        raise FerBenchError(f"unknown extractor {name!r}: {suggest(name, ('auto', *EXTRACTORS))}")


def make_extractor(
    name: str, backbone: nn.Module, sample: Tensor, *, device: str = "cpu"
) -> Extractor:
    """The extractor of this name. `backbone` is moved to `device` and set to eval mode.

    Args:
        sample: float32 `(B, C, S, S)`, B >= 2, model input of real faces; int8 calibrates on it.

    Raises:
        FerBenchError: no such extractor (near names suggested).
        Unavailable: it cannot run this backbone on this machine.
    """
    check_extractor(name)
    return _BUILDERS[name](backbone, sample, device)


def choose_extractor(
    backbone: nn.Module,
    sample: Tensor,
    *,
    device: str = "cpu",
    allow: Sequence[str] = EXTRACTORS,
    images: int | None = None,
    seconds: float = 1.0,
) -> Choice:
    """The fastest of `allow` that agrees with eager fp32 on `sample`, measured now.

    Eager fp32 is the reference and the fallback even where it is not in `allow`.

    Args:
        sample: float32 `(B, C, S, S)`, model input of real faces, two or more.
        images: how many images lie ahead; candidates whose preparation cannot pay for itself
            within that are not tried. None tries all.
        seconds: of measurement per candidate.

    Raises:
        FerBenchError: `allow` holds an unknown name.
    """
    for name in allow:
        check_extractor(name)
    eager = make_extractor("torch-fp32", backbone, sample, device=device)
    left_out = _not_worthwhile(eager, sample, allow, images)
    racers, agreement = {"torch-fp32": eager}, {}
    candidates = [name for name in allow if name != "torch-fp32" and name not in left_out]
    reference = eager(sample) if candidates else sample
    for name in candidates:
        try:
            candidate = make_extractor(name, backbone, sample, device=device)
        except Unavailable as reason:
            left_out[name] = str(reason)
            continue
        agreement[name] = agree(candidate(sample), reference)
        if agreement[name].faithful:
            racers[name] = candidate
        else:
            left_out[name] = f"cosine with fp32 only {agreement[name].cosine_mean:.4f}"
    batch = sample[: RACE_BATCH if len(racers) > 1 else FIRST_LOOK]
    speed = _race(racers, batch, seconds)
    entrants = {n: s for n, s in speed.items() if n in allow} or speed
    best = max(entrants, key=lambda name: entrants[name])
    return Choice(
        name=best,
        extractor=racers[best],
        reason=_reason(best, speed, agreement, left_out),
        images_per_second=speed,
        agreement=agreement,
        left_out=left_out,
    )


def _not_worthwhile(
    eager: Extractor, sample: Tensor, allow: Sequence[str], images: int | None
) -> dict[str, str]:
    """By candidate, why the images ahead are too few for preparing and comparing it."""
    candidates = [name for name in allow if name != "torch-fp32"]
    if images is None:
        return {}
    if images < WORTHWHILE_SAMPLES * len(sample):
        return dict.fromkeys(candidates, f"only {images} images ahead")
    look = sample[:FIRST_LOOK]
    eager(look)  # the first call prepares
    ahead = images * _seconds(eager, look) / len(look)
    worthless = [name for name in candidates if ahead < WORTHWHILE_SECONDS[name]]
    return dict.fromkeys(worthless, f"only {ahead:.1f} s of eager work ahead")


def agree(features: Tensor, reference: Tensor) -> Agreement:
    """Compares features `(B, D)` with eager fp32's, image by image."""
    cosine = F.cosine_similarity(features.double(), reference.double())
    return Agreement(cosine_min=float(cosine.min()), cosine_mean=float(cosine.mean()))


def _seconds(extractor: Extractor, sample: Tensor) -> float:
    start = time.perf_counter()
    if extractor(sample).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _race(racers: dict[str, Extractor], sample: Tensor, seconds: float) -> dict[str, float]:
    """Images/s by name: best of batches run in turns, so that a busy moment hits all alike."""
    best = dict.fromkeys(racers, float("inf"))
    end = time.perf_counter() + (seconds * len(racers) if len(racers) > 1 else 0)
    while True:
        for name, extractor in racers.items():
            best[name] = min(best[name], _seconds(extractor, sample))
        if time.perf_counter() >= end:
            return {name: len(sample) / taken for name, taken in best.items()}


def _reason(
    name: str,
    speed: dict[str, float],
    agreement: dict[str, Agreement],
    left_out: dict[str, str],
) -> str:
    """The choice in one line, for the record."""
    parts = [", ".join(f"{n} {s:.0f} images/s" for n, s in speed.items())]
    if name in agreement:
        cosine = agreement[name]
        parts.append(f"cosine with fp32 {cosine.cosine_mean:.5f} (min {cosine.cosine_min:.5f})")
    parts += [f"without {n}: {why}" for n, why in left_out.items()]
    return "; ".join(parts)
