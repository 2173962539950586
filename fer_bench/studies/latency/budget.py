"""Which run for my budget: the most accurate one that is fast enough and knows every emotion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fer_bench.formatting import percent, three_digits
from fer_bench.results.leaderboard.rankings import ranking_key, ranking_names
from fer_bench.results.record import Metrics, RunRecord
from fer_bench.results.reports.latency import LatencyReport
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.titles import run_titles

NOT_COMPARABLE = "not comparable (drawn faces, or a part of the images)"
NOT_TESTED = "no result on the test images"
NOT_MEASURED = "not measured on this machine"
NO_FRAMES = "no whole frame measured on this machine"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The limits that a run must meet.

    Attributes:
        milliseconds: most at the median, above 0: of one face through the network (batch 1), or
            with `whole_frame` of a frame through detector, preprocessing and network.
        recall: least recall on the test images by emotion, in [0, 1]; other emotions may have any.
    """

    milliseconds: float
    whole_frame: bool = False
    recall: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A finished run, and its report of the machine in question; None where there is none.

    Attributes:
        name: `dataset/run`.
        title: what people call it, in the answer's sentence.
    """

    name: str
    title: str
    record: RunRecord
    report: LatencyReport | None


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The median of one face or frame, and what runs it.

    Attributes:
        agreement: share of faces given the same emotion as by fp32; None where it was not compared.
    """

    milliseconds: float
    backend: str
    threads: int
    machine: str
    agreement: float | None

    @property
    def per_second(self) -> float:
        """Faces or frames."""
        return 1000 / self.milliseconds


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A limit that a run misses.

    Attributes:
        limit: in words that are alike for all runs: `recall of fear under 50 %`.
        actual: what this run has instead: `its recall of fear is 43.0 % instead of 50 %`.
        shortfall: by how much, as a share of the limit; above 0.
    """

    limit: str
    actual: str
    shortfall: float


@dataclass(frozen=True, kw_only=True)
class Option:
    """A run that can be judged: how good, how fast, and what it misses."""

    name: str
    title: str
    metrics: Metrics
    speed: Speed
    misses: tuple[Miss, ...]

    @property
    def weakest(self) -> tuple[str, float]:
        """The emotion of the least recall among those with images, and that recall."""
        recalls = {e: one.recall for e, one in self.metrics.per_class.items() if one.support}
        return min(recalls.items(), key=lambda item: item[1])


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What fits a budget, and what became of the rest.

    Attributes:
        options: every run that can be judged: those that fit, best first, then the others, the
            least shortfall over all limits first.
        ruled_out: a limit in words -> how many runs miss it; one run may miss several.
        sentence: which run and why, or what comes closest.
    """

    options: tuple[Option, ...]
    ruled_out: dict[str, int]
    sentence: str

    @property
    def best(self) -> Option | None:
        """The run to take; None where none fits."""
        return next((one for one in self.options if not one.misses), None)


def candidates_by_benchmark(
    runs: Iterable[StoredRun], reports: Mapping[str, LatencyReport]
) -> dict[str, list[Candidate]]:
    """The finished runs of each benchmark that has a run to choose: measured, and comparable.

    Args:
        reports: `dataset/run` -> its report of the machine in question.

    Returns:
        by `results.leaderboard.rankings.ranking_names`, the one with most such runs first.
    """
    grouped: dict[str, list[Candidate]] = {}
    done = [run for run in runs if run.record and run.record.status == "done"]
    records = {run.id: run.require_record() for run in done}
    titles = run_titles(records)
    names = ranking_names(list(records.values()))
    for (name, record), ranking in zip(records.items(), names, strict=True):
        candidate = Candidate(
            name=name, title=titles[name], record=record, report=reports.get(name)
        )
        grouped.setdefault(ranking, []).append(candidate)
    usable = {
        name: sum(bool(one.report and one.record.comparable) for one in candidates)
        for name, candidates in grouped.items()
    }
    return {
        name: grouped[name]
        for name in sorted(grouped, key=lambda n: (-usable[n], n))
        if usable[name]
    }


def choose(candidates: Sequence[Candidate], budget: Budget) -> Recommendation:
    """The most accurate run on the test images within a budget; of equals, the faster one.

    Args:
        candidates: of one benchmark: numbers across benchmarks do not compare. Runs that stand in
            no ranking are ruled out.

    Raises:
        ValueError: candidates of several benchmarks.
    """
    if len({ranking_key(one.record) for one in candidates}) > 1:
        raise ValueError("expected runs of one benchmark, got several")
    options: list[Option] = []
    ruled_out = Counter[str]()
    for candidate in candidates:
        judged = _judge(candidate, budget)
        if isinstance(judged, str):
            ruled_out[judged] += 1
        else:
            options.append(judged)
            ruled_out.update(miss.limit for miss in judged.misses)
    options.sort(key=_order)
    return Recommendation(
        options=tuple(options),
        ruled_out=dict(ruled_out.most_common()),
        sentence=_sentence(options, budget) if options else _nothing_to_judge(ruled_out),
    )


def _order(option: Option) -> tuple[float, float, float]:
    """Sorts by shortfall, 0 for all that fit, then by accuracy, then by speed."""
    shortfall = sum(miss.shortfall for miss in option.misses)
    return shortfall, -option.metrics.accuracy, option.speed.milliseconds


def _judge(candidate: Candidate, budget: Budget) -> Option | str:
    """The run as an option, or why it cannot be one."""
    metrics = candidate.record.metrics.get("test")
    if not candidate.record.comparable:
        return NOT_COMPARABLE
    if metrics is None:
        return NOT_TESTED
    if candidate.report is None:
        return NOT_MEASURED
    speed = speed_of(candidate.report, whole_frame=budget.whole_frame)
    if speed is None:
        return NO_FRAMES if budget.whole_frame else NOT_MEASURED
    misses = [*_too_slow(speed, budget), *_too_weak(metrics, budget.recall)]
    return Option(
        name=candidate.name,
        title=candidate.title,
        metrics=metrics,
        speed=speed,
        misses=tuple(misses),
    )


def speed_of(report: LatencyReport, *, whole_frame: bool) -> Speed | None:
    """What `auto` takes for a face, or for a frame; None where that was not measured."""
    fastest = report.fastest()
    if fastest is None or fastest.milliseconds is None:
        return None
    milliseconds = fastest.milliseconds.median
    if whole_frame:
        what = (fastest.backend, fastest.threads)
        frames = [s.total.median for s in report.stages if (s.backend, s.threads) == what]
        if not frames:
            return None
        milliseconds = min(frames)
    return Speed(
        milliseconds=milliseconds,
        backend=fastest.backend,
        threads=fastest.threads,
        machine=report.machine,
        agreement=fastest.agreement.top1_agreement if fastest.agreement else None,
    )


def _too_slow(speed: Speed, budget: Budget) -> Iterator[Miss]:
    if speed.milliseconds <= budget.milliseconds:
        return
    if budget.whole_frame:
        least, has = three_digits(1000 / budget.milliseconds), three_digits(speed.per_second)
        limit = f"fewer than {least} frames per second"
        reason = f"it reaches {has} frames per second instead of {least}"
    else:
        most, takes = three_digits(budget.milliseconds), three_digits(speed.milliseconds)
        limit = f"slower than {most} ms per face"
        reason = f"it takes {takes} ms per face instead of {most}"
    yield Miss(limit=limit, actual=reason, shortfall=speed.milliseconds / budget.milliseconds - 1)


def _too_weak(metrics: Metrics, least: Mapping[str, float]) -> Iterator[Miss]:
    for emotion, wanted in least.items():
        known = metrics.per_class.get(emotion)
        recall = known.recall if known else 0.0
        if recall < wanted:
            minimum = _percent(wanted)
            has = f"is {_percent(recall)} instead of {minimum}"
            if known and not known.support:
                has = "is not measured, as no test image shows it"
            yield Miss(
                limit=f"recall of {emotion} under {minimum}",
                actual=f"its recall of {emotion} {has}",
                shortfall=1 - recall / wanted,
            )


def _percent(share: float) -> str:
    """`0.5` as `50 %`, `0.4321` as `43.2 %`."""
    return f"{round(share * 100, 1):g} %"


def _sentence(options: Sequence[Option], budget: Budget) -> str:
    """About the first of the options, which are in order and at least one."""
    first = options[0]
    if first.misses:
        *others, last = [miss.actual for miss in first.misses]
        faults = f"{', '.join(others)} and {last}" if others else last
        return f"No run fits; {first.title} comes closest: {faults}."
    n = sum(not option.misses for option in options)
    standing = "the only run that fits" if n == 1 else f"the most accurate of the {n} runs that fit"
    speed, (emotion, recall) = first.speed, first.weakest
    pace = (
        f"reaches {three_digits(speed.per_second)} frames per second"
        if budget.whole_frame
        else f"takes {three_digits(speed.milliseconds)} ms per face"
    )
    same = (
        "" if speed.agreement is None
        else f", answers as fp32 does on {_percent(speed.agreement)} of faces"
    )  # fmt: skip
    accuracy = percent(first.metrics.accuracy)
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    return (
        f"{first.title} is {standing}, with {accuracy} on the test images: "
        f"{speed.backend} {pace} with {threads} on {speed.machine}{same}, "
        f"and its weakest emotion is {emotion} with a recall of {percent(recall)}."
    )


def _nothing_to_judge(ruled_out: Mapping[str, int]) -> str:
    if not ruled_out:
        return "There is no run to choose from."
    reasons = ", ".join(f"{n} × {reason}" for reason, n in ruled_out.items())
    return f"No run can be judged: {reasons}."
