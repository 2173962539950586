"""Images per second of training: FER Bench's loop against the loop that people copy.

Theirs: the faces as JPEG files, torchvision's ImageFolder and a DataLoader of 2 workers, PIL
transforms image by image at the network's size, eager fp32, the loss read after each step. Ours:
one-epoch trainings by `fer_bench.training.finetune` under recipe `strong`, in the precision that
the loop itself measures to be the faster, with its moving average and gradient clipping, which
theirs does without. Both train the same network on the same images in batches of 64, with SGD,
label smoothing and the same random changes as far as torchvision has them: mirror, affine, light,
erasing. Epochs alternate in one process and the medians count. Writing the files, validation and
checkpoints are timed on neither side. Measure on an idle machine.

On CUDA also each side's share of the card's own rate of bf16 matrix products, a training step
counted as three forward passes.

    python -m benchmarks.training.train_throughput                     4,000 drawn faces
    python -m benchmarks.training.train_throughput --data fer2013.zip  4,000 of its training images
    python -m benchmarks.training.train_throughput --device cuda --images 28709 --models vit_b_16

Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from fer_bench.benchmark.initial_weights import request_for
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import Loaded, Source, load_dataset
from fer_bench.data.readers.recognise import SYNTHETIC
from fer_bench.data.synthetic import read_synthetic
from fer_bench.environment import capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier
from fer_bench.models.flops import count_flops
from fer_bench.results.record import TrainingInfo
from fer_bench.specs.recipe import Augmentation, load_recipe
from fer_bench.specs.run import DataSpec, RunSpec
from fer_bench.training.augment import ERASED_AREA, ERASED_ASPECT
from fer_bench.training.finetune import finetune
from fer_bench.training.job import TrainingJob
from fer_bench.types import InputSpec

MODELS = ("resnet18@224", "resnet18@48", "compact_resnet")
THREADS = 2
WORKERS = 2
#: Batches of the first, untimed epochs, which warm up and tell how many images to measure on.
WARM_UP = 2
#: Side of the matrices whose product gives the card's peak.
PEAK_SIDE = 8192


def make_spec(model: str) -> RunSpec:
    """One epoch of recipe `strong` from random weights.

    Args:
        model: a model's name, where need be with its input size: `resnet18@48`.
    """
    name, _, size = model.partition("@")
    return RunSpec(
        model=name,
        recipe=load_recipe("strong").model_copy(update={"epochs": 1}),
        pretraining="none",
        model_options={"input_size": int(size)} if size else {},
    )


def load_faces(source: str, n: int) -> FaceDataset:
    """At most `n` images in each split; of drawn faces just `n` to train on."""
    if source != SYNTHETIC:
        return load_dataset(source, limit=n)
    drawn = read_synthetic(n_per_class=n * 5 // (7 * 4) + 3)  # a fifth of them is held out
    loaded = Loaded(format=SYNTHETIC, data=drawn, path=None)
    return Source(data=SYNTHETIC).split(loaded, DataSpec()).limited(n)


def write_faces(data: FaceDataset, folder: Path) -> None:
    """The training images as `folder/emotion/00012.jpg`."""
    for row in data.indices("train"):
        file = folder / data.emotions[data.labels[row]] / f"{row:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[row]).save(file, quality=92)


def their_transform(spec: InputSpec, change: Augmentation) -> transforms.Compose:
    """One PIL image to the network's input, changed at random as much as ours are."""
    return transforms.Compose(
        [
            transforms.Grayscale(spec.channels),
            transforms.Resize((spec.size, spec.size)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(
                change.rotate,
                translate=(change.translate, change.translate),
                scale=change.scale,
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ColorJitter(brightness=change.brightness, contrast=change.contrast),
            transforms.ToTensor(),
            transforms.Normalize(spec.mean, spec.std),
            transforms.RandomErasing(change.erase, ERASED_AREA, (1 / ERASED_ASPECT, ERASED_ASPECT)),
        ]
    )


class TheirTraining:
    """The usual loop over the images in a folder, and what it keeps from epoch to epoch."""

    def __init__(
        self, model: Classifier, spec: RunSpec, folder: Path, device: str, workers: int
    ) -> None:
        recipe = spec.recipe
        self.model = model.to(device).train()
        self.device = device
        self.smoothing = recipe.label_smoothing
        self.loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            datasets.ImageFolder(
                str(folder), their_transform(model.input_spec, recipe.augmentation)
            ),
            recipe.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device == "cuda",
        )
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.optimizer.lr / 10,  # for want of a warm-up
            momentum=recipe.optimizer.momentum,
            weight_decay=recipe.optimizer.weight_decay,
            nesterov=recipe.optimizer.nesterov,
        )

    def epoch(self) -> float:
        """Trains on every image once; the seconds it took."""
        started = time.perf_counter()
        total_loss, correct = 0.0, 0
        for images, labels in self.loader:
            x = images.to(self.device, non_blocking=True)
            y = labels.to(self.device, non_blocking=True)
            self.optimizer.zero_grad()
            logits = self.model(x)
            loss = F.cross_entropy(logits, y, label_smoothing=self.smoothing)
            torch.autograd.backward(loss)
            self.optimizer.step()
            total_loss += loss.item()
            correct += int((logits.argmax(1) == y).sum())
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def our_training(spec: RunSpec, data: FaceDataset, device: str) -> TrainingInfo:
    """One epoch as `train` runs it; its images per second leave validation out."""
    model = build_model(request_for(spec, data.emotions))
    with tempfile.TemporaryDirectory() as scratch:
        return finetune(TrainingJob(model, data, spec, Path(scratch), device=device)).info


def rate(epoch: Callable[[], float], n: int, least: float) -> float:
    """Images per second over as many epochs of `n` images as fill `least` seconds.

    Args:
        epoch: carries one out and returns its seconds.
    """
    seconds, epochs = 0.0, 0
    while epochs == 0 or seconds < least:
        seconds += epoch()
        epochs += 1
    return epochs * n / seconds


def warm_up(
    spec: RunSpec, data: FaceDataset, device: str, workers: int
) -> tuple[TrainingInfo, float]:
    """A few batches on both sides: our training's account of itself, and their images/s."""
    few = data.limited(WARM_UP * spec.recipe.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        write_faces(few, Path(folder))
        model = build_model(request_for(spec, few.emotions))
        theirs = TheirTraining(model, spec, Path(folder), device, workers)
        theirs.epoch()
        speed = rate(theirs.epoch, len(few.indices("train")), 0)
    return our_training(spec, few, device), speed


def measure(model: str, data: FaceDataset, asked: argparse.Namespace) -> dict[str, Any]:
    """Both sides of one model, in turns, on as many images as theirs needs the seconds for."""
    spec, device = make_spec(model), asked.device
    chosen, speed = warm_up(spec, data, device, asked.workers)
    recipe = spec.recipe.model_copy(update={"precision": chosen.precision})  # measured once
    spec = spec.model_copy(update={"recipe": recipe})
    batches = max(round(speed * asked.seconds / recipe.batch_size), WARM_UP)
    n: int = min(batches, len(data.indices("train")) // recipe.batch_size) * recipe.batch_size
    data = data.limited(n)

    def our_epoch() -> float:
        return n / our_training(spec, data, device).images_per_second

    rates: dict[str, list[float]] = {"theirs": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        write_faces(data, Path(folder))
        network = build_model(request_for(spec, data.emotions))
        theirs = TheirTraining(network, spec, Path(folder), device, asked.workers)
        for _ in range(asked.rounds):
            rates["theirs"].append(rate(theirs.epoch, n, asked.seconds))
            rates["ours"].append(rate(our_epoch, n, asked.seconds))
            last = " / ".join(f"{side[-1]:,.1f}" for side in rates.values())
            print(f"{model}: {last} images/s", file=sys.stderr)
    middle = {side: median(values) for side, values in rates.items()}
    return {
        "images": n,
        "our_precision": chosen.precision,
        "our_precision_reason": chosen.precision_reason,
        "their_images_per_s": round(middle["theirs"], 1),
        "our_images_per_s": round(middle["ours"], 1),
        "ratio": round(middle["ours"] / middle["theirs"], 2),
        "training_gflop_per_image": round(3 * (count_flops(network) or 0) / 1e9, 2),
    }


def bf16_peak() -> float:
    """FLOP/s of the card's bf16 product of two square matrices, the best of 20."""
    a = torch.randn(PEAK_SIDE, PEAK_SIDE, device="cuda", dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(20):
        torch.cuda.synchronize()
        started = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * PEAK_SIDE**3 / best


def with_shares(found: dict[str, Any], peak: float) -> dict[str, Any]:
    """What `measure` found, and how much of the card's peak (FLOP/s) each side uses, 0 to 1."""
    share = found["training_gflop_per_image"] * 1e9 / peak
    return found | {
        f"{side}_share_of_peak": round(found[f"{side}_images_per_s"] * share, 4)
        for side in ("their", "our")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=SYNTHETIC, help="a data set's folder or zip")
    parser.add_argument("--images", type=int, default=4000, help="training images at most")
    parser.add_argument("--models", nargs="+", default=MODELS, help="NAME or NAME@INPUT_SIZE")
    parser.add_argument("--seconds", type=float, default=30, help="per side and round, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=THREADS, help="torch's, on both sides")
    parser.add_argument("--workers", type=int, default=WORKERS, help="of their DataLoader")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = load_faces(asked.data, asked.images)
    n, least = len(data.indices("train")), WARM_UP * load_recipe("strong").batch_size
    if n < least:
        parser.error(f"expected {least} training images or more, got {n}")
    models = {name: measure(name, data, asked) for name in asked.models}
    peak = {}
    if asked.device == "cuda":
        flops = bf16_peak()
        models = {name: with_shares(found, flops) for name, found in models.items()}
        peak = {"bf16_matmul_tflops": round(flops / 1e12, 1)}
    seen = capture()
    print(
        json.dumps(
            {
                "benchmark": "train_throughput",
                "data": Path(asked.data).name,
                "device": asked.device,
                "seconds": asked.seconds,
                "rounds": asked.rounds,
                "threads": asked.threads,
                "workers": asked.workers,
                **models,
                **peak,
                "cpu": seen.processor,
                "cpu_cores": seen.cpu_cores,
                "cpu_flags": seen.cpu_flags,
                "gpu": seen.gpu,
                "packages": seen.packages,
            }
        )
    )


if __name__ == "__main__":
    main()
