"""Annotated copies of pictures and videos: where each goes, and how pictures are written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.inputs import InputFile
from fer_bench.storage import finished_file, in_the_way, real_path, saving

#: Names that an annotated image keeps; others get `.png` behind theirs.
WRITTEN_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
#: Pixels; where none is given, they have room.
LARGEST_SIDES = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
#: Names that an annotated video keeps; others get `.mp4`. (Matroska counts whole milliseconds.)
WRITTEN_VIDEOS = (".mp4", ".m4v", ".mov")
QUALITY = 92


class AnnotatedImages:
    """A copy of each image with its faces drawn on it; frames of videos are not for it."""

    def __init__(self, targets: Mapping[Path, Path], emotions: Sequence[str]) -> None:
        self._targets = targets
        self._emotions = emotions

    def write(self, result: FileResult) -> None:
        """Writes the copy of one image.

        Raises:
            RunFailed: it has too many pixels for such a file, or the disk is full or not writable.
        """
        target = self._targets.get(result.path)
        if target is None or result.image is None or result.frame is not None:
            return
        from fer_bench.inference.drawing.faces import annotate, numbers

        drawn = annotate(result.image, result.faces, self._emotions, names=numbers(result.faces))
        largest = LARGEST_SIDES.get(target.suffix.lower(), max(drawn.shape))
        if max(drawn.shape) > largest:
            raise RunFailed(
                f"cannot write {target}: expected at most {largest:,} pixels a side in such a "
                f"picture, got {drawn.shape[1]}x{drawn.shape[0]}: make {result.path} smaller or "
                "rename it to .png"
            )
        with saving(target), finished_file(target) as temporary:
            Image.fromarray(drawn).save(temporary, quality=QUALITY)

    def attempt(self, result: FileResult) -> FileResult:
        """As `write`; where that fails, the result with its error."""
        try:
            self.write(result)
        except RunFailed as error:
            return replace(result, error=str(error), unwritten=True)
        return result


def plan_outputs(
    inputs: Sequence[InputFile],
    *,
    out: Path | None = None,
    video: Path | None = None,
    reports: Sequence[Path] = (),
) -> dict[Path, Path]:
    """Where the annotated copy of each input goes, by its path.

    Args:
        out: folder for copies of everything.
        video: name for the copy of the one video among the inputs.
        reports: other files that will be written.

    Raises:
        FerBenchError: one output would overwrite an input or another output, or one of those that
            were named cannot be made. (Of a copy in `out` that is said when it is written.)
    """
    copies = {} if out is None else _names_in(out, inputs)
    if video is not None:
        videos = [one.path for one in inputs if one.is_video]
        if len(videos) != 1:
            raise FerBenchError(
                f"--video takes the copy of one video, the inputs have {len(videos)}: name one "
                "video, or say --out FOLDER"
            )
        if video.suffix.lower() not in WRITTEN_VIDEOS:
            raise FerBenchError(
                f"cannot write a video as {video}: expected a name that ends in "
                f"{', '.join(WRITTEN_VIDEOS)}"
            )
        copies[videos[0]] = video
    named = [path for path in (video, *reports) if path is not None]
    _check_places(inputs, out, [*copies.values(), *reports], named)
    return copies


def _names_in(out: Path, inputs: Sequence[InputFile]) -> dict[Path, Path]:
    """A name in `out` for each input: the folders kept, no name twice."""
    taken: set[str] = set()
    names = {}
    for one in inputs:
        suffixes, other = (WRITTEN_VIDEOS, ".mp4") if one.is_video else (WRITTEN_IMAGES, ".png")
        suffix = one.name.suffix
        tail = suffix if suffix.lower() in suffixes else suffix + other
        name, number = one.name.with_suffix(tail), 1
        while str(name).casefold() in taken:  # a.gif next to a.gif.png, A.jpg next to a.jpg
            number += 1
            name = one.name.with_name(f"{one.name.stem}-{number}{tail}")
        taken.add(str(name).casefold())
        names[one.path] = out / name
    return names


def _check_places(
    inputs: Sequence[InputFile], out: Path | None, outputs: Sequence[Path], named: Sequence[Path]
) -> None:
    if out is not None and os.path.exists(out) and not out.is_dir():  # noqa: PTH110  # long names
        raise FerBenchError(f"--out {out} is a file: expected a folder")
    taken = {real_path(one.path): f"the input {one.path}" for one in inputs}
    for path in outputs:
        target = real_path(path)
        if target in taken:
            raise FerBenchError(
                f"{path} would overwrite {taken[target]}: choose another name or folder"
            )
        if path in named and (what := in_the_way(path)):
            raise FerBenchError(f"cannot write {path}: it is {what}; choose another name")
        taken[target] = f"the output {path}"
