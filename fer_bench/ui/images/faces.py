"""What was found in pictures, as pictures, tables and files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import chain, count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from fer_bench.formatting import escape, how_many, percent
from fer_bench.inference.detectors.base import BOX_COLUMNS
from fer_bench.ui.images.analysis import Result, Treatment, image_of
from fer_bench.ui.models import weights_changed

if TYPE_CHECKING:
    from fer_bench.inference.classifier import FaceClassifier
    from fer_bench.inference.predictor import FacePrediction

#: Longest side of what is shown, pixels; a file for download keeps the picture's own size, unless
#: that is more than JPEG holds.
SHOWN_SIDE = 960
THUMBNAIL_SIDE = 320
FACE_SIDE = 240
#: A picture on the page is at most this high, pixels.
SHOWN_HEIGHT = 480
JPEG_QUALITY = 90
COLUMNS = ("image", "face", "model", "emotion", "score")
#: What a `face_table` leaves to the file.
FILE_ONLY = (*BOX_COLUMNS, "detector_score")


def drawn(
    result: Result, treatment: Treatment, run: str, emotions: Sequence[str], side: int | None = None
) -> NDArray[np.uint8]:
    """A picture with its faces boxed and named by one model; several faces are numbered.

    Args:
        side: length to bring the longer side to, pixels; None keeps the picture's size.

    Returns:
        uint8 `(H, W, 3)` RGB.
    """
    from fer_bench.inference.drawing.faces import annotate, numbers

    image = image_of(result.picture, result.picture.key, treatment.adjustment)
    faces = result.analyses[run].faces
    if side is not None:
        factor = side / max(result.size)
        image = fitted(image, side)
        faces = tuple(replace(face, face=face.face.scaled(factor)) for face in faces)
    return annotate(image, faces, emotions, bars=False, names=numbers(faces))


def fitted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image whose longer side is `side` pixels."""
    factor = side / max(image.shape[:2])
    height, width = (max(round(n * factor), 1) for n in image.shape[:2])
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def preview(result: Result, treatment: Treatment, run: str, emotions: Sequence[str]) -> bytes:
    """`drawn` for the screen, as JPEG."""
    return _jpeg(drawn(result, treatment, run, emotions, SHOWN_SIDE))


@st.cache_data(max_entries=512, show_spinner=False)
def _thumbnail(
    _result: Result,
    key: str,
    treatment: Treatment,
    run: str,
    changed: tuple[int, ...],
    emotions: tuple[str, ...],
) -> bytes:
    return _jpeg(drawn(_result, treatment, run, emotions, THUMBNAIL_SIDE))


def thumbnail(result: Result, treatment: Treatment, run: str, emotions: Sequence[str]) -> bytes:
    """`drawn`, small, as JPEG; remembered, so that a gallery need not decode its pictures again."""
    changed = weights_changed(run)
    return _thumbnail(result, result.picture.key, treatment, run, changed, tuple(emotions))


def crop(
    result: Result, treatment: Treatment, number: int, run: str, classifier: FaceClassifier
) -> NDArray[np.uint8]:
    """Face `number` (from 0) as its model takes it: uint8 `(S, S, 3)` RGB."""
    image = image_of(result.picture, result.picture.key, treatment.adjustment)
    (cut,) = classifier.crops(image, [result.analyses[run].faces[number].face])
    return cut


@st.cache_data(max_entries=32, show_spinner=False)
def _heat(
    _crop: NDArray[np.uint8],
    _classifier: FaceClassifier,
    key: str,
    treatment: Treatment,
    number: int,
    run: str,
    changed: tuple[int, ...],
) -> tuple[NDArray[np.uint8], str]:
    from fer_bench.studies.explain.heat_map import explain, method_of, overlay_heat

    heat = explain(_classifier, _crop)
    shown = fitted(_crop, FACE_SIDE)
    height, width = shown.shape[:2]
    return overlay_heat(shown, cv2.resize(heat, (width, height))), method_of(_classifier)


def heat_map(
    result: Result, treatment: Treatment, number: int, run: str, classifier: FaceClassifier
) -> tuple[NDArray[np.uint8], str]:
    """Face `number` (from 0) under what the network looked at, and the method in words.

    Raises:
        FerBenchError: this kind of network cannot be explained.
    """
    cut = crop(result, treatment, number, run, classifier)
    key = result.picture.key
    return _heat(cut, classifier, key, treatment, number, run, weights_changed(run))


def shares(face: FacePrediction, emotions: Sequence[str]) -> dict[str, float]:
    """A face's probabilities by emotion."""
    return dict(zip(emotions, face.probabilities.tolist(), strict=True))


def shown_width(result: Result) -> int:
    """How wide a picture is on the page, pixels, so that a tall one is not higher than a screen."""
    width, height = result.size
    return max(round(min(SHOWN_SIDE, SHOWN_HEIGHT * width / height)), 1)


def timing_line(result: Result, run: str) -> str:
    """`512 × 512 px · 1 face · found in 24 ms, read in 6 ms`."""
    analysis = result.analyses[run]
    width, height = result.size
    parts = [f"{width:,} × {height:,} px", how_many(result.n_faces, "face")]
    if analysis.faces:
        found, read = analysis.detect_ms, analysis.classify_ms
        parts.append(f"found in {found:.0f} ms, read in {read:.0f} ms")
    return " · ".join(parts)


def face_table(results: Sequence[Result], emotions: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row per face and model; a picture without a face, or unreadable, is a row that says so.

    Args:
        emotions: of each model, by `dataset/run`.

    Returns:
        `image, face` (from 1), `model` (`dataset/run`), `emotion, score`, a `p_<emotion>` for
        every emotion that any model knows, the box `x, y, width, height` in pixels of the
        adjusted picture, `detector_score`, and `problem`, empty where there is none.
    """
    from fer_bench.inference.files.writers import face_row

    rows: list[dict[str, object]] = []
    for result in results:
        name = result.picture.name
        if not result.n_faces:
            rows.append({"image": name, "problem": result.error or "no face found"})
        for run, analysis in result.analyses.items():
            for number, face in enumerate(analysis.faces, start=1):
                row = face_row(number, face, emotions[run])
                rows.append({"image": name, "model": run, "problem": "", **row})
    known = dict.fromkeys(f"p_{emotion}" for names in emotions.values() for emotion in names)
    columns = [*COLUMNS, *known, *BOX_COLUMNS, "detector_score", "problem"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(("face", *BOX_COLUMNS), "Int64"))


def shown_columns(table: pd.DataFrame) -> list[str]:
    """Columns of a `face_table` for the page: problems early, boxes and empty columns left out."""
    hidden = {*FILE_ONLY} if table["model"].nunique() > 1 else {*FILE_ONLY, "model"}
    filled = table.replace("", None).notna().any()
    columns = dict.fromkeys([*COLUMNS, "problem", *map(str, table)])
    return [column for column in columns if filled[column] and column not in hidden]


def first_with_face(results: Sequence[Result]) -> int:
    """Which picture to open on; the first where no picture has a face."""
    return next((number for number, result in enumerate(results) if result.n_faces), 0)


def count_line(results: Sequence[Result]) -> str:
    """`12 pictures · 15 faces · 1 picture without a face · 1 unreadable`."""
    unreadable = sum(result.error is not None for result in results)
    without = sum(not result.error and not result.n_faces for result in results)
    parts = [
        how_many(len(results), "picture"),
        how_many(sum(result.n_faces for result in results), "face"),
    ]
    if without:
        parts.append(f"{how_many(without, 'picture')} without a face")
    if unreadable:
        parts.append(f"{unreadable:,} unreadable")
    return " · ".join(parts)


def verdict(result: Result) -> str:
    """What stands under a small picture, Markdown: its name and its largest face's emotion."""
    name = escape(shortened(result.picture.name))
    first = next(iter(result.analyses.values()))
    if not first.faces:
        return f"{name}  \nno face"
    more = f", {result.n_faces - 1:,} more" if result.n_faces > 1 else ""
    return f"{name}  \n{first.faces[0].emotion} {percent(first.faces[0].score)}{more}"


def shortened(name: str, length: int = 24) -> str:
    """A file's name of at most `length` characters; its end, which tells files apart, stays."""
    return name if len(name) <= length else f"{name[: length - 10]}…{name[-9:]}"


def annotated_files(
    results: Sequence[Result], treatment: Treatment, emotions: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, bytes]]:
    """Name and JPEG of every readable picture as every model sees it, one at a time."""
    from fer_bench.inference.history import LONGEST

    for result in results:
        side = LONGEST if max(result.size) > LONGEST else None
        for run in result.analyses:
            model = f"-{PurePosixPath(run).name}" if len(emotions) > 1 else ""
            name = f"{safe_stem(result.picture.name)}{model}-faces.jpg"
            yield name, _jpeg(drawn(result, treatment, run, emotions[run], side))


def safe_stem(name: str) -> str:
    """A foreign file's name without folders and ending, as part of a new file's name."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    return re.sub(r"[^\w.-]+", "_", stem).strip("._") or "picture"


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of files; a name that comes again gets a number."""
    buffer, used = BytesIO(), set[str]()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # JPEGs are compressed
        for name, content in files:
            stem, _, ending = name.rpartition(".")
            numbered = (f"{stem}-{number}.{ending}" for number in count(2))
            free = next(candidate for candidate in chain([name], numbered) if candidate not in used)
            used.add(free)
            archive.writestr(free, content)
    return buffer.getvalue()


def first_content(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The content of the only file."""
    return next(iter(files))[1]
