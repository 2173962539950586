"""Who showed what, and when: spans of a video's faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.people import People, Span
from fer_bench.inference.predictor import FacePrediction


def frame(time_s: float, **shown: str) -> FileResult:
    """One analysed frame; `shown` are emotions by track: `p1="happy"`."""
    faces = [
        FacePrediction(
            face=DetectedFace(box=(0, 0, 9, 9)),
            emotion=emotion,
            score=1.0,
            probabilities=np.ones(1),
        )
        for emotion in shown.values()
    ]
    tracks = tuple(int(name[1:]) for name in shown)
    return FileResult(path=Path("v.mp4"), faces=tuple(faces), tracks=tracks, time_s=time_s, frame=0)


@pytest.fixture
def people() -> People:
    """Two people, of whom the first changes, and the second goes and comes again."""
    made = People()
    for shown in (
        frame(0.0, p1="happy", p2="sad"),
        frame(1.0, p1="happy", p2="sad"),
        frame(2.0, p1="angry"),
        frame(2.5, p2="sad", p1="angry"),
    ):
        made.add(shown)
    return made


def test_a_span_ends_with_the_emotion_or_when_the_person_goes(people: People) -> None:
    assert people.spans() == [
        Span(1, "happy", 0.0, 2.0),
        Span(1, "angry", 2.0, 3.0),
        Span(2, "sad", 0.0, 2.0),
        Span(2, "sad", 2.5, 3.0),
    ]
    assert [span.seconds for span in people.spans()] == [2.0, 1.0, 2.0, 0.5]


def test_shares_are_those_of_the_spans(people: People) -> None:
    first, second = people.document()
    assert first["emotions"] == {"happy": 2 / 3, "angry": 1 / 3}
    assert second["emotions"] == {"sad": 1.0}
    assert (first["changes"], second["changes"]) == (1, 0)


def test_asking_changes_nothing(people: People) -> None:
    assert people.spans() == people.spans()
    people.add(frame(3.0, p1="angry"))
    assert people.spans()[1] == Span(1, "angry", 2.0, 3.5)


def test_nobody_has_no_spans() -> None:
    empty = People()
    empty.add(frame(0.0))
    assert empty.spans() == []
