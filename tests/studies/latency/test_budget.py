"""Which run for a budget: the most accurate that fits, why, and what comes closest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from latency_fixtures import LAPTOP, SERVER, make_report
from record_fixtures import make_record

from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.results.record import ClassMetrics
from fer_bench.results.reports.latency import LatencyReport
from fer_bench.studies.latency.budget import Budget, Candidate, Recommendation, choose


def candidate(
    name: str,
    accuracy: float,
    report: LatencyReport | None,
    recall: Mapping[str, float] | None = None,
    *,
    comparable: bool = True,
) -> Candidate:
    """A run whose recalls are 60 % unless told."""
    record = make_record(
        name=name, accuracy=0.5, not_comparable_because=[] if comparable else ["limit"]
    )
    recalls = {e: (recall or {}).get(e, 0.6) for e in FER2013}
    per_class = {
        e: ClassMetrics(precision=0.5, recall=r, f1=0.5, support=20) for e, r in recalls.items()
    }
    test = record.metrics["test"].model_copy(update={"accuracy": accuracy, "per_class": per_class})
    return Candidate(
        name=f"fer2013/{name}",
        title=name,
        record=record.model_copy(update={"metrics": {**record.metrics, "test": test}}),
        report=report,
    )


#: openvino-int8 is chosen: a tenth of eager's 20, 60 and 200 ms.
FAST = candidate("fast", 0.6, make_report(eager=20), {"fear": 0.4})
MIDDLE = candidate("middle", 0.7, make_report(eager=60), {"fear": 0.5, "disgust": 0.45})
SLOW = candidate("slow", 0.75, make_report(eager=200), {"fear": 0.55})
ALL = (FAST, MIDDLE, SLOW)


def names(answer: Recommendation) -> list[str]:
    return [option.title for option in answer.options if not option.misses]


@pytest.mark.parametrize(
    ("milliseconds", "fits"),
    [
        (100, ["slow", "middle", "fast"]),
        (20, ["slow", "middle", "fast"]),
        (19.9, ["middle", "fast"]),
        (2, ["fast"]),
        (1.9, []),
    ],
)
def test_the_most_accurate_run_within_the_milliseconds_is_best(
    milliseconds: float, fits: list[str]
) -> None:
    answer = choose(ALL, Budget(milliseconds=milliseconds))
    assert names(answer) == fits
    assert (answer.best.title if answer.best else None) == (fits[0] if fits else None)


def test_the_answer_says_why(same_sentence: Callable[[str], None]) -> None:
    answer = choose(ALL, Budget(milliseconds=10))
    same_sentence(answer.sentence)
    assert answer.ruled_out == {"slower than 10 ms per face": 1}
    only = choose(ALL, Budget(milliseconds=2))
    same_sentence(only.sentence)


def test_every_emotion_has_a_limit_of_its_own() -> None:
    answer = choose(ALL, Budget(milliseconds=10, recall={"fear": 0.45, "disgust": 0.4}))
    assert names(answer) == ["middle"]
    assert answer.ruled_out == {"slower than 10 ms per face": 1, "recall of fear under 45 %": 1}


def test_a_recall_on_the_limit_is_enough() -> None:
    assert names(choose([MIDDLE], Budget(milliseconds=10, recall={"fear": 0.5}))) == ["middle"]


def test_runs_may_miss_several_limits(same_sentence: Callable[[str], None]) -> None:
    answer = choose([FAST], Budget(milliseconds=1, recall={"fear": 0.5, "sad": 0.8}))
    assert answer.ruled_out == {
        "slower than 1 ms per face": 1,
        "recall of fear under 50 %": 1,
        "recall of sad under 80 %": 1,
    }
    same_sentence(answer.sentence)


def test_where_none_fits_the_least_shortfall_comes_closest(
    same_sentence: Callable[[str], None],
) -> None:
    answer = choose(ALL, Budget(milliseconds=5.5, recall={"fear": 0.5, "disgust": 0.45}))
    assert answer.best is None
    assert [option.title for option in answer.options] == ["middle", "fast", "slow"]
    same_sentence(answer.sentence)
    assert answer.options[0].misses[0].shortfall == pytest.approx(6 / 5.5 - 1)
    assert answer.options[1].misses[0].shortfall == pytest.approx(0.2)


def test_frames_count_the_detector_too(same_sentence: Callable[[str], None]) -> None:
    frame = Budget(milliseconds=1000 / 60, whole_frame=True)
    answer = choose(ALL, frame)  # 12.5 ms of detector and preprocessing, 1 ms besides
    assert names(answer) == ["fast"]
    same_sentence(answer.sentence)
    assert answer.ruled_out == {"fewer than 60 frames per second": 2}
    same_sentence(choose([SLOW], frame).sentence)


def test_of_equal_accuracy_the_faster_run_wins() -> None:
    twins = [candidate("a", 0.7, make_report(eager=60)), candidate("b", 0.7, make_report(eager=20))]
    assert names(choose(twins, Budget(milliseconds=10))) == ["b", "a"]


def test_what_cannot_be_judged_is_counted(same_sentence: Callable[[str], None]) -> None:
    report = make_report()
    bare = report.model_copy(update={"stages": []})
    unmeasured = report.model_copy(update={"chosen": {}})
    others = [
        candidate("part", 0.99, report, comparable=False),
        candidate("elsewhere", 0.99, None),
        candidate("nothing ran", 0.99, unmeasured),
        candidate("no frames", 0.99, bare),
    ]
    assert choose([*others, FAST], Budget(milliseconds=20, whole_frame=True)).ruled_out == {
        "not measured on this machine": 1,
        "no whole frame measured on this machine": 2,
        "not comparable (drawn faces, or a part of the images)": 1,
    }
    same_sentence(choose(others[1:3], Budget(milliseconds=20)).sentence)
    same_sentence(choose([], Budget(milliseconds=20)).sentence)


def test_a_run_without_a_test_split_is_no_candidate() -> None:
    record = FAST.record.model_copy(update={"metrics": {"val": FAST.record.metrics["val"]}})
    untested = Candidate(name="untested", title="untested", record=record, report=FAST.report)
    assert choose([untested], Budget(milliseconds=20)).ruled_out == {
        "no result on the test images": 1
    }


def test_an_emotion_that_a_run_does_not_know_is_never_recalled() -> None:
    answer = choose([FAST], Budget(milliseconds=20, recall={"contempt": 0.1}))
    assert "recall of contempt is 0 %" in answer.sentence


def test_an_emotion_without_test_images_has_no_recall_to_judge() -> None:
    test = FAST.record.metrics["test"]
    unseen = {"disgust": ClassMetrics(precision=0, recall=0, f1=0, support=0)}
    metrics = test.model_copy(update={"per_class": test.per_class | unseen})
    record = FAST.record.model_copy(update={"metrics": {"test": metrics}})
    unjudged = replace(FAST, record=record)
    answer = choose([unjudged], Budget(milliseconds=20, recall={"disgust": 0.1}))
    assert "recall of disgust is not measured, as no test image shows it" in answer.sentence


def test_benchmarks_do_not_mix() -> None:
    record = make_record(emotions=EXPRESSIO)
    four = Candidate(name="four", title="four", record=record, report=make_report())
    with pytest.raises(ValueError, match="expected runs of one benchmark, got several"):
        choose([FAST, four], Budget(milliseconds=20))


def test_the_speed_is_that_of_the_machine_given() -> None:
    laptop = candidate("run", 0.6, make_report(cpu=LAPTOP, eager=50, chosen="openvino-bf16"))
    best = choose([laptop], Budget(milliseconds=10)).best
    assert best is not None
    assert (best.speed.backend, best.speed.milliseconds) == ("openvino-bf16", 6.25)
    assert best.speed.machine == f"{LAPTOP} (AMX), 2 cores" != f"{SERVER} (AMX), 2 cores"


def test_the_weakest_emotion_is_one_that_the_test_holds() -> None:
    one = choose([FAST], Budget(milliseconds=100)).options[0]
    unseen = one.metrics.per_class["sad"].model_copy(update={"recall": 0.0, "support": 0})
    metrics = one.metrics.model_copy(update={"per_class": one.metrics.per_class | {"sad": unseen}})
    assert replace(one, metrics=metrics).weakest == ("fear", 0.4)
