"""fp32 or bf16 for training: decided by a short measurement, and the reason recorded."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fer_bench.backends.openvino_ir import lacks_bf16
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.location import write_results
from fer_bench.specs.recipe import Recipe
from fer_bench.training.state import has_checkpoint
from fer_bench.types import Precision

Name = TypeVar("Name", bound=str)
#: Where a run notes its choice, in its scratch folder.
FILE = "precision.json"
#: bf16 must win by this much: below, the loss of digits is not worth it.
WORTHWHILE = 1.05
#: Seconds of fp32 work ahead from which measuring bf16, which copies the model, can pay.
WORTHWHILE_SECONDS = 5.0
#: Images of the first look at how fast fp32 is.
FIRST_LOOK = 4
#: The share of the images ahead that a measurement may take.
LARGEST_SHARE = 0.02


@contextmanager
def autocast(device: str, precision: Precision) -> Iterator[None]:
    """The context in which forward passes of a precision run.

    In bf16 on a CPU attention is made of plain products: for a face's few tokens the backward pass
    of PyTorch's fused kernel takes many times as long (`benchmarks/training/attention_step.py`).
    """
    if precision == "fp32":
        yield
        return
    with ExitStack() as contexts:
        contexts.enter_context(torch.autocast(device, dtype=torch.bfloat16))
        if device == "cpu":
            contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
            # Settings of CPUs too, whatever their place is called.
            cuda = torch.backends.cuda
            before = cuda.fp16_bf16_reduction_math_sdp_allowed()  # type: ignore[no-untyped-call]
            contexts.callback(cuda.allow_fp16_bf16_reduction_math_sdp, before)
            cuda.allow_fp16_bf16_reduction_math_sdp(True)
        yield


def layout(model: nn.Module, precision: Precision) -> nn.Module:
    """channels_last for bf16 networks: oneDNN and cuDNN want it; it slows small fp32 ones."""
    if precision != "bf16":
        return model
    laid_out: nn.Module = model.to(memory_format=torch.channels_last)
    return laid_out


def settled_choice(
    work_dir: Path, resume: bool, choose: Callable[[], tuple[Name, str]], allowed: Collection[str]
) -> tuple[Name, str]:
    """`choose()`, or what it gave the first time: a killed run goes on with the same.

    A precision, or a frozen run's extractor, whose name holds its precision.

    Args:
        allowed: what may be chosen, as the user asks for it now.

    Raises:
        RunFailed: the choice cannot be written down.
        FerBenchError: what was written down is damaged, or there are epochs of a choice that is not
            allowed.
    """
    path = work_dir / FILE
    if resume and path.exists():
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            known: tuple[Name, str] = noted["precision"], noted["reason"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise FerBenchError(f"{path} is damaged: delete it and run again") from None
        if known[0] in allowed:
            return known
        if has_checkpoint(work_dir):
            raise FerBenchError(
                f"the epochs to go on from were trained with {known[0]}, got "
                f"{' or '.join(allowed)}: go on with {known[0]}, or delete {work_dir} and run again"
            )
    chosen, reason = choose()
    text = json.dumps({"precision": chosen, "reason": reason})
    try:
        write_results({path: text.encode()})
    except OSError as error:
        raise RunFailed(f"cannot write {path}: {error}") from error
    return chosen, reason


def choose_precision(
    recipe: Recipe,
    model: nn.Module,
    sample: Tensor,
    device: str,
    *,
    images: int | None = None,
    seconds: float = 1.0,
) -> tuple[Precision, str]:
    """`("fp32" | "bf16", why)` for training `model` on batches like `sample` `(B, C, S, S)`.

    With `precision: auto`, a CPU without bf16 instructions takes fp32. Elsewhere forward and
    backward are timed on copies of the model, in turn, for about `seconds`; the model itself and
    the random state stay as they were.

    Args:
        images: how many lie ahead, over all epochs. On a CPU the measurement is on as few images as
            that is worth, and none is made for a few seconds of work. None measures whole batches.
    """
    if recipe.precision != "auto":
        return recipe.precision, "set by the recipe or by --precision"
    if device == "cpu" and lacks_bf16():
        return "fp32", "this CPU has no bf16 instructions"
    with torch.random.fork_rng(devices=[]):
        plain = _training_step(copy.deepcopy(model), device, "fp32")
        if images is not None and device == "cpu":
            look = sample[:FIRST_LOOK]
            plain(look)  # the first call prepares
            per_image = _seconds(plain, look) / len(look)
            if images * per_image < WORTHWHILE_SECONDS:
                return "fp32", f"only {images * per_image:.1f} s of work ahead"
            if 4 * len(sample) > LARGEST_SHARE * images:
                sample, seconds = look, 0.0
        steps = {"fp32": plain, "bf16": _training_step(copy.deepcopy(model), device, "bf16")}
        ratio = _race(steps, sample, seconds)
    chosen: Precision = "bf16" if ratio >= WORTHWHILE else "fp32"
    return chosen, f"bf16 measured {ratio:.2f} times as fast as fp32"


def _race(steps: Mapping[str, Callable[[Tensor], None]], sample: Tensor, seconds: float) -> float:
    """How many times as fast bf16 is: the best of steps made in turn."""
    best = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step(sample)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or best["fp32"] == float("inf"):
        for precision, step in steps.items():
            best[precision] = min(best[precision], _seconds(step, sample))
    return best["fp32"] / best["bf16"]


def _seconds(step: Callable[[Tensor], None], sample: Tensor) -> float:
    start = time.perf_counter()
    step(sample)
    return time.perf_counter() - start


def _training_step(model: nn.Module, device: str, precision: Precision) -> Callable[[Tensor], None]:
    model = layout(model.to(device).train(), precision)

    def step(sample: Tensor) -> None:
        sample = sample.to(device)
        if precision == "bf16":
            sample = sample.contiguous(memory_format=torch.channels_last)
        with autocast(device, precision):
            loss = model(sample).float().square().mean()
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()

    return step
