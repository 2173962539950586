"""Every back end against eager PyTorch fp32, one face at a time, and the one that `auto` takes.

All back ends of a model are opened in one process and called in turns, so that a busy moment hits
them alike; medians count. Networks have random weights unless `--pretraining` says otherwise: the
time is the same.

With `--data`, int8 is calibrated on faces of the training split, and the network gets a linear head
fitted on eager fp32 features of such faces, so that its logits mean something. Then the back ends
that are not exact, and the one that `auto` took, name faces of the test split: accuracy in points
against fp32, and how often the emotion is the same. Those of PyTorch in bf16 are left out, as they
would take the most time and are never chosen where OpenVINO runs.

    python -m benchmarks.backends                        drawn faces, times alone
    python -m benchmarks.backends --data fer2013.zip     real ones, accuracy too

Prints one JSON line per model.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from fer_bench.backends.base import Backend, Unavailable, one_by_one
from fer_bench.backends.fidelity import compare
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.registry import BACKENDS, open_prepared
from fer_bench.backends.select import measure
from fer_bench.backends.timing import interleaved
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.data.preprocess import to_input
from fer_bench.environment import capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.flops import count_flops
from fer_bench.results.reports.latency import REFERENCE
from fer_bench.types import Split

MODELS = ("resnet18", "vgg16", "densenet121", "vit_b_16", "clip_vit_b_32")
FEATURE_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Faces:
    """uint8 faces `(N, H, W)` or `(N, H, W, 3)` and their labels, int64 `(N,)`."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def spread(data: FaceDataset, split: Split, count: int) -> Faces:
    """So many faces, spread evenly over a split."""
    rows = data.indices(split)
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows)), dtype=np.int64)]
    return Faces(images=data.images[rows], labels=data.labels[rows])


def fit_head(model: Classifier, faces: Faces) -> None:
    """Puts a linear head in place that names the emotions of these faces."""
    with torch.inference_mode():
        batches = np.array_split(faces.images, -(-len(faces.images) // FEATURE_BATCH))
        features = torch.cat([model.features(to_input(b, model.input_spec)) for b in batches])
    # One factor for all features: another for each would blow the differences of weak ones up.
    scale = float(features.std()) or 1.0
    fitted = LogisticRegression(C=0.01, max_iter=1000).fit((features / scale).numpy(), faces.labels)
    head = nn.Linear(model.feature_size, len(model.emotions))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-10)  # an emotion that no face has
        head.weight[fitted.classes_] = torch.as_tensor(fitted.coef_, dtype=torch.float32) / scale
        head.bias[fitted.classes_] = torch.as_tensor(fitted.intercept_, dtype=torch.float32)
    model.head = head


def open_all(candidate: PreparedModel) -> tuple[dict[str, Backend], dict[str, str]]:
    """Every back end that runs here, and why the others do not."""
    opened, unavailable = {}, {}
    for name in BACKENDS:
        try:
            opened[name] = open_prepared(name, candidate)
            print(f"  {name}: opened in {opened[name].open_seconds:.1f} s", file=sys.stderr)
        except Unavailable as why:
            unavailable[name] = str(why)
            print(f"  {name}: {why}", file=sys.stderr)
    return opened, unavailable


def accuracies(
    model: Classifier, opened: dict[str, Backend], chosen: str, faces: Faces, data: str
) -> dict[str, dict[str, float]]:
    """Back ends on the same test faces, one at a time."""
    x, labels = to_input(faces.images, model.input_spec), torch.as_tensor(faces.labels)
    reference = one_by_one(opened[REFERENCE].forward, x)
    exact = float((reference.argmax(1) == labels).double().mean())
    found = {}
    for name, backend in opened.items():
        left_out = backend.precision == "fp32" or name.startswith("torch")
        if left_out and name not in (REFERENCE, chosen):
            continue
        logits = reference if name == REFERENCE else one_by_one(backend.forward, x)
        agreement = compare(logits, reference, data)
        accuracy = float((logits.argmax(1) == labels).double().mean())
        found[name] = {
            "accuracy": round(accuracy, 4),
            "difference_points": round(100 * (accuracy - exact), 2),
            "top1_agreement": round(agreement.top1_agreement, 4),
            "mean_cosine": round(agreement.mean_cosine, 5),
            "max_logit_difference": round(agreement.max_logit_difference, 4),
        }
    return found


def benchmark(name: str, asked: argparse.Namespace, data: FaceDataset) -> dict[str, Any]:
    """One model on all back ends."""
    print(name, file=sys.stderr)
    torch.manual_seed(0)
    options = {"input_size": asked.size, "tiny": asked.tiny}
    request = ModelRequest(
        name=name, emotions=data.emotions, pretraining=asked.pretraining, options=options
    )
    model = build_model(request)
    if asked.data:
        fit_head(model, spread(data, "train", asked.train_faces))
    calibration = spread(data, "train", asked.calibration).images
    candidate = PreparedModel(model, asked.threads, calibration)
    opened, unavailable = open_all(candidate)
    # Measured by itself and not remembered, from the conversions that are there already.
    chosen = measure(candidate, seconds=1.5)
    face = candidate.checking[:1]
    calls = {n: lambda forward=b.forward: forward(face) for n, b in opened.items()}
    times = interleaved(calls, seconds=asked.seconds, warmup=2)
    taken = {n: median(t) for n, t in times.items()}
    ratios = {n: round(taken[REFERENCE] / ms, 2) for n, ms in taken.items()}
    result = {
        "benchmark": "backends",
        "model": name,
        "size": asked.size,
        "gflop": round((count_flops(model) or 0) / 1e9, 2),
        "batch": 1,
        "threads": asked.threads,
        "auto": chosen.name,
        "auto_ratio": ratios[chosen.name],
        "auto_faces_per_second": round(1000 / taken[chosen.name], 1),
        "ratios": ratios,
        "milliseconds": {n: round(ms, 3) for n, ms in taken.items()},
        "calls": {n: len(t) for n, t in times.items()},
        "open_seconds": {n: round(b.open_seconds, 1) for n, b in opened.items()},
        "unavailable": unavailable,
        "auto_reason": chosen.reason,
    }
    if asked.data:
        test = spread(data, "test", asked.test_faces)
        result["test_faces"] = len(test.labels)
        result["calibration_faces"] = len(candidate.require_calibrating())
        result["test"] = accuracies(model, opened, chosen.name, test, data.name)
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--tiny", action="store_true", help="small networks, to try this script")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15, help="of measurement per model")
    parser.add_argument("--pretraining", default="none")
    parser.add_argument("--data", help="a data set's folder or zip; `synthetic` for drawn faces")
    parser.add_argument("--train-faces", type=int, default=200, help="for the head")
    parser.add_argument("--calibration", type=int, default=128, help="faces; half calibrate int8")
    parser.add_argument("--test-faces", type=int, default=200)
    return parser.parse_args()


def main() -> None:
    asked = parse()
    torch.set_num_threads(asked.threads)
    data = load_dataset(asked.data or "synthetic")
    seen = capture()
    machine = {
        "cpu": seen.processor,
        "cpu_cores": seen.cpu_cores,
        "cpu_flags": seen.cpu_flags,
        "packages": seen.packages,
    }
    with tempfile.TemporaryDirectory() as cache:
        os.environ["FER_BENCH_CACHE"] = cache  # no int8 network kept from before
        for name in asked.models:
            source = Path(asked.data).name if asked.data else "synthetic"
            print(json.dumps({**benchmark(name, asked, data), "data": source, **machine}))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
