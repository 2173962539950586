"""Every back end gives the network's own logits, or says in a sentence why it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from frozen_fixtures import tiny_classifier
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_bench.backends import cache as kept
from fer_bench.backends import openvino_ir
from fer_bench.backends.base import Unavailable
from fer_bench.backends.fidelity import compare, why_unfaithful
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.registry import BACKENDS, open_prepared, precision_of
from fer_bench.backends.select import open_backend
from fer_bench.backends.timing import interleaved
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.models.build import MODELS, build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.results.reports.latency import REFERENCE

# Read when torch's compiler is first imported: it tries out the C++ compiler for 15 s otherwise.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
os.environ.setdefault("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0")

pytestmark = pytest.mark.usefixtures("any_precision")

TINY = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
COMPILED = ("torch-compile", "torch-compile-bf16")
THROUGH_ONNX = ("onnxruntime-fp32", "onnxruntime-int8")
OTHERS = tuple(b for b in BACKENDS if b not in COMPILED + THROUGH_ONNX)
#: Least cosine with eager fp32, face by face. Random networks quantise worse than trained ones.
COSINE = {"fp32": 1 - 1e-6, "bf16": 0.998, "int8": 0.93}


def build(name: str) -> Classifier:
    torch.manual_seed(0)
    options = {"tiny": True} if name in TINY else {}
    return build_model(ModelRequest(name=name, emotions=FER2013, options=options))


def faces() -> NDArray[np.uint8]:
    return read_synthetic(n_per_class=6).images


@cache
def candidate(model_name: str) -> PreparedModel:
    """A tiny network whose conversions all tests share."""
    return PreparedModel(build(model_name), calibration=faces())


def check_logits(name: str, model_name: str) -> None:
    """A back end's logits are the network's, for one face at a time and for several."""
    shared = candidate(model_name)
    backend = open_prepared(name, shared)
    assert (backend.name, backend.precision, backend.threads) == (name, precision_of(name), 1)
    x = shared.checking[:8]
    before = x.clone()
    with torch.no_grad():
        expected = shared.model(x)
    for found in (backend.forward(x), torch.cat([backend.forward(face[None]) for face in x])):
        assert found.shape == (8, 7) and found.dtype == torch.float32
        assert compare(found, expected, "synthetic").min_cosine > COSINE[backend.precision]
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("model_name", MODELS)
def test_a_back_end_gives_the_networks_logits(name: str, model_name: str) -> None:
    check_logits(name, model_name)


@pytest.mark.parametrize("name", THROUGH_ONNX)
@pytest.mark.parametrize("model_name", ["compact_resnet", "vit_b_16"])
def test_so_do_those_that_go_through_onnx(name: str, model_name: str) -> None:
    check_logits(name, model_name)


@pytest.mark.parametrize("name", [name for name in BACKENDS if precision_of(name) == "bf16"])
def test_a_cpu_without_bf16_instructions_is_not_made_to_emulate_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_ir, "lacks_bf16", lambda: True)
    with pytest.raises(Unavailable, match=r"^this CPU has no bf16 instructions$"):
        open_prepared(name, candidate("compact_resnet"))


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_network_takes_any_batch_from_any_thread(name: str) -> None:
    model = tiny_classifier()
    forward = open_backend(name, model).forward
    batches = [batch(n, model) for n in (1, 2, 3, 1)]
    with ThreadPoolExecutor(2) as pool:
        found = torch.cat(list(pool.map(forward, batches)))
    with torch.no_grad():
        expected = torch.cat([model(x) for x in batches])
    assert compare(found, expected, "").min_cosine > COSINE[precision_of(name)]


def batch(n: int, model: Classifier) -> Tensor:
    spec = model.input_spec
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, spec.channels, spec.size, spec.size, generator=generator)


@pytest.mark.parametrize("name", ["torch-fp32", "onnxruntime-fp32", "openvino-fp32"])
def test_threads_may_share_a_back_end(name: str) -> None:
    shared = candidate("compact_resnet")
    forward = open_prepared(name, shared).forward
    batches = [batch(n, shared.model) for n in (1, 2, 3, 1, 1, 4)]
    alone = [forward(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(forward, batches))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other)


def test_a_result_outlives_the_next_call() -> None:
    model = tiny_classifier()
    forward = open_backend("openvino-fp32", model).forward
    first = forward(batch(1, model))
    kept = first.clone()
    forward(batch(1, model) * 2)
    assert torch.equal(first, kept)


def test_a_call_uses_the_threads_asked_for_and_leaves_the_others_theirs() -> None:
    seen = []

    class Counting(nn.Identity):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return x

    model = tiny_classifier()
    model.head = nn.Sequential(model.head, Counting())
    assert open_backend(REFERENCE, model, threads=2).threads == 2
    assert seen == [2]
    assert torch.get_num_threads() == 1


def test_other_precisions_leave_the_network_in_fp32() -> None:
    model = tiny_classifier()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    open_backend("torch-bf16", model)
    open_backend("openvino-int8", model, calibration=faces())
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(after[name].dtype == tensor.dtype for name, tensor in before.items())


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["onnxruntime-int8", "openvino-int8"])
def test_int8_asks_for_faces(name: str, empty_cache: Path) -> None:
    with pytest.raises(Unavailable, match=r"faces of the training split .* latency RUN --data"):
        open_backend(name, tiny_classifier())


def test_a_quantised_network_is_kept(empty_cache: Path) -> None:
    model = tiny_classifier()
    x = batch(3, model)
    expected = open_backend("openvino-int8", model, calibration=faces()).forward(x)
    assert torch.equal(open_backend("openvino-int8", model).forward(x), expected)
    with pytest.raises(Unavailable, match="faces of the training split"):
        open_backend("openvino-int8", tiny_classifier(seed=1))  # other weights


def test_a_kept_network_that_is_damaged_is_made_again(empty_cache: Path) -> None:
    model = tiny_classifier()
    x = batch(3, model)
    expected = open_backend("openvino-int8", model, calibration=faces()).forward(x)
    (file,) = empty_cache.glob("backends/*-int8*/network.xml")
    file.write_text("<net")
    with pytest.raises(Unavailable, match="faces of the training split"):
        open_backend("openvino-int8", model)
    again = open_backend("openvino-int8", model, calibration=faces()).forward(x)
    assert torch.equal(again, expected)
    assert torch.equal(open_backend("openvino-int8", model).forward(x), expected)


def test_of_many_quantised_networks_the_last_ones_are_kept(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_CACHED", 1)
    first, second = tiny_classifier(), tiny_classifier(seed=1)
    for model in (first, second):
        open_backend("openvino-int8", model, calibration=faces())
    open_backend("openvino-int8", second)
    with pytest.raises(Unavailable, match="faces of the training split"):
        open_backend("openvino-int8", first)


@pytest.mark.parametrize(
    ("name", "package", "advice"),
    [
        ("openvino-fp32", "openvino", r"OpenVINO is not installed .*: pip install openvino"),
        ("openvino-int8", "nncf", r"NNCF is not installed .*: pip install nncf"),
        ("onnxruntime-fp32", "onnxruntime", r"onnxruntime is not installed .*: pip install"),
        ("onnxruntime-fp32", "onnxscript", r"onnxscript is not installed .*: pip install"),
    ],
)
def test_a_missing_package_is_named(
    name: str, package: str, advice: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = PreparedModel(tiny_classifier(), calibration=faces())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Unavailable, match=advice):
        open_prepared(name, fresh)


def test_an_unknown_back_end_is_refused_with_the_near_ones() -> None:
    with pytest.raises(FerBenchError, match="did you mean 'openvino-fp32'"):
        open_backend("openvino-fp23", tiny_classifier())


def test_agreement_is_counted_over_faces() -> None:
    reference = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 0.0]])
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0], [3.0, 0.5]])
    found = compare(logits, reference, "fer2013")
    assert (found.n, found.faces) == (4, "fer2013")
    assert found.max_logit_difference == 1
    assert found.max_probability_difference == pytest.approx(0.46212, abs=1e-5)
    assert found.min_cosine == pytest.approx(0, abs=1e-12)
    assert found.mean_cosine == pytest.approx((2 + 0 + 6 / 37**0.5) / 4)
    assert found.top1_agreement == 0.75


def test_close_is_faithful_and_far_is_not() -> None:
    reference = torch.tensor([[3.0, 2.5, 0.0]]).repeat(200, 1)
    other = reference.clone()
    other[:4] = torch.tensor([2.5, 3.0, 0.0])
    assert not why_unfaithful(compare(other, reference, ""))
    other[4] = other[0]
    assert why_unfaithful(compare(other, reference, "")) == "5 of 200 faces get another emotion"
    ties = torch.tensor([[1.01, 1.0], [1.0, 1.01]])
    assert not why_unfaithful(compare(ties.flip(1), ties, ""))
    reference = torch.randn(200, 7, generator=torch.Generator().manual_seed(0))
    squashed = reference.sign() * reference.abs() ** 0.3
    assert why_unfaithful(compare(squashed, reference, "")).startswith("cosine with fp32 only 0.")
    with pytest.raises(Unavailable, match="logits are not finite"):
        compare(reference / 0, reference, "")


def test_timed_calls_take_turns_and_the_first_of_a_turn_does_not_count() -> None:
    made = []
    taken = interleaved(
        {name: lambda name=name: made.append(name) for name in "ab"}, seconds=0, warmup=2
    )
    assert made[:4] == ["a", "b", "a", "b"]
    turns = "".join(made[4:])
    assert re.fullmatch("a+b+", turns)
    assert {name: len(times) + 1 for name, times in taken.items()} == {
        name: turns.count(name) for name in "ab"
    }


def test_timing_ends_early_where_one_call_is_clearly_the_fastest() -> None:
    calls = {"quick": lambda: None, "slow": lambda: time.sleep(0.001)}
    taken = interleaved(calls, seconds=100_000, clear_after=0)
    assert len(taken["slow"]) < len(taken["quick"])


def test_no_package_reports_to_its_makers() -> None:
    script = (
        "import sys; from fer_bench.backends.openvino_ir import load_openvino; load_openvino(); "
        "import openvino, nncf; print(sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "None"


def test_only_one_place_imports_openvino() -> None:
    files = (Path(__file__).parents[2] / "fer_bench").rglob("*.py")
    importing = [
        f.name for f in files if re.search(r"^\s*(import|from) openvino", f.read_text(), re.M)
    ]
    assert importing == ["openvino_ir.py"]


def test_listing_them_needs_no_torch() -> None:
    script = (
        "import sys; from fer_bench.backends.registry import BACKENDS; "
        "print(*BACKENDS); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == list(BACKENDS)
