"""Building the cache and reading batches from it, against torchvision's ImageFolder + DataLoader.

Both sides have the same JPEG files, 224 px in colour as AffectNet's, and turn them into batches of
64 uint8 images in a random order. Theirs decodes with Pillow in worker processes, again in every
epoch; ours decodes them once into the cache and then gathers rows of it. Each side runs in a
process of its own, in turns, whose peak memory (its workers' included) is measured; the medians
count. Pixels of the two sides are compared, for the cache must not be faster by being wrong.

    python -m benchmarks.cache_build                          4,000 drawn pictures, 2 workers
    python -m benchmarks.cache_build --n 20000 --workers 8

The files are written under --folder, some 15 KB each, and the cache, 150 KB for each image. Measure
on an idle machine. Linux only. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from fer_bench.emotions import AFFECTNET
from fer_bench.environment import capture
from fer_bench.errors import RunFailed

SIDE, BATCH = 224, 64
#: Different pictures; the files repeat them.
PICTURES = 256
#: Two JPEG decoders may differ by so much in a pixel, of 255.
TOLERANCE = 4


def write_files(folder: Path, n: int) -> None:
    """Colour JPEG files as `folder/train/emotion/000012.jpg`."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(min(n, PICTURES)):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 28, 3), np.uint8))
        file = folder / f"{number}.jpg"
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, quality=90)
        pictures.append(file.read_bytes())
        file.unlink()
    for emotion in AFFECTNET:
        (folder / "train" / emotion).mkdir(parents=True)
    for number in range(n):
        name = f"{AFFECTNET[number % len(AFFECTNET)]}/{number:06}.jpg"
        (folder / "train" / name).write_bytes(pictures[number % PICTURES])


def their_epoch(folder: Path, workers: int) -> dict[str, float]:
    """ImageFolder + DataLoader as in torchvision's tutorials, uint8 as ours."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    files = datasets.ImageFolder(str(folder / "train"), transforms.PILToTensor())
    loader = DataLoader(files, BATCH, shuffle=True, num_workers=workers)
    return {"epoch_s": _seconds(iter(loader)), "n": len(files)}


def our_epochs(folder: Path) -> dict[str, float]:
    """The cache built, opened again, and gone through once in random order."""
    from fer_bench.data.load import read_source

    started = time.perf_counter()
    read_source(folder)
    built = time.perf_counter()
    built_peak = _peak(os.getpid())
    import torch  # which takes more memory than building

    opened_from = time.perf_counter()
    data = read_source(folder)
    opened = time.perf_counter()
    order = np.random.default_rng(0).permutation(len(data.labels))
    rows = (order[start : start + BATCH] for start in range(0, len(order), BATCH))
    epoch = _seconds(torch.as_tensor(data.images[here]) for here in rows)
    return {
        "build_s": built - started,
        "open_s": opened - opened_from,
        "epoch_s": epoch,
        "n": len(order),
        "build_peak_mib": built_peak,
        "bytes_on_disk": data.images.nbytes,
    }


def _seconds(batches: Iterator[object]) -> float:
    started = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - started


def _peak(process: int) -> float:
    """A process's peak memory in MiB, pages of the cache's map included."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def largest_difference(folder: Path) -> int:
    """Between Pillow's pixels and the cache's, over some images."""
    from fer_bench.data.load import read_source

    data = read_source(folder)
    some = range(0, len(data.labels), max(1, len(data.labels) // 50))
    return max(
        int(np.abs(np.asarray(Image.open(folder / data.ids[i]), np.int16) - data.images[i]).max())
        for i in some
    )


def side(name: str, folder: Path, workers: int, cache: Path) -> dict[str, float]:
    """One side in a process of its own, with the peak memory of it and its workers together."""
    words = [sys.executable, "-m", "benchmarks.cache_build", "--side", name]
    words += ["--folder", str(folder), "--workers", str(workers)]
    environment = {**os.environ, "FER_BENCH_CACHE": str(cache)}
    started = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while started.poll() is None:
        peak = max(peak, _together(started.pid))
        time.sleep(0.05)
    if started.returncode or started.stdout is None:
        raise RunFailed(f"the process of {name} ended with exit code {started.returncode}")
    measured: dict[str, float] = json.loads(started.stdout.read())
    return measured | {"peak_mib": peak}


def _together(process: int) -> float:
    """Memory of a process and its children now, MiB; pages that they share count once (Pss)."""
    total = 0.0
    tasks = Path(f"/proc/{process}/task/{process}/children")
    try:
        for one in [str(process), *tasks.read_text().split()]:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)
            total += int(found[1]) / 1024 if found else 0.0
    except OSError:
        pass  # it has just ended
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=4000, help="images on both sides")
    parser.add_argument("--workers", type=int, default=2, help="of their DataLoader")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files go; default: a temporary one")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        ours = asked.side == "ours"
        found = our_epochs(asked.folder) if ours else their_epoch(asked.folder, asked.workers)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        print(json.dumps(compare(Path(temporary), asked.n, asked.workers, asked.rounds)))


def compare(folder: Path, n: int, workers: int, rounds: int) -> dict[str, object]:
    """Both sides in turns, a new cache in each round."""
    files = folder / "images"
    files.mkdir()
    write_files(files, n)
    theirs, ours = [], []
    for number in range(rounds):
        theirs.append(side("theirs", files, workers, folder))
        ours.append(side("ours", files, workers, folder / f"cache-{number}"))
        print(f"round {number + 1}: {theirs[-1]} / {ours[-1]}", file=sys.stderr)
    os.environ["FER_BENCH_CACHE"] = str(folder / "cache-0")
    difference = largest_difference(files)
    if difference > TOLERANCE:
        raise RunFailed(f"expected the same pixels, got a difference of {difference} of 255")

    def middle(sides: list[dict[str, float]], figure: str) -> float:
        return median(one[figure] for one in sides)

    seen = capture()
    epoch, their = middle(ours, "epoch_s"), middle(theirs, "epoch_s")
    return {
        "benchmark": "cache_build",
        "n": n,
        "side": SIDE,
        "workers": workers,
        "imagefolder_images_per_s": round(n / their),
        "build_images_per_s": round(n / middle(ours, "build_s")),
        "cached_images_per_s": round(n / epoch),
        "ratio_build": round(their / middle(ours, "build_s"), 2),
        "ratio_cached": round(their / epoch, 1),
        "open_s": round(middle(ours, "open_s"), 3),
        "imagefolder_peak_mib": round(middle(theirs, "peak_mib")),
        "build_peak_mib": round(middle(ours, "build_peak_mib")),
        "bytes_on_disk_per_image": round(middle(ours, "bytes_on_disk") / n),
        "max_pixel_difference": difference,
        "cpu": seen.processor,
        "cpu_cores": seen.cpu_cores,
        "packages": seen.packages,
    }


if __name__ == "__main__":
    main()
