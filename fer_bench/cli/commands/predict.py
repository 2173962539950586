"""`predict`: faces and emotions of images and videos; `fetch`: what that may need."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from fer_bench.backends.registry import BACKENDS
from fer_bench.cli.console import err, print_json, progress_bars
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results
from fer_bench.errors import FerBenchError, RunFailed, suggest

if TYPE_CHECKING:
    from fer_bench.inference.files.batch import FileResult, Input, Summary
    from fer_bench.inference.files.writers import Report
    from fer_bench.inference.predictor import Predictor
    from fer_bench.types import Progress

#: So many unreadable inputs are named on the screen; the reports name all.
SHOWN = 20


def predict(
    run: Annotated[str, typer.Argument(help="A run's name, its folder, or `default`.")],
    paths: Annotated[
        list[str], typer.Argument(help="Images, videos, folders, or globs such as 'a/**/*.jpg'.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for annotated images and videos.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="A row per face, as CSV.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="A line per image or frame, as JSON.")] = None,
    video: Annotated[
        Path | None, typer.Option(help="Annotated copy of the one video, as .mp4 or .mov.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Analyse every n-th frame of videos.")] = 1,
    detector: Annotated[str, typer.Option(help="haar, yunet or whole.")] = "haar",
    detector_file: Annotated[
        Path | None, typer.Option(help="The detector's network, for yunet.")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(BACKENDS)}; `auto` measures which is the fastest here that agrees "
            "with torch-fp32."
        ),
    ] = "auto",
    sets: Annotated[
        float | None,
        typer.Option(
            metavar="COVERAGE",
            help="Name as many emotions as hold the true one this often, such as 0.9.",
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Find the faces in images and videos and name their emotions.

    What cannot be read is reported and the rest goes on; exit code 1 if nothing could be read.

    Example: python -m fer_bench predict default photos/ clip.mp4 --out annotated --csv faces.csv
    """
    from fer_bench.evaluation.prediction_sets import require_level
    from fer_bench.inference.classifier import open_classifier
    from fer_bench.inference.detectors.base import make_detector
    from fer_bench.inference.files.batch import Summary, find_inputs
    from fer_bench.inference.files.writers import (
        AnnotatedImages,
        Csv,
        FileReport,
        JsonArray,
        JsonLines,
        plan_outputs,
    )
    from fer_bench.inference.predictor import Predictor
    from fer_bench.results.store import ResultsStore

    stdout = sys.stdout  # itself, not what progress bars on a terminal put in its place
    files = [path for path in (csv, jsonl) if path is not None]
    inputs = find_inputs(paths, leave_out=[p for p in (out, video) if p is not None])
    copies = plan_outputs(inputs, out=out, video=video, reports=files)
    stored = ResultsStore(results).find(run)
    finder = make_detector(detector, detector_file)  # before the model, which takes longer
    if sets is not None:
        require_level(sets)
    classifier = open_classifier(stored, backend)
    predictor = Predictor(classifier, finder, classifier.set_rule(sets) if sets else None)
    emotions = predictor.classifier.emotions
    summary = Summary()
    with _onto(stdout), ExitStack() as stack:
        reports: list[Report] = [AnnotatedImages(copies, emotions)]
        for path, kind in ((csv, partial(Csv, with_sets=sets is not None)), (jsonl, JsonLines)):
            if path is not None:
                reports.append(stack.enter_context(FileReport(path, kind, emotions)))
        if as_json:
            reports.append(stack.enter_context(JsonArray(stdout, emotions)))
        elif not (out or csv or jsonl or video):
            reports.append(_Lines(stdout))
        progress = stack.enter_context(progress_bars())
        for result in _results(predictor, inputs, copies, every, progress):
            summary.add(result)
            for report in reports:
                report.write(result)
            _name_error(result, summary)
    _print_summary(summary)
    if not summary.analysed:
        raise RunFailed(f"nothing could be read of {_count(len(inputs), 'input')}")


def fetch(
    what: Annotated[str, typer.Argument(help="`yunet`, the face detector's network (230 KB).")],
    as_json: Json = False,
) -> None:
    """Download what FER Bench can use but does not come with; checked by its SHA-256.

    Example: python -m fer_bench fetch yunet
    """
    from fer_bench.inference.detectors.yunet import fetch_yunet

    if what != "yunet":
        raise FerBenchError(f"unknown thing to fetch {what!r}: {suggest(what, ['yunet'])}")
    with progress_bars() as progress:
        file = fetch_yunet(progress)
    if as_json:
        print_json({"name": what, "file": str(file)})
    else:
        sys.stdout.write(f"{file}\n")


def _results(
    predictor: Predictor,
    inputs: Sequence[Input],
    copies: Mapping[Path, Path],
    every: int,
    progress: Progress,
) -> Iterator[FileResult]:
    """All results in the order of the inputs; neighbouring images share batches."""
    from fer_bench.inference.files.batch import predict_files
    from fer_bench.inference.files.video import predict_video

    started, done = time.perf_counter(), 0
    for is_video, group in groupby(inputs, key=lambda one: one.is_video):
        paths = [one.path for one in group]
        if not is_video:
            for result in predict_files(predictor, paths):
                yield result
                done += 1
                speed = done / (time.perf_counter() - started)
                progress("files", done, len(inputs), {"images_per_second": speed})
            continue
        for path in paths:
            copy_to = copies.get(path)
            yield from predict_video(
                predictor, path, every=every, copy_to=copy_to, progress=progress
            )
            done += 1
            progress("files", done, len(inputs), {})


@contextmanager
def _onto(stdout: TextIO) -> Iterator[None]:
    try:
        yield
        stdout.flush()
    except BrokenPipeError:  # the reader has gone, as with `| head`
        raise
    except OSError as error:
        # What it still holds would complain again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise RunFailed(
            f"cannot write the results to standard output: {error.strerror or error}: free some "
            "space or choose another place"
        ) from None


class _Lines:
    """One line per image or frame, for reading."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, result: FileResult) -> None:
        if result.error is not None:  # told on stderr
            return
        place = str(result.path).encode("utf-8", "backslashreplace").decode()
        if result.time_s is not None:
            place += f" at {result.time_s:.2f} s"
        faces = ", ".join(
            f"{face.emotion} {face.score:.0%}"
            + (f" of {{{' '.join(face.emotion_set)}}}" if face.emotion_set else "")
            for face in result.faces
        )
        # On a terminal through what the bars put in place of stdout, so that they stay below.
        file = sys.stdout if self._file.isatty() else self._file
        file.write(f"{place}: {faces or 'no face'}\n")


def _name_error(result: FileResult, summary: Summary) -> None:
    if result.error is None or summary.errors > SHOWN + 1:
        return
    if summary.errors > SHOWN:
        err.print("… and more that could not be read: see the rows with an error")
        return
    err.print(f"not read: {result.error}", markup=False)


def _print_summary(summary: Summary) -> None:
    analysed = [_count(summary.images, "image")] if summary.images else []
    analysed += [_count(summary.frames, "frame")] if summary.frames else []
    emotions = ", ".join(f"{emotion} {n:,}" for emotion, n in summary.emotions.most_common())
    parts = [
        _count(summary.faces, "face") + (f" ({emotions})" if emotions else ""),
        f"no face in {summary.no_face:,}",
        _count(summary.errors, "error"),
        f"{summary.images_per_second:,.1f} images/s",
    ]
    err.print(f"{' and '.join(analysed) or 'no image'}: {'; '.join(parts)}", markup=False)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
