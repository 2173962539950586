"""Two people who cross in a video, through the command: one number each in every output."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import face_fixtures
import numpy as np
import pytest
from command_fixtures import Fer
from face_fixtures import iou
from numpy.typing import NDArray

from fer_bench.inference.detectors.base import Box, DetectedFace
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.predictor import FacePrediction

RESULTS = Path(__file__).parents[3] / "results"
RATE, N_FRAMES, SIZE = 12, 36, (640, 360)


@dataclass(frozen=True)
class Walk:
    """Where a head goes and how large it is, from the first frame to the last; is it mirrored."""

    start: tuple[float, float, float]  # left, top, side
    end: tuple[float, float, float]
    mirrored: bool = False

    def head(self, number: int) -> tuple[int, int, int]:
        left, top, side = np.array(self.start) + np.subtract(self.end, self.start) * (
            number / (N_FRAMES - 1)
        )
        return round(left), round(top), round(side)

    def box(self, number: int) -> Box:
        """The face's box in a frame."""
        left, top, side = self.head(number)
        x, y, width, _ = face_fixtures.FACE
        head_left, head_top, head_side = face_fixtures.HEAD
        factor = side / head_side
        inner = head_side - (x - head_left) - width if self.mirrored else x - head_left
        width = round(width * factor)
        return round(left + inner * factor), round(top + (y - head_top) * factor), width, width


#: The one comes nearer, the other goes away: which is larger changes on the way.
WALKS = {
    "at different heights": (
        Walk((10, 10, 190), (490, 10, 140)),
        Walk((480, 200, 140), (0, 150, 190), mirrored=True),
    ),
    "one before the other": (
        Walk((20, 60, 160), (440, 60, 200)),
        Walk((450, 90, 150), (10, 90, 120), mirrored=True),
    ),
}


def picture(walks: tuple[Walk, ...], number: int) -> NDArray[np.uint8]:
    """A frame; the first of the heads is before the others."""
    left, top, side = face_fixtures.HEAD
    head = face_fixtures.astronaut()[top : top + side, left : left + side]
    image = np.full((SIZE[1], SIZE[0], 3), (90, 110, 130), np.uint8)
    for walk in reversed(walks):
        x, y, own = walk.head(number)
        shown = cv2.resize(head, (own, own), interpolation=cv2.INTER_AREA)
        shown = shown[:, ::-1] if walk.mirrored else shown
        room = image[max(y, 0) : y + own, max(x, 0) : x + own]
        room[:] = shown[: room.shape[0], : room.shape[1]]
    return image


def put_clip(path: Path, walks: tuple[Walk, ...]) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=Fraction(RATE), bit_rate=4_000_000)
        stream.width, stream.height = SIZE
        for number in range(N_FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(walks, number), "rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def persons_of(walks: tuple[Walk, ...], frames: list[dict[str, Any]]) -> dict[int, set[int]]:
    """The tracks that each person's face had, by the person's index; no other face is there."""
    tracks: dict[int, set[int]] = {i: set() for i in range(len(walks))}
    for frame in frames:
        for face in frame["faces"]:
            overlaps = [iou(tuple(face["box"]), walk.box(frame["frame"])) for walk in walks]
            assert max(overlaps) > 0.4, "a face where nobody is"
            if iou(*(walk.box(frame["frame"]) for walk in walks)) < 0.2:
                tracks[int(np.argmax(overlaps))].add(face["track"])
    return tracks


@pytest.mark.parametrize("how", WALKS)
def test_two_people_who_cross_keep_one_number_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fer: Fer, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    put_clip(Path("clip.mp4"), WALKS[how])
    words = ("predict", "default", "--results", RESULTS, "--backend", "torch-fp32", "--json")
    reports = ("--csv", "rows.csv", "--jsonl", "rows.jsonl", "--out", "out")
    code, out, err = fer(*words, "clip.mp4", *reports)
    assert code == 0, err
    frames = json.loads(out)
    assert [frame["frame"] for frame in frames] == list(range(N_FRAMES))

    one, other = persons_of(WALKS[how], frames).values()
    assert len(one) == len(other) == 1
    assert one != other

    in_json = [[face["track"] for face in frame["faces"]] for frame in frames]
    lines = Path("rows.jsonl").read_text().splitlines()
    assert [[face["track"] for face in json.loads(line)["faces"]] for line in lines] == in_json
    with Path("rows.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["face"]]
    assert [int(row["track"]) for row in rows] == [track for tracks in in_json for track in tracks]

    people = frames[-1]["people"]
    assert {person["track"] for person in people} == one | other
    assert json.loads(Path("out/summary.json").read_text())["people"] == {"clip.mp4": people}
    for person in people:
        seen = [frame for frame, t in zip(frames, in_json, strict=True) if person["track"] in t]
        assert person["frames"] == len(seen) > 0.7 * N_FRAMES
        assert (person["first_s"], person["last_s"]) == (seen[0]["time_s"], seen[-1]["time_s"])
        assert sum(person["emotions"].values()) == pytest.approx(1)

    with av.open("out/clip.mp4") as file:
        copies = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open("clip.mp4") as file:
        plain = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    swapped = [i for i, tracks in enumerate(in_json) if tracks == [2, 1]]
    assert swapped, "the smaller face is never the first"
    for i in (0, *swapped):
        faces = [drawable(face) for face in frames[i]["faces"]]
        emotions = list(frames[i]["faces"][0]["probabilities"])
        names = [str(track) for track in in_json[i]]
        right = annotate(plain[i], faces, emotions, names=names)
        wrong = annotate(plain[i], faces, emotions, names=names[::-1])
        assert apart(copies[i], right) < apart(copies[i], wrong)


def drawable(face: dict[str, Any]) -> FacePrediction:
    """A face of the JSON."""
    return FacePrediction(
        face=DetectedFace(box=tuple(face["box"])),
        emotion=face["emotion"],
        score=face["score"],
        probabilities=np.array(list(face["probabilities"].values())),
    )


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())
