"""Ways to run a fixed backbone over many images, and the choice of the fastest faithful one.

What is fastest differs by machine and network (bf16 pays only where the CPU has instructions for
it, int8 only where it stays faithful), so candidates are measured here and now, on real faces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.backends import pytorch
from fer_bench.backends.base import Backend, Forward, Unavailable, first_line
from fer_bench.backends.openvino_ir import (
    compile_for_cpu,
    convert,
    lacks_bf16,
    load_openvino,
    require_bf16,
)
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.quantize import has_attention, quantise_openvino
from fer_bench.backends.select import Race
from fer_bench.backends.timing import interleaved
from fer_bench.errors import unknown_name
from fer_bench.models.classifier import Classifier
from fer_bench.results.reports.latency import Fidelity

#: As a back end's, of a network without its head: to float32 `(B, D)` features on the CPU.
Extractor = Forward

#: What the others are compared with.
EAGER = "torch-fp32"
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


def _torch_fp32(prepared: PreparedModel, sample: Tensor) -> Extractor:
    """Unlike the back end of this name also of an ONNX file, which has features in no other."""
    return pytorch.by_torch(prepared, prepared.model, torch.float32, torch.contiguous_format)


def _torch_bf16(prepared: PreparedModel, sample: Tensor) -> Extractor:
    return pytorch.bf16(prepared)


def _openvino(
    prepared: PreparedModel, sample: Tensor, *, bf16: bool = False, int8: bool = False
) -> Extractor:
    """Throughput is what counts here: the back ends of OpenVINO are made for one face at once."""
    prepared.require_cpu("OpenVINO")
    if bf16:
        require_bf16("cpu")
    model = convert(prepared.model, sample)
    try:
        if int8:
            model.reshape([-1, *sample.shape[1:]])
            # Every other image only, so that it is not compared on its own examples.
            model = quantise_openvino(model, sample[::2], attends=has_attention(prepared.model))
        model.reshape([CHUNK, *sample.shape[1:]])
        return _in_chunks(model, bf16=bf16 or (int8 and not lacks_bf16()), threads=prepared.threads)
    except RuntimeError as error:
        raise Unavailable(f"OpenVINO cannot run it: {first_line(error)}") from error


def _in_chunks(model: Any, *, bf16: bool, threads: int) -> Extractor:
    """An extractor that spreads chunks over parallel streams."""
    compiled = compile_for_cpu(model, hint="THROUGHPUT", bf16=bf16, threads=threads)
    queue = load_openvino().AsyncInferQueue(compiled)
    width = compiled.output(0).partial_shape[1].get_length()

    def extract(x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, 0, 0, 0, 0, 0, -len(x) % CHUNK)).contiguous().numpy()
        out = torch.empty(len(padded), width)

        def store(request: Any, start: int) -> None:
            out[start : start + CHUNK] = torch.from_numpy(request.get_output_tensor(0).data)

        queue.set_callback(store)
        for start in range(0, len(padded), CHUNK):
            # Without sharing, OpenVINO 2026.4 copies later chunks into the first ones' memory.
            queue.start_async(padded[start : start + CHUNK], start, share_inputs=True)
        queue.wait_all()
        return out[: len(x)]

    return extract


#: What makes each, of a network without its head and a sample of its input.
EXTRACTORS: dict[str, Callable[[PreparedModel, Tensor], Extractor]] = {
    EAGER: _torch_fp32,
    "torch-bf16": _torch_bf16,
    "openvino-fp32": _openvino,
    "openvino-bf16": partial(_openvino, bf16=True),
    "openvino-int8": partial(_openvino, int8=True),
}


def check_extractor(name: str) -> None:
    """Refuses a name that is no extractor's.

    Raises:
        FerBenchError: it is unknown; near ones are suggested.
    """
    if name not in EXTRACTORS:
        raise unknown_name("extractor", name, ("auto", *EXTRACTORS))


def make_extractor(name: str, model: Classifier, sample: Tensor) -> Extractor:
    """The extractor of this name, on the model's device. The backbone is set to eval mode.

    Args:
        sample: float32 `(B, C, S, S)`, B >= 2, model input of real faces; int8 calibrates on it.

    Raises:
        FerBenchError: no such extractor (near names suggested).
        Unavailable: it cannot run this backbone on this machine.
    """
    check_extractor(name)
    return EXTRACTORS[name](PreparedModel(model.without_head()), sample)


def choose_extractor(
    model: Classifier,
    sample: Tensor,
    *,
    allow: Collection[str] = EXTRACTORS,
    images: int | None = None,
    seconds: float = 1.0,
) -> Backend:
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

    def opened(name: str) -> Backend:
        return Backend(name=name, forward=make_extractor(name, model, sample))

    eager = opened(EAGER)
    race = Race(
        reference=eager,
        open=opened,
        answer=lambda extractor: extractor(sample),
        why_not=_why_unfaithful,
        note=_cosines,
        racers={EAGER: eager},
        left_out=_not_worthwhile(eager.forward, sample, allow, images),
    )
    race.admit(name for name in allow if name != EAGER and name not in race.left_out)
    alone = len(race.racers) == 1
    return race.run(
        sample[: FIRST_LOOK if alone else RACE_BATCH],
        lambda milliseconds: f"{1000 / milliseconds:.0f} images/s",
        among=allow,
        seconds=0 if alone else seconds * len(race.racers),
        warmup=0,
    )


def _not_worthwhile(
    eager: Extractor, sample: Tensor, allow: Collection[str], images: int | None
) -> dict[str, str]:
    """By candidate, why the images ahead are too few for preparing and comparing it."""
    candidates = [name for name in allow if name != EAGER]
    if images is None:
        return {}
    if images < WORTHWHILE_SAMPLES * len(sample):
        return dict.fromkeys(candidates, f"only {images} images ahead")
    look = sample[:FIRST_LOOK]
    taken = interleaved({EAGER: partial(eager, look)}, seconds=0, warmup=0)[EAGER]
    speed = 1000 * len(look) / min(taken)
    worthless = [name for name in candidates if images < WORTHWHILE_SECONDS[name] * speed]
    return dict.fromkeys(worthless, f"only {images / speed:.1f} s of eager work ahead")


def _why_unfaithful(agreement: Fidelity) -> str:
    if agreement.mean_cosine >= FAITHFUL_MEAN and agreement.min_cosine >= FAITHFUL_MIN:
        return ""
    return f"cosine with fp32 only {agreement.mean_cosine:.4f}"


def _cosines(agreement: Fidelity) -> str:
    return f"cosine with fp32 {agreement.mean_cosine:.5f} (min {agreement.min_cosine:.5f})"
