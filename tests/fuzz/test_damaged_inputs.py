"""What FER Bench makes of damaged and hostile inputs of every kind: a sentence, or a valid value.

Each input is read as the commands read it. It counts as *refused* where that ends in one sentence
(`FerBenchError`), as *accepted* where there is a valid value nevertheless, and as a *fault* where
anything else comes of it. `pytest -m fuzz tests/fuzz --damaged 100` reads a hundred drawn inputs of
each kind, and all that were written by hand; the same number draws the same ones.
"""

from __future__ import annotations

import traceback
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from command_fixtures import Fer
from damage_examples import ROOT
from damaged_kinds import KINDS, Files, Kind
from damaged_readers import own_cache

from fer_bench.errors import FerBenchError

#: Inputs of each kind that are read unless more are asked for.
BY_HAND, DRAWN = 4, 6
LONGEST_SENTENCE = 1000
#: The words that read such an input in the folder where they are run.
COMMANDS = {
    "image": "predict default . --detector whole --backend torch-fp32 --json --results "
    f"{ROOT / 'results'}",
    "zip": "data check fer2013.zip",
    "record": "results --results results",
    "recipe": "train --model compact_resnet --recipe recipe.yaml --data none.zip",
    "sweep": "run sweep.yaml --data none.zip",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an input; `words` are the sentence or the fault."""

    what: Literal["accepted", "refused", "fault"]
    words: str = ""


def judge(kind: Kind, files: Files) -> Outcome:
    """Reads an input from a folder of its own, with a cache of its own."""
    with TemporaryDirectory(prefix="fer-bench-damaged-") as name:
        folder = Path(name) / "input"
        write(folder, files)
        cache = folder if (folder / "cache").exists() else Path(name)
        try:
            with own_cache(cache), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind.read(folder)
        except FerBenchError as error:
            return _sentence(str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a fault
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            return Outcome(what="fault", words=f"{type(error).__name__} at {where}: {error!s:.300}")
    return Outcome(what="accepted")


def _sentence(text: str) -> Outcome:
    if not text or len(text.splitlines()) > 1 or len(text) > LONGEST_SENTENCE:
        return Outcome(what="fault", words=f"not one sentence: {text!r:.300}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Outcome(what="fault", words=f"a sentence that cannot be written: {text!r:.300}")
    return Outcome(what="refused", words=text)


def write(folder: Path, files: Files) -> None:
    folder.mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_whole_input_is_accepted(kind: Kind) -> None:
    assert [judge(kind, files) for files in kind.examples()] == [
        Outcome(what="accepted") for _ in kind.examples()
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_damaged_input_ends_in_one_sentence_or_in_a_valid_value(
    kind: Kind, request: pytest.FixtureRequest
) -> None:
    more = request.config.getoption("damaged")
    inputs = kind.inputs(more) if more else (*islice(kind.by_hand(), BY_HAND), *kind.drawn(DRAWN))
    outcomes = {label: judge(kind, files) for label, files in inputs}
    assert {label: one for label, one in outcomes.items() if one.what == "fault"} == {}
    assert "refused" in {one.what for one in outcomes.values()} or kind.name in {
        "cache",
        "kept images",
    }


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_says_what_is_wrong_with_a_damaged_input(
    kind: str,
    fer: Fer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, (label, files) in enumerate(KINDS[kind].drawn(DRAWN)):
        write(tmp_path / str(number), files)
        monkeypatch.chdir(tmp_path / str(number))
        code, _, said = fer(*COMMANDS[kind].split())
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert code == 0 or (code in (1, 2) and len(errors) == 1), f"{label}: {code}, {said}"


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
        (FerBenchError("a name\nof two lines"), "refused"),  # it is on one by then
        (FerBenchError(""), "fault"),
        (FerBenchError("long " * 1000), "fault"),
        (FerBenchError("not to be written: \ud800"), "fault"),
        (KeyError("a"), "fault"),
        (MemoryError(), "fault"),
    ],
)
def test_only_one_sentence_counts_as_refused(error: BaseException, what: str) -> None:
    assert judge(read_badly(error), {}).what == what
