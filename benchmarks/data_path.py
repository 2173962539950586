"""Batches ready for the model: FER Bench against torchvision's ImageFolder + DataLoader.

Both sides yield the same float batches of 64 gray faces as ImageNet-normalised RGB at 48, 64 and
224 px. Theirs decodes and resizes single images in 2 worker processes, every epoch; ours decodes
once and transforms batches (`fer_bench.data.preprocess.to_input`) with 2 threads into one buffer,
as a loop does that is done with each batch before the next. Rounds alternate, the medians count,
and every pixel of the two sides is compared (at most 1/255 apart). Measure on an idle machine.

    python -m benchmarks.data_path                       4,000 drawn faces, as JPEG files
    python -m benchmarks.data_path --data fer2013.zip    4,000 of its images, and its load times

Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from fer_bench.data.files.archive import is_image, open_tree
from fer_bench.data.load import load_dataset, read_source
from fer_bench.data.preprocess import to_input
from fer_bench.data.synthetic import read_synthetic
from fer_bench.environment import capture
from fer_bench.errors import RunFailed
from fer_bench.types import InputSpec

SIZES = (48, 64, 224)
BATCH = 64
WORKERS = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Pillow rounds to whole shades after resizing, ours does not; a hair more for float arithmetic.
TOLERANCE = (1 + 1e-3) / 255
#: A round of ours is repeated until it takes this long, to be measurable at all.
LEAST_SECONDS = 0.5


def write_drawn(folder: Path, n: int) -> None:
    """Drawn faces as `folder/emotion/00012.jpg`."""
    drawn = read_synthetic(n_per_class=-(-n // 7))
    for image, name in zip(drawn.images, drawn.ids, strict=True):
        file = folder / f"{name.removeprefix('synthetic/')}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, quality=92)


def write_real(folder: Path, source: Path, n: int) -> None:
    """Every k-th image of a data set as `folder/emotion/file`."""
    tree = open_tree(source)
    names = sorted(filter(is_image, tree.names))
    for name in names[:: max(1, len(names) // n)][:n]:
        file = folder / Path(name).parent.name / Path(name).name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tree.read(name))


def their_loader(folder: Path, size: int) -> DataLoader[tuple[Tensor, Tensor]]:
    """The way of torchvision's tutorials: PIL images as RGB, one by one."""
    steps = [
        transforms.Resize((size, size), transforms.InterpolationMode.BILINEAR, antialias=True),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    files = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(files, BATCH, num_workers=WORKERS, persistent_workers=True)


def rate(epoch: Callable[[], Iterator[object]], n: int, least: float) -> float:
    """Images per second over as many epochs as fill `least` seconds."""
    epochs, start = 0, time.perf_counter()
    while epochs == 0 or time.perf_counter() - start < least:
        for _ in epoch():
            pass
        epochs += 1
    return epochs * n / (time.perf_counter() - start)


def largest_difference(theirs: Iterator[list[Tensor]], ours: Iterator[Tensor]) -> float:
    """Over all pixels, in shares of the full range before normalisation."""
    std = torch.tensor(STD).view(1, 3, 1, 1)
    pairs = zip(theirs, ours, strict=True)
    return max(float(((a - b).abs() * std).max()) for (a, _), b in pairs)


def compare(folder: Path, size: int, rounds: int) -> dict[str, float]:
    """Both sides at one size, in turns."""
    source = read_source(folder)
    loader = their_loader(folder, size)
    place = {name: i for i, name in enumerate(source.ids.tolist())}
    samples = datasets.ImageFolder(str(folder)).samples
    files = [Path(path).relative_to(folder) for path, _ in samples]
    order = np.array([place[file.as_posix()] for file in files])
    spec = InputSpec(size=size, channels=3, mean=MEAN, std=STD)

    buffer = torch.empty(BATCH, 3, size, size)

    def our_epoch() -> Iterator[Tensor]:
        for start in range(0, len(order), BATCH):
            batch = source.images[order[start : start + BATCH]]
            yield to_input(batch, spec, buffer[: len(batch)])

    difference = largest_difference(iter(loader), our_epoch())
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(rate(lambda: iter(loader), len(files), 0))
        ours.append(rate(our_epoch, len(files), LEAST_SECONDS))
        print(f"{size} px: {theirs[-1]:,.0f} / {ours[-1]:,.0f} images/s", file=sys.stderr)
    return {
        "imagefolder_images_per_s": round(median(theirs)),
        "fer_bench_images_per_s": round(median(ours)),
        "ratio": round(median(ours) / median(theirs), 1),
        "max_pixel_difference": difference,
    }


def load_times(source: Path) -> dict[str, float]:
    """Seconds to a usable data set: the first time, and (median of 3) from the cache."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        load_dataset(source)
        seconds.append(time.perf_counter() - start)
    return {
        "first_load_s": round(seconds[0], 3),
        "later_load_s": round(median(seconds[1:]), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="a data set's folder or zip of images")
    parser.add_argument("--n", type=int, default=4000, help="images on both sides")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="torch's threads on our side")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["FER_BENCH_CACHE"] = f"{temporary}/cache"
        folder = Path(temporary, "images")
        if asked.data:
            write_real(folder, asked.data, asked.n)
        else:
            write_drawn(folder, asked.n)
        sizes = {str(size): compare(folder, size, asked.rounds) for size in SIZES}
        loading = load_times(asked.data) if asked.data else {}
    seen = capture()
    print(
        json.dumps(
            {
                "benchmark": "data_path",
                "data": asked.data.name if asked.data else "synthetic",
                "n": asked.n,
                "batch": BATCH,
                "threads": asked.threads,
                "workers": WORKERS,
                **sizes,
                **loading,
                "cpu": seen.processor,
                "cpu_cores": seen.cpu_cores,
                "packages": seen.packages,
            }
        )
    )
    worst = max(side["max_pixel_difference"] for side in sizes.values())
    if worst > TOLERANCE:
        raise RunFailed(f"expected the same pixels to 1/255, got a difference of {worst:.5f}")


if __name__ == "__main__":
    main()
