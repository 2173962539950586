"""`predict`: faces and emotions of images and videos."""

from __future__ import annotations

import io
import os
import shlex
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from fer_bench.backends.registry import BACKENDS
from fer_bench.cli.console import err, interruptible, progress_bars, say_step
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results
from fer_bench.errors import FerBenchError, RunFailed

if TYPE_CHECKING:
    from fer_bench.inference.files.batch import FileResult
    from fer_bench.inference.files.inputs import InputFile
    from fer_bench.inference.files.summary import BatchSummary
    from fer_bench.inference.files.writers import Report
    from fer_bench.inference.predictor import Predictor
    from fer_bench.results.store import ResultsStore
    from fer_bench.types import Progress

#: As a file's name: standard output.
DASH = Path("-")
#: So many unreadable inputs are named on the screen; the reports name all.
SHOWN = 20


def predict(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    paths: Annotated[
        list[str],
        typer.Argument(help="Images, videos, folders, globs such as 'a/**/*.jpg', or `camera`."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for annotated images and videos, summary.json and summary.txt."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="A row per face, as CSV; - is standard output.")
    ] = None,
    jsonl: Annotated[
        Path | None, typer.Option(help="A line per image or frame, as JSON; or -.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Annotated copy of the one video, as .mp4 or .mov.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Analyse every n-th frame of videos.")] = 1,
    detector: Annotated[str, typer.Option(help="haar, yunet, mediapipe or whole.")] = "haar",
    detector_file: Annotated[
        Path | None, typer.Option(help="The network of yunet or mediapipe.")
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
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Find the faces in images and videos and name their emotions.

    What cannot be read or written is reported and the rest goes on; exit code 1 if nothing could
    be. Ctrl-C and SIGTERM keep the rows so far.

    Example: python -m fer_bench predict default photos/ clip.mp4 --out annotated --csv faces.csv
    """
    stdout = sys.stdout  # itself, not what progress bars on a terminal put in its place
    outputs = _Outputs(out=out, csv=csv, jsonl=jsonl, video=video, as_json=as_json, sets=sets)
    outputs.require_one_on_stdout()
    if len(paths) == 1 and _is_camera(paths[0]):
        _watch_camera(paths[0], run, store, detector, backend)
        return
    with interruptible("what was finished is kept; start again for the rest") as interrupts:
        from fer_bench.inference.files.copies import AnnotatedImages, plan_outputs
        from fer_bench.inference.files.inputs import find_inputs
        from fer_bench.inference.files.summary import BatchSummary
        from fer_bench.inference.load import load

        left_out = [path for path in (out, video) if path is not None]
        given = find_inputs(paths, leave_out=left_out)
        inputs = given.files
        for sentence in given.passed_over:
            err.print(sentence, markup=False)
        copies = plan_outputs(inputs, out=out, video=video, reports=outputs.files)
        predictor = load(
            store.find(run),
            detector=detector,
            detector_file=detector_file,
            backend=backend,
            sets=sets,
        )
        emotions = predictor.classifier.emotions
        summary = BatchSummary()
        with (
            _writing_to(stdout),
            progress_bars() as progress,
            closing(_results(predictor, inputs, copies, every, progress)) as stream,
        ):
            images = AnnotatedImages(copies, emotions)
            with interrupts.held():  # a result stands in every output or in none
                written = (images.attempt(result) for result in interrupts.each(stream))
                _write(written, outputs, emotions, stdout, summary)
    err.print(summary.lines()[0], markup=False)
    _require_success(summary, copies, len(inputs))
    if not as_json:
        copied = f"open {shlex.quote(str(out))}"
        say_step(copied if out else "add `--out annotated` for copies with the faces named")


def _is_camera(word: str) -> bool:
    """Whether a word means a webcam, `camera` or a number, and no file."""
    return (word == "camera" or (word.isascii() and word.isdigit())) and not Path(word).exists()


def _watch_camera(word: str, run: str, store: ResultsStore, detector: str, backend: str) -> None:
    from fer_bench.inference.live.window import open_window, watch
    from fer_bench.inference.load import load

    with open_window(0 if word == "camera" else int(word)) as window:
        stored = store.find(run)
        watch(window, load(stored, detector=detector, backend=backend), mirror=True)


@dataclass(frozen=True, kw_only=True)
class _Outputs:
    """Where the results go, as the options say."""

    out: Path | None
    csv: Path | None
    jsonl: Path | None
    video: Path | None
    as_json: bool
    sets: float | None

    @property
    def files(self) -> list[Path]:
        """Names of reports, checked before anything is analysed."""
        from fer_bench.inference.files.summary import NAMES

        reports = [path for path in (self.csv, self.jsonl) if path and path != DASH]
        return reports + ([self.out / name for name in NAMES] if self.out else [])

    def require_one_on_stdout(self) -> None:
        """Refuses two reports on standard output, which would mix."""
        there = {"--csv -": self.csv == DASH, "--jsonl -": self.jsonl == DASH}
        there["--json"] = self.as_json
        named = [option for option, is_there in there.items() if is_there]
        if len(named) > 1:
            raise FerBenchError(
                f"standard output takes one report, got {' and '.join(named)}: name a file for "
                "the others"
            )

    def reports(self, stdout: TextIO, emotions: Sequence[str], stack: ExitStack) -> list[Report]:
        """The reports of rows, open until the stack ends."""
        from fer_bench.inference.files.writers import Csv, FileReport, JsonArray, JsonLines, Lines

        reports: list[Report] = []
        with_sets = partial(Csv, with_sets=self.sets is not None)
        kinds: tuple[tuple[Path | None, Callable[[TextIO, Sequence[str]], Report]], ...] = (
            (self.csv, with_sets),
            (self.jsonl, JsonLines),
        )
        for path, kind in kinds:
            if path == DASH:
                if isinstance(stdout, io.TextIOWrapper):  # names that are no Unicode
                    stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
                reports.append(kind(stdout, emotions))
            elif path is not None:
                reports.append(stack.enter_context(FileReport(path, kind, emotions)))
        if self.as_json:
            reports.append(stack.enter_context(JsonArray(stdout, emotions)))
        elif not (self.out or self.csv or self.jsonl or self.video):
            reports.append(Lines(stdout))
        return reports


def _write(
    results: Iterable[FileResult],
    outputs: _Outputs,
    emotions: Sequence[str],
    stdout: TextIO,
    summary: BatchSummary,
) -> None:
    """Each result into every report as it comes; what ends that early leaves the rows so far."""
    from fer_bench.formatting import how_many
    from fer_bench.inference.files.summary import summarised_in
    from fer_bench.inference.files.writers import FileReport

    reports: list[Report] = []
    try:
        with ExitStack() as stack:
            if outputs.out is not None:
                stack.enter_context(summarised_in(outputs.out, summary))
            reports += outputs.reports(stdout, emotions, stack)
            for result in results:
                summary.add(result)
                for report in reports:
                    report.write(result)
                _name_error(result, summary)
            summary.complete = True
    finally:
        if not summary.complete:
            for report in reports:
                if isinstance(report, FileReport) and report.n_written:
                    count = how_many(report.n_written, "result")
                    err.print(f"saved: {count} in {report.path}", markup=False)


def _require_success(summary: BatchSummary, copies: Collection[Path], n_inputs: int) -> None:
    """Raises RunFailed where nothing came of what was asked for."""
    from fer_bench.formatting import how_many

    if not summary.analysed:
        raise RunFailed(f"nothing could be read of {how_many(n_inputs, 'input')}")
    if summary.unwritten and len(summary.unwritten) >= min(
        len(copies), summary.images + summary.videos
    ):
        raise RunFailed(summary.unwritten[0])


def _results(
    predictor: Predictor,
    inputs: Sequence[InputFile],
    copies: Mapping[Path, Path],
    every: int,
    progress: Progress,
) -> Generator[FileResult, None, None]:
    """All results in the order of the inputs; neighbouring images share batches."""
    from fer_bench.inference.files.batch import predict_files

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
        # Tracking brings SciPy, which pictures need not wait for.
        from fer_bench.inference.video.faces import predict_video

        for path in paths:
            copy_to = copies.get(path)
            yield from predict_video(
                predictor, path, every=every, copy_to=copy_to, progress=progress
            )
            done += 1
            progress("files", done, len(inputs), {})


@contextmanager
def _writing_to(stdout: TextIO) -> Iterator[None]:
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


def _name_error(result: FileResult, summary: BatchSummary) -> None:
    if result.error is None or summary.errors > SHOWN + 1:
        return
    if summary.errors > SHOWN:
        err.print("… and more errors: see the rows and the summary")
        return
    kind = "written" if result.unwritten else "read"
    err.print(f"not {kind}: {result.error}", markup=False)
