"""Encoded images to one array on disk: block by block, in a few threads, going on after a kill.

A first pass looks at the headers, for what the images have in common; a second one decodes. At any
time a few blocks are in memory, however many images there are.
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.cache import ArrayFile, pixel_hashes
from fer_bench.data.dataset import LeftOut, SourceData
from fer_bench.data.files.archive import Files
from fer_bench.data.files.decode import DECODE_ERRORS, Box, decode_face, peek, why_not
from fer_bench.data.journal import SUFFIX, Journal
from fer_bench.data.readers.registry import Reading
from fer_bench.errors import FerBenchError

#: The side that images of differing sizes are resized to unless another is given.
DEFAULT_SIZE = 224
#: Images that share a longer side are resized too: no recipe wants more than this.
MAX_SIDE = 1024
#: Images of a block, at most, and the bytes of their pixels together.
BLOCK, BLOCK_BYTES = 64, 2**24
#: Threads, at most, and the blocks under way for each. OpenCV decodes without Python's lock.
MAX_THREADS, AHEAD = 16, 2
#: Ids written at once.
IDS = 4096

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A face still encoded: `name` among the files, `box` to crop."""

    id: str
    name: str
    label: int
    part: str = ""
    box: Box | None = None


@dataclass(kw_only=True)
class _Block:
    """What became of samples up to `stop`; `lost` are positions and reasons.

    sizes (width, height; two tell that they differ), colour: of the first pass.

    Attributes:
        images, hashes: of the second; the images are None where an earlier process wrote them.
    """

    stop: int
    lost: list[tuple[int, str]] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    colour: bool = False
    images: NDArray[np.uint8] | None = None
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def note(self) -> dict[str, Any]:
        """The block without its images, for a journal."""
        return {
            "stop": self.stop,
            "lost": self.lost,
            "sizes": sorted(self.sizes)[:2],
            "colour": self.colour,
            "hashes": self.hashes.tobytes().hex(),
        }

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> _Block:
        return cls(
            stop=note["stop"],
            lost=[(position, reason) for position, reason in note["lost"]],
            sizes={(width, height) for width, height in note["sizes"]},
            colour=note["colour"],
            hashes=np.frombuffer(bytes.fromhex(note["hashes"]), np.uint64),
        )


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is to be read, by both passes. wanted: bool `(N,)`, False for samples lost already."""

    files: Files
    samples: Sequence[Sample]
    how: Reading
    wanted: NDArray[np.bool_]

    def identity(self, *facts: object) -> str:
        """SHA-256 over the samples and what else tells this work from another."""
        digest = hashlib.sha256(repr((*facts, self.how.image_size)).encode())
        digest.update(np.packbits(self.wanted).tobytes())
        for s in self.samples:
            digest.update(repr((s.id, s.name, s.label, s.part, s.box)).encode())
        return digest.hexdigest()

    def each(
        self, start: int, stop: int, read: Callable[[bytes, Box | None], Result], block: _Block
    ) -> Iterator[Result]:
        """What `read` makes of each sample; one that it cannot read is lost."""
        for position in range(start, stop):
            sample = self.samples[position]
            if not self.wanted[position]:
                continue
            try:
                pixels = read(self.files.read(sample.name), sample.box)
            except DECODE_ERRORS as error:
                block.lost.append((position, why_not(error)))
            else:
                yield pixels

    def lose(self, block: _Block, lost: list[LeftOut]) -> None:
        """Takes a block's lost samples out."""
        for position, reason in block.lost:
            self.wanted[position] = False
            lost.append(LeftOut(id=self.samples[position].id, reason=reason))


def read_images(
    files: Files,
    samples: Sequence[Sample],
    *,
    name: str,
    emotions: tuple[str, ...],
    how: Reading,
    left_out: Sequence[LeftOut] = (),
    numbering: Mapping[int, str] | None = None,
) -> SourceData:
    """Decodes all samples into one array; what cannot be decoded is left out and named.

    Images of one size keep it, up to `MAX_SIDE`; of differing sizes, or with `how.image_size`, they
    are resized to a square (plain, antialiased: faces are usually nearly square crops). Gray images
    stay gray unless any image is in colour, which makes the set RGB.

    What an earlier process left in `how.scratch` is checked and gone on with.

    Raises:
        FerBenchError: not one image could be read.
    """
    work = _Work(files=files, samples=samples, how=how, wanted=np.ones(len(samples), np.bool_))
    lost = list(left_out)
    shape = _look(work, lost)
    images, hashes = _decode(work, shape, lost)
    chosen = [sample for sample, wanted in zip(samples, work.wanted, strict=True) if wanted]
    return SourceData(
        name=name,
        source=files.path.name,
        images=images,
        labels=np.fromiter((s.label for s in chosen), dtype=np.int64, count=len(chosen)),
        ids=_write_ids(chosen, how.scratch / "ids.npy"),
        parts=np.array([s.part for s in chosen]),
        hashes=hashes,
        emotions=emotions,
        numbering=tuple(sorted((numbering or {}).items())),
        left_out=tuple(lost),
    )


def _look(work: _Work, lost: list[LeftOut]) -> tuple[int, ...]:
    """The shape that all images are brought to, by their headers; adds to `lost`."""
    sizes: set[tuple[int, int]] = set()
    colour = False

    def look(start: int, stop: int) -> _Block:
        block = _Block(stop=stop)
        for size, coloured in work.each(start, stop, peek, block):
            block.sizes.add(size)
            block.colour |= coloured
        return block

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for block in _blocks(work, "looking at images", look, BLOCK, work.identity("look")):
            work.lose(block, lost)
            sizes = set(sorted(sizes | block.sizes)[:2])
            colour |= block.colour
    if not work.wanted.any():
        raise _nothing_readable(work.files, lost)
    side = work.how.image_size or DEFAULT_SIZE
    alike = work.how.image_size is None and len(sizes) == 1 and max(max(sizes)) <= MAX_SIDE
    width, height = sizes.pop() if alike else (side, side)
    return (height, width, 3) if colour else (height, width)


def _decode(
    work: _Work, shape: tuple[int, ...], lost: list[LeftOut]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Writes `images.npy` and gives it, mapped, and its hashes; adds to `lost`."""
    read = partial(decode_face, size=(shape[1], shape[0]), colour=len(shape) == 3)

    def decode(start: int, stop: int) -> _Block:
        block = _Block(stop=stop)
        images = np.empty((stop - start, *shape), np.uint8)
        count = 0
        for image in work.each(start, stop, read, block):
            images[count] = image
            count += 1
        block.images = images[:count]
        block.hashes = pixel_hashes(block.images)
        return block

    size = max(1, min(BLOCK, BLOCK_BYTES // math.prod(shape)))
    hashes: list[NDArray[np.uint64]] = []
    file = ArrayFile(work.how.scratch / "images.npy", shape, "|u1", reopen=True)
    try:
        job = work.identity("decode", shape)
        for block in _blocks(work, "decoding images", decode, size, job, file.verify_next):
            if block.images is not None and len(block.images):
                file.append(block.images)
            hashes.append(block.hashes)
            work.lose(block, lost)
        if not work.wanted.any():
            raise _nothing_readable(work.files, lost)
        return file.finish(), np.concatenate(hashes)
    finally:
        file.discard()


def _blocks(
    work: _Work,
    stage: str,
    do: Callable[[int, int], _Block],
    size: int,
    job: str,
    verify: Callable[[NDArray[np.uint64]], bool] = lambda hashes: True,
) -> Iterator[_Block]:
    """All blocks in order: those of the journal that are verified, then the others once done.

    A block is noted when the next one is asked for, so when its images have been written.
    """
    n, done = len(work.samples), 0
    with Journal(work.how.scratch / f"{stage.split()[0]}{SUFFIX}", job) as journal:
        for note in journal.resume(lambda note: verify(_Block.from_note(note).hashes)):
            block = _Block.from_note(note)
            done = block.stop
            yield block
            work.how.progress(stage, done, n, {})
        for block in _in_order(do, done, n, size):
            yield block
            journal.add(block.note())
            work.how.progress(stage, block.stop, n, {})


def _in_order(do: Callable[[int, int], _Block], first: int, n: int, size: int) -> Iterator[_Block]:
    """`do(start, stop)` in threads from `first` to `n`, never more than a few blocks at once."""
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    under_way: deque[Future[_Block]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for start in range(first, n, size):
            under_way.append(pool.submit(do, start, min(start + size, n)))
            if len(under_way) == AHEAD * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_ids(samples: Sequence[Sample], path: Path) -> NDArray[np.str_]:
    """The ids as an array on disk, mapped: four bytes for each letter of the longest, per image."""
    dtype = f"<U{max((len(sample.id) for sample in samples), default=1) or 1}"
    file = ArrayFile(path, (), dtype)
    try:
        for start in range(0, len(samples), IDS):
            ids = [sample.id for sample in samples[start : start + IDS]]
            file.append(np.array(ids, dtype=dtype))
        return file.finish()
    finally:
        file.discard()


def _nothing_readable(files: Files, lost: Sequence[LeftOut]) -> FerBenchError:
    first = f"; the first, {lost[0].id}: {lost[0].reason}" if lost else ""
    return FerBenchError(
        f"no image of {files.path.name} could be read: expected JPEG or PNG faces{first}"
    )
