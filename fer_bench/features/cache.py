"""A fixed backbone's features of a data set: computed once, cached by content, memory-mapped."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from fer_bench import distributed
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.preprocess import to_input
from fer_bench.errors import RunFailed
from fer_bench.features.extractors import Extractor
from fer_bench.models.classifier import Classifier
from fer_bench.models.fingerprint import fingerprint
from fer_bench.settings import cache_dir
from fer_bench.storage import (
    checksum_of,
    digest_of,
    forgotten,
    key_of,
    read_json,
    saving_in_cache,
    write_atomically,
)
from fer_bench.types import Progress, Split, silent

#: Raised whenever the files' layout or the preprocessing changes, so that old entries are not used.
SCHEMA = 2
#: Images that go through the extractor at once.
BATCH_SIZE = 64
#: float32 `(n, V, D)` by split, memory-mapped: V = 1 (original) or 2 (original, mirrored); rows as
#: in `dataset.indices(split)`.
Features = dict[Split, NDArray[np.float32]]

#: Splits whose mirrored view is computed unless the caller says otherwise.
MIRRORED: tuple[Split, ...] = ("train",)


@dataclass(frozen=True, kw_only=True)
class NamedExtractor:
    """An extractor, made only when features are missing, and the name that goes into their key."""

    name: str
    make: Callable[[], Extractor]
    device: str = "cpu"

    @cached_property
    def run(self) -> Extractor:
        """The extractor itself; preparing it may take half a minute."""
        return self.make()


def extract_features(
    model: Classifier,
    dataset: FaceDataset,
    *,
    splits: Iterable[Split],
    extractor: NamedExtractor,
    cache_dir: Path,
    mirrored: Collection[Split] = MIRRORED,
    progress: Progress = silent,
) -> Features:
    """Features of whole splits, from the cache where it has them.

    An entry's key is the content: the images, their preprocessing, the backbone's weights and the
    extractor. An entry appears only when it is whole; what a killed process had done is taken up.
    Runs that ask for the same entry at once: one computes, the others wait. Several processes of
    one run take batches in turns, as one process would have them; the main one stores and returns
    the features, the others return none.

    Args:
        mirrored: splits whose left-right mirrored view is wanted too.

    Raises:
        FerBenchError: a split is empty, or `cache_dir` cannot be written.
        RunFailed: the backbone's features are not finite.
    """
    network = fingerprint(model.backbone, model.input_spec)
    features: Features = {}
    for split in splits:
        rows = dataset.indices(split)
        views = 2 if split in mirrored else 1
        shape = (len(rows), views, model.feature_size)
        entry = _Entry(cache_dir, _key(network, dataset, rows, extractor.name, shape), shape)
        with saving_in_cache("features", cache_dir):
            array = _load_or_build(entry, model, dataset, split, extractor, progress)
        if not distributed.is_main():
            continue
        if array is None:
            raise forgotten(cache_dir)
        features[split] = array
    return features


def _load_or_build(
    entry: _Entry,
    model: Classifier,
    dataset: FaceDataset,
    split: Split,
    extractor: NamedExtractor,
    progress: Progress,
) -> NDArray[np.float32] | None:
    """The entry's array, built where there is none; on the main process alone."""
    if distributed.is_main():
        entry.lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(entry.lock) if distributed.is_main() else nullcontext():
        array = entry.load() if distributed.is_main() else None
        if distributed.on_main(lambda: array is None):
            _build(entry, model, dataset, split, extractor, progress)
            array = entry.load() if distributed.is_main() else None
    return array


def _key(
    network: str,
    dataset: FaceDataset,
    rows: NDArray[np.int64],
    extractor: str,
    shape: tuple[int, int, int],
) -> str:
    facts = [SCHEMA, network, extractor, shape, dataset.images.shape[1:]]
    facts += [digest_of(dataset.hashes[rows])]
    if "int8" in extractor:  # calibrated on images of train, whichever split this is
        facts += [digest_of(dataset.hashes[dataset.indices("train")])]
    return key_of(facts)


class _Entry:
    """One cached array: `KEY.npy`, its checksum `KEY.json`, and `KEY.part` while it grows."""

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.array = folder / f"{key}.npy"
        self.checksum = folder / f"{key}.json"
        self.part = folder / f"{key}.part"
        self.lock = folder / f"{key}.lock"

    def load(self) -> NDArray[np.float32] | None:
        """The array, memory-mapped; None where there is none or it is damaged."""
        try:
            array: NDArray[np.float32] = np.load(self.array, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        checksum = {"sha256": checksum_of([self.array])}
        same = array.shape == self.shape and read_json(self.checksum) == checksum
        return array if same else None

    def header(self) -> bytes:
        """The .npy header of the whole array."""
        file = io.BytesIO()
        description = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, description)
        return file.getvalue()

    def finish(self) -> None:
        """Makes the whole `.part` the entry; the checksum first, so that no array lacks it."""
        checksum = {"sha256": checksum_of([self.part])}
        write_atomically({self.checksum: json.dumps(checksum).encode()})
        self.part.replace(self.array)


def _build(
    entry: _Entry,
    model: Classifier,
    dataset: FaceDataset,
    split: Split,
    extractor: NamedExtractor,
    progress: Progress,
) -> None:
    """Appends features to the entry's part, from where an earlier process stopped."""
    rows, count = dataset.indices(split), distributed.count()
    part = entry.part.open("a+b") if distributed.is_main() else nullcontext()
    with part as file:
        first = distributed.on_main(lambda: _resume(file, entry) if file else 0)
        started = time.perf_counter()
        for start in range(first, len(rows), BATCH_SIZE * count):
            mine = start + BATCH_SIZE * distributed.rank()
            faces = dataset.images[rows[mine : mine + BATCH_SIZE]]
            views = distributed.all_ranks(partial(_views, model, faces, extractor, entry.shape[1]))
            if file:
                file.write(b"".join(features.tobytes() for features in views))
                file.flush()
            done = min(start + BATCH_SIZE * count, len(rows))
            speed = (done - first) * entry.shape[1] / (time.perf_counter() - started)
            stage = f"features of {split} ({extractor.name})"
            progress(stage, done, len(rows), {"images_per_second": speed})
    if distributed.is_main():
        entry.finish()


def _resume(file: BinaryIO, entry: _Entry) -> int:
    """Whole batches (in rows) that the part already holds; what is torn after them is cut off."""
    header, row_bytes = entry.header(), 4 * entry.shape[1] * entry.shape[2]
    done = max(file.seek(0, 2) - len(header), 0) // row_bytes
    if done != entry.shape[0]:
        done -= done % BATCH_SIZE  # the same batches as without a break
    file.truncate(len(header) + done * row_bytes if done else 0)
    if not done:
        file.write(header)
    return done


def _views(
    model: Classifier, faces: NDArray[np.uint8], extractor: NamedExtractor, views: int
) -> NDArray[np.float32]:
    """float32 `(B, V, D)` of uint8 faces: as they are and, with two views, mirrored."""
    if not len(faces):
        return np.empty((0, views, model.feature_size), dtype=np.float32)
    x = to_input(torch.as_tensor(faces).to(extractor.device), model.input_spec)
    seen = [x, x.flip(-1)][:views]
    features = torch.stack([extractor.run(view) for view in seen], dim=1).float().cpu()
    if not torch.isfinite(features).all():
        raise RunFailed(
            f"the backbone of {model.request.name} gave features that are not finite: its weights "
            "are broken or its precision is too low; set the recipe's precision to fp32"
        )
    return features.numpy()


def feature_cache() -> Path:
    """Where features are stored, for all runs."""
    return cache_dir() / "features"
