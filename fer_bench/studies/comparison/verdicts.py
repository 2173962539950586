"""What a comparison says, in sentences: who is better, what cannot be known, what to mind."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.formatting import how_many, percent
from fer_bench.results.record import RunRecord
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.studies.comparison.compare import Comparison
from fer_bench.studies.comparison.experiments import Experiment, ExperimentPair, RunPair
from fer_bench.studies.comparison.shared_images import SET_WORDS


def verdict(comparison: Comparison) -> str:
    """One sentence: whether the best run, or experiment with its seeds, is better than the rest."""
    if not comparison.has_seeds:
        return _verdict(comparison, comparison.pairs)
    if len(comparison.experiments) == 1:
        return _seeds_verdict(comparison, comparison.experiments[0])
    return _verdict(comparison, comparison.experiment_pairs)


def pair_verdict(comparison: Comparison, pair: RunPair | ExperimentPair) -> str:
    """One sentence about two of the comparison's runs or experiments."""
    evidence = _evidence(comparison, pair)
    if pair.significant:
        return (
            f"{pair.a} is better than {pair.b} by {points(pair.accuracy_difference)} points "
            f"({_interval(pair)}); a difference this large is unlikely to be chance ({evidence})"
        )
    start = f"{_these(comparison)} cannot tell {pair.a} and {pair.b} apart: "
    if isinstance(pair, RunPair) and pair.same_answer == 1:
        return f"{start}both give the same answer to each of them"
    if pair.accuracy_difference == 0:
        return f"{start}both are right equally often ({_interval(pair)} points; {evidence})"
    return (
        f"{start}{pair.a} is ahead by {points(pair.accuracy_difference)} points "
        f"({_interval(pair)}), which may be chance ({evidence})"
    )


def scope(comparison: Comparison) -> str:
    """What the verdict is about, and what it is not."""
    if not comparison.has_seeds:
        return (
            f"This is about {_these(comparison).lower()} and one training run of each: with "
            "another seed, or on other images, the order may change."
        )
    seeds = ", ".join(f"{one.name} {len(one.runs)}" for one in comparison.experiments)
    return (
        f"This is about {_these(comparison).lower()} and these training runs (seeds: {seeds}). "
        "Intervals are over the images, Welch's t-test is over the seeds; a side with one seed "
        "has no spread to test."
    )


def remarks(comparison: Comparison) -> list[str]:
    """What to keep in mind when reading the verdict; a sentence each."""
    shared = comparison.shared
    sentences = [
        f"{name} is not comparable with published numbers: {'; '.join(r.not_comparable_because)}."
        for name, r in zip(shared.names, shared.records, strict=True)
        if r.not_comparable_because
    ]
    sentences += _kinship(shared.names, shared.records)
    if any(r.spec.selection_split == shared.images for r in shared.records):
        sentences.append(
            "Checkpoints were chosen on these images, so the accuracies are flattering; test "
            "images are the better judge."
        )
    sentences += [
        f"{how_many(n, 'image')} of {name} that another run did not answer left out."
        for name, n in zip(shared.names, shared.left_out, strict=True)
        if n
    ]
    return sentences


def _kinship(names: Sequence[str], records: Sequence[RunRecord]) -> list[str]:
    """Ensembles next to their own members, students next to their teachers."""
    named = dict(zip((record.name for record in records), names, strict=True))
    sentences = []
    for name, spec in zip(names, (record.spec for record in records), strict=True):
        if isinstance(spec, EnsembleSpec):
            sentences += [
                f"{name} is an ensemble and {named[member]} one of its members: part of its "
                "answers are the member's own."
                for member in spec.ensemble
                if member in named
            ]
        elif isinstance(spec, RunSpec):
            sentences += [
                f"{name} was taught by {named[teacher]}: that they answer alike is no surprise."
                for teacher in spec.teachers
                if teacher in named
            ]
    return sentences


def _verdict(comparison: Comparison, pairs: Sequence[RunPair | ExperimentPair]) -> str:
    """About the leader, whom the first pairs are of."""
    if len(pairs) == 1:
        return pair_verdict(comparison, pairs[0])
    leader = pairs[0].a
    own = [pair for pair in pairs if pair.a == leader]
    beaten = [pair for pair in own if pair.significant]
    level = [pair.b for pair in own if not pair.significant]
    if not beaten:
        lead = points(own[0].accuracy_difference)
        least = min(pair.deciding_p for pair in own)
        return (
            f"{_these(comparison)} cannot tell {leader} from {_listed(level)}: it is ahead by "
            f"{lead} points or more, which may be chance (smallest {_p(least)}, Holm-corrected)"
        )
    by = _listed([f"{pair.b} by {points(pair.accuracy_difference)} points" for pair in beaten])
    most = max(pair.deciding_p for pair in beaten)
    sentence = (
        f"{leader} is better than {by}; differences this large are unlikely to be chance "
        f"(largest {_p(most)}, Holm-corrected)"
    )
    if level:
        sentence += f"; {_these(comparison).lower()} cannot tell it from {_listed(level)}"
    return sentence


def _seeds_verdict(comparison: Comparison, experiment: Experiment) -> str:
    """About the seeds of one experiment among themselves."""
    pairs = comparison.pairs
    least = min(pair.deciding_p for pair in pairs)
    spread = f"{percent(experiment.accuracy)} ± {points(experiment.accuracy_sd or 0.0)} points"
    corrected = f", Holm-corrected over {len(pairs)} pairs" if len(pairs) > 1 else ""
    evidence = f"{'smallest ' if len(pairs) > 1 else ''}McNemar {_p(least)}{corrected}"
    seeds = f"the {len(experiment.runs)} seeds of {experiment.name}"
    if not any(pair.significant for pair in pairs):
        return f"{_these(comparison)} cannot tell {seeds} apart: {spread} ({evidence})"
    return (
        f"{seeds[0].upper()}{seeds[1:]} differ by more than chance on these images: {spread} "
        f"({evidence}); that is the luck of a seed, not a better method"
    )


def _evidence(comparison: Comparison, pair: RunPair | ExperimentPair) -> str:
    """The test that decided, its p-value, and how many tests that was corrected for."""
    tests = len(comparison.pairs)
    words = f"McNemar {_p(pair.deciding_p)}"
    if isinstance(pair, ExperimentPair):
        if pair.test == "Welch":
            tests = sum(one.test == "Welch" for one in comparison.experiment_pairs)
            words = f"Welch {_p(pair.deciding_p)} over {pair.seeds_a} and {pair.seeds_b} seeds"
        else:
            words = f"largest {words} between their runs"
    return f"{words}, Holm-corrected over {tests} pairs" if tests > 1 else words


def _these(comparison: Comparison) -> str:
    shared = comparison.shared
    return f"These {len(shared.ids):,} {SET_WORDS[shared.images]} images"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def points(share: float) -> str:
    """A share as percentage points, `0.0193` as `1.9`, with a true minus."""
    if 0 < abs(share) < 0.0005:
        return "less than 0.1"
    return _number(share)


def points_interval(ends: tuple[float, float]) -> str:
    """An interval of shares in percentage points: `−0.3 to 1.9`."""
    low, high = ends
    return f"{_number(low)} to {_number(high)}"


def _number(share: float) -> str:
    return f"{round(share * 100, 1) + 0.0:.1f}".replace("-", "−")  # + 0.0: never -0.0


def _interval(pair: RunPair | ExperimentPair) -> str:
    return f"95 %: {points_interval(pair.accuracy_interval)}"
