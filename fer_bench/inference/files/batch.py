"""Many images through one predictor: found, read ahead, classified together, in flat memory."""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.files.archive import FolderTree
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many
from fer_bench.inference.files.images import IMAGE_SUFFIXES, read_image
from fer_bench.inference.files.kinds import begins_as_video
from fer_bench.inference.predictor import FacePrediction, Predictor

#: Files that a sentence about a folder names, before it says that there are more.
MOST_NAMED = 3
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".wmv", ".flv",
    ".3gp", ".mts", ".m2t", ".ts", ".vob", ".3g2", ".ogv", ".qt", ".asf", ".mpe", ".m2v", ".f4v",
)  # fmt: skip
#: How far reading runs ahead of detection: whichever is reached first.
AHEAD_FILES, AHEAD_BYTES = 8, 16 * 2**20
#: A batch is closed early when its images have so many pixels together (75 MB as RGB).
BATCH_PIXELS = 25_000_000


@dataclass(frozen=True, kw_only=True)
class Input:
    """A file to analyse.

    path: as the user would write it.
    name: relative to what all inputs have in common, so different for each.
    """

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        """Whether it begins as a video does; where it begins as neither, by its name."""
        return begins_as_video(self.path) or self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """An image, or one frame of a video, with its faces; or why there is none.

    image: what was analysed, uint8 `(H, W, 3)` RGB, upright; None where nothing could be read.
    faces: largest first; empty where the detector found none.
    tracks: of videos, a number for each face, from 1, that stays the same from frame to frame.
    frame, time_s: number from 0 and seconds in the video; None for images.
    backend: what the network ran on; None where nothing was analysed.
    unwritten: whether the error is about the annotated copy: what was asked for could be read.
    """

    path: Path
    image: NDArray[np.uint8] | None = None
    faces: tuple[FacePrediction, ...] = ()
    tracks: tuple[int, ...] = ()
    frame: int | None = None
    time_s: float | None = None
    backend: str | None = None
    error: str | None = None
    unwritten: bool = False


def predict_files(
    predictor: Predictor, paths: Iterable[Path], *, batch_size: int = 32, readers: int = 2
) -> Iterator[FileResult]:
    """The faces of image files, in the order given; an unreadable one is a result with its error.

    `readers` threads read ahead while the calling thread detects and classifies. At most
    `AHEAD_FILES` read images and one batch are alive at a time: use a result before taking the
    next, and do not collect their images.
    """
    for batch in batches(_read_ahead(paths, readers), batch_size):
        results = deque(_analysed(predictor, batch))
        batch.clear()
        while results:
            yield results.popleft()


def _analysed(predictor: Predictor, batch: Iterable[FileResult]) -> list[FileResult]:
    images = [one.image for one in batch if one.image is not None]
    found = iter(predictor.predict_batch(images))
    backend = predictor.classifier.backend.name
    return [
        one if one.image is None else replace(one, faces=next(found).faces, backend=backend)
        for one in batch
    ]


class HasImage(Protocol):
    """Something with an image, or None in its place."""

    @property
    def image(self) -> NDArray[np.uint8] | None: ...


AnyHasImage = TypeVar("AnyHasImage", bound=HasImage)


def batches(things: Iterable[AnyHasImage], batch_size: int) -> Iterator[deque[AnyHasImage]]:
    """Up to `batch_size` at a time, fewer where their images are large (`BATCH_PIXELS`)."""
    batch: deque[AnyHasImage] = deque()
    pixels = 0
    for thing in things:
        batch.append(thing)
        if thing.image is not None:
            pixels += thing.image.shape[0] * thing.image.shape[1]
        if len(batch) >= batch_size or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = deque(), 0
    if batch:
        yield batch


def _read_ahead(paths: Iterable[Path], readers: int) -> Iterator[FileResult]:
    waiting: deque[tuple[Future[FileResult], int]] = deque()
    with ThreadPoolExecutor(readers) as pool:
        try:
            for path in paths:
                waiting.append((pool.submit(_read, path), _size(path)))
                while len(waiting) >= AHEAD_FILES or sum(s for _, s in waiting) > AHEAD_BYTES:
                    yield waiting.popleft()[0].result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:  # the consumer may have gone
            for future, _ in waiting:
                future.cancel()


def _read(path: Path) -> FileResult:
    try:
        return FileResult(path=path, image=read_image(path))
    except FerBenchError as error:
        return FileResult(path=path, error=str(error))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def find_inputs(words: Sequence[str], *, leave_out: Sequence[Path] = ()) -> list[Input]:
    """The files that words on the command line mean, each once, in order.

    Args:
        words: files of any kind; folders (all images and videos in them and their subfolders, by
            name, hidden ones skipped); or globs such as `photos/**/*.jpg`.
        leave_out: files and folders that searches pass over: the output of an earlier call.

    Raises:
        FerBenchError: no such file (near names suggested), a folder that cannot be listed, or
            nothing found.
    """
    found: dict[Path, Path] = {}
    bases = []
    shunned = [path.resolve() for path in leave_out]
    for word in words:
        base, names, searched = _matches(word)
        home = base.resolve()
        bases.append(home)
        avoid = [path for path in shunned if searched and not home.is_relative_to(path)]
        for name in names:
            if not any((home / name).is_relative_to(path) for path in avoid):
                found.setdefault(home / name, base / name)
    if not found:
        raise FerBenchError(
            f"no image or video in {' '.join(words)}: expected files that end in "
            f"{', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}"
        )
    root = os.path.commonpath(bases)
    return [Input(path=path, name=whole.relative_to(root)) for whole, path in found.items()]


def passed_over(
    words: Sequence[str], inputs: Sequence[Input], *, leave_out: Sequence[Path] = ()
) -> list[str]:
    """One sentence for each folder among `words` that holds files which are no inputs.

    Args:
        words, leave_out: as `find_inputs` takes them.
        inputs: what that found.
    """
    known = {one.path.resolve() for one in inputs}
    shunned = [path.resolve() for path in leave_out]
    sentences = []
    for folder in (Path(word) for word in words if Path(word).is_dir()):
        others, hidden = [], 0
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            whole, steps = file.resolve(), file.relative_to(folder).parts
            if whole in known or any(whole.is_relative_to(path) for path in shunned):
                continue
            if any(step.startswith(".") for step in steps):
                hidden += 1
            else:
                others.append(file.name)
        reasons = []
        if others:
            shown = ", ".join(others[:MOST_NAMED]) + (", …" if len(others) > MOST_NAMED else "")
            reasons.append(f"{how_many(len(others), 'file')} neither image nor video ({shown})")
        if hidden:
            reasons.append(how_many(hidden, "hidden file"))
        if reasons:
            sentences.append(f"passed over in {folder}: {' and '.join(reasons)}")
    return sentences


def _matches(word: str) -> tuple[Path, list[str], bool]:
    """What a word means: a folder, names relative to it, and whether they came of a search."""
    path = Path(word)
    try:
        kind = path.stat().st_mode if word else 0
    except OSError as error:
        if glob.has_magic(word):
            return (*_globbed(word), True)
        raise FerBenchError(_not_there(path, error)) from None
    if stat.S_ISDIR(kind):
        try:
            return path, [name for name in FolderTree(path).names if _is_media(path, name)], True
        except OSError as error:
            raise FerBenchError(
                f"cannot list {error.filename or word}: {error.strerror}: leave it out or mend "
                "its permissions"
            ) from None
    if stat.S_ISREG(kind):
        return path.parent, [path.name], False
    raise FerBenchError(f"expected a file, a folder or a glob, got {word!r}: check the spelling")


def _globbed(pattern: str) -> tuple[Path, list[str]]:
    steps = Path(pattern).parts
    fixed = next(i for i, step in enumerate(steps) if glob.has_magic(step))
    base = Path(*steps[:fixed])
    # Unlike Path.glob it passes over hidden files, and `**` means files too.
    names = glob.iglob(  # noqa: PTH207
        str(Path(*steps[fixed:])), root_dir=base, recursive=True
    )
    return base, sorted(name for name in names if (base / name).is_file() and _is_media(base, name))


def _is_media(folder: Path, name: str) -> bool:
    known = name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    return known or begins_as_video(folder / name)


def _not_there(path: Path, error: OSError) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.exists()]  # not links to nowhere
        near = difflib.get_close_matches(path.name, names)
    except OSError:
        near = []
    hint = f"did you mean {' or '.join(repr(str(path.parent / name)) for name in near)}?"
    return f"cannot read {str(path)!r}: {error.strerror}: {hint if near else 'check the path'}"
