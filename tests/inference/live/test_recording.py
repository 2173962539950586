"""A camera's frames as a video file, and a jump to a time of such a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_bench.inference.live import recording
from fer_bench.inference.live.recording import Recording
from fer_bench.inference.video.reader import VideoReader, read_frame

#: Seconds, uneven as a camera's are; the clock need not begin at 0.
TIMES = [100.0, 100.04, 100.1, 100.5, 101.25]


def gray(value: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return np.full((*size, 3), value, np.uint8)


@pytest.fixture
def recorded(tmp_path: Path) -> Recording:
    """Five frames, each 50 brighter than the one before."""
    made = Recording(tmp_path / "recording.mp4")
    for number, time_s in enumerate(TIMES):
        made.add(gray(50 * number), time_s)
    made.finish()
    return made


def test_frames_keep_their_times_and_pictures(recorded: Recording) -> None:
    assert recorded.problem is None
    assert not recorded.is_on
    assert recorded.seconds == pytest.approx(1.25)
    with VideoReader(recorded.path) as reader:
        frames = list(reader.frames())
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.1, 0.5, 1.25])
    levels = [frame.image().mean() for frame in frames]
    assert levels == pytest.approx([0, 50, 100, 150, 200], abs=3)


@pytest.mark.parametrize(
    ("time_s", "level"),
    [(-1.0, 0), (0.0, 0), (0.05, 50), (0.1, 100), (0.49, 100), (0.5, 150), (9.0, 200)],
)
def test_a_jump_shows_what_the_video_shows_at_that_time(
    recorded: Recording, time_s: float, level: int
) -> None:
    assert read_frame(recorded.path, time_s).mean() == pytest.approx(level, abs=3)


def test_frames_of_another_size_are_fitted_into_the_first(tmp_path: Path) -> None:
    made = Recording(tmp_path / "recording.mp4")
    made.add(gray(255), 0.0)
    made.add(gray(255, (96, 32)), 0.1)
    made.finish()
    with VideoReader(made.path) as reader:
        shapes = [frame.image().shape for frame in reader.frames()]
    assert shapes == [(48, 64, 3)] * 2


def test_it_ends_by_itself_and_takes_no_more(tmp_path: Path) -> None:
    made = Recording(tmp_path / "recording.mp4")
    made.add(gray(9), 0.0)
    made.add(gray(9), recording.LONGEST_S + 1)
    assert not made.is_on
    made.add(gray(9), 0.1)
    made.finish()
    with VideoReader(made.path) as reader:
        assert len(list(reader.frames())) == 1


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    made = Recording(tmp_path / "recording.mp4")
    made.finish()
    assert made.problem is None
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = Recording(tmp_path / "file" / "recording.mp4")
    made.add(gray(9), 0.0)
    made.finish()
    assert made.problem is not None
    assert made.problem.startswith(f"cannot write {made.path}: ")
