"""A small part of the corpus of damaged inputs; `python -m benchmarks.damaged_inputs` reads all."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.damaged_inputs import Outcome, judge
from benchmarks.damaged_kinds import KINDS, Kind
from fer_bench.errors import FerBenchError

#: Inputs of each kind that are read here.
BY_HAND, DRAWN = 4, 6


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_whole_input_is_accepted(kind: Kind) -> None:
    assert [judge(kind, files) for files in kind.examples()] == [
        Outcome(what="accepted") for _ in kind.examples()
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_damaged_input_ends_in_one_sentence_or_in_a_valid_value(kind: Kind) -> None:
    inputs = (*islice(kind.by_hand(), BY_HAND), *kind.drawn(DRAWN))
    outcomes = {label: judge(kind, files) for label, files in inputs}
    assert {label: one for label, one in outcomes.items() if one.what == "fault"} == {}
    assert "refused" in {one.what for one in outcomes.values()} or kind.name in {
        "cache",
        "kept images",
    }


def test_the_same_seed_makes_the_same_inputs_and_another_seed_others() -> None:
    for kind in (KINDS["record"], KINDS["zip"]):
        first, second, other = (
            [files for _, files in kind.drawn(DRAWN, seed)] for seed in (0, 0, 1)
        )
        assert first == second != other


def read_badly(error: BaseException) -> Kind:
    def read(folder: object) -> None:
        raise error

    return Kind(name="bad", examples=list, read=read)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (FerBenchError("one sentence"), "refused"),
        (FerBenchError("two\nlines"), "fault"),
        (FerBenchError(""), "fault"),
        (FerBenchError("long " * 1000), "fault"),
        (FerBenchError("not to be written: \ud800"), "fault"),
        (KeyError("a"), "fault"),
        (MemoryError(), "fault"),
    ],
)
def test_only_one_sentence_counts_as_refused(error: BaseException, what: str) -> None:
    assert judge(read_badly(error), {}).what == what
