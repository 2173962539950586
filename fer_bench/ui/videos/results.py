"""What came of a video: its figures, what went wrong, and files to keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from fer_bench.formatting import escape, how_many, percent
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.ui.images.faces import safe_stem
from fer_bench.ui.videos.job import VideoJob, VideoReport
from fer_bench.ui.widgets import tiles


def figures(report: VideoReport) -> list[Tile]:
    """The last frame's time, persons and frames."""
    return [
        Tile(name="Analysed until", value=f"{report.times()[-1]:.1f} s"),
        Tile(name="Persons", value=f"{report.spans()['track'].nunique():,}"),
        Tile(name="Frames analysed", value=f"{len(report.frames):,}"),
        Tile(name="Without a face", value=percent(report.n_no_face / len(report.frames))),
    ]


def headline(job: VideoJob) -> str:
    """Which video it is, and whether it was read to its end."""
    end = ", cancelled: what was analysed until then" if job.is_cancelled else ""
    return f"{escape(job.report.name)}{end}"


def downloads(report: VideoReport, forget: Callable[[], None]) -> None:
    """Buttons for the table and the annotated copy, and one that deletes both."""
    stem = safe_stem(report.name)
    with st.container(horizontal=True, gap="small"):
        _download("Download CSV", report.table, f"{stem}-faces.csv", "text/csv")
        _download("Download annotated video", report.copy, f"{stem}-faces.mp4", "video/mp4")
        st.button("Forget", icon=":material/delete:", on_click=forget, help="Deletes both files.")


def _download(label: str, path: Path, name: str, kind: str) -> None:
    if path.exists():
        st.download_button(
            label,
            path.read_bytes,  # when asked for
            name,
            kind,
            icon=":material/download:",
            on_click="ignore",
        )


def verdict(report: VideoReport) -> str | None:
    """What to say where no face was found in any frame."""
    if not report.frames or report.n_no_face < len(report.frames):
        return None
    return (
        f"No face found in {how_many(len(report.frames), 'frame')} of {escape(report.name)}. "
        "Larger, frontal faces in good light are found best."
    )


def show_summary(job: VideoJob, forget: Callable[[], None]) -> None:
    """What video it was, what went wrong, its figures and its files."""
    report = job.report
    st.header(headline(job))
    for problem in report.problems:
        st.error(escape(problem), icon=":material/error:")
    if sentence := verdict(report):
        st.warning(sentence, icon=":material/face_retouching_off:")
    if report.frames:
        tiles(figures(report))
    downloads(report, forget)
