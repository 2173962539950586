"""What commands refuse, leave out and say of labels: votes, numbers, persons, by their words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_fixtures import Fer
from data_fixtures import VOTES_HEADER, csv_rows, encoded, face, put, write_csv
from model_fixtures import SECOND_RUN, save_models
from table_fixtures import table

from fer_bench.emotions import FER2013, FERPLUS
from fer_bench.results.record import RunRecord

SHIPPED = Path(__file__).parents[2] / "results"
Rows = list[list[str]]
#: FER+'s without contempt, of which FER2013's own labels know nothing.
EMOTIONS = ",".join(FERPLUS[:-1])
SPEC = """
name: votes
pretraining: none
votes: {votes}
emotions: {emotions}
runs:
  - {{models: clip_vit_b_32, modes: full, recipes: {recipe}, epochs: 1,
     model_options: {{tiny: true}}}}
"""


def votes(rows: Rows) -> Rows:
    """Every third face is half sad; the others are what FER2013 says, by six votes to four."""
    table = []
    for i, (label, _, usage) in enumerate(rows):
        named, sad = FERPLUS.index(FER2013[int(label)]), FERPLUS.index("sad")
        counts = [0] * 10
        counts[named] += 6 if i % 3 else 5
        counts[sad] += 4 if i % 3 else 5
        table.append([usage, f"fer{i:07}.png", *map(str, counts)])
    return table


@pytest.fixture
def rows() -> Rows:
    return csv_rows(per_class=40, held=4)


@pytest.fixture(params=["train", "run"])
def start(request: pytest.FixtureRequest, fer: Fer, tmp_path: Path) -> Callable[..., Any]:
    """Starts a training on CSV rows and votes by either command; exit code, records, stderr."""

    def call(rows: Rows, table: Rows, mode: str, recipe: str = "finetune-5") -> Any:
        data = write_csv(tmp_path / "fer2013.csv", rows)
        file = write_csv(tmp_path / "votes.csv", table, VOTES_HEADER)
        common = ["--data", data, "--votes-file", file, "--results", tmp_path / "results", "--json"]
        common += ["--precision", "fp32", "--weights", "none"]
        if request.param == "run":
            spec = tmp_path / "spec.yaml"
            spec.write_text(SPEC.format(votes=mode, recipe=recipe, emotions=EMOTIONS))
            code, out, err = fer("run", spec, *common)
        else:
            words = ["--model", "clip_vit_b_32", "--recipe", recipe, "--epochs", "1"]
            words += ["--pretraining", "none", "--option", "tiny=true", "--votes", mode]
            words += ["--emotions", EMOTIONS]
            code, out, err = fer("train", *words, *common)
        return code, json.loads(out or "[]"), err

    return call


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda rows: rows[1:], "it has 336 rows, and the source 335"),
        (lambda rows: [*rows, rows[-1]], "it has 336 rows, and the source 337"),
        (lambda rows: sorted(rows, key=lambda row: row[2]), "do not follow the source's"),
        (
            lambda rows: [
                [*a[:2], b[2]] for a, b in zip([rows[-1], *rows[:-1]], rows, strict=True)
            ],
            "% of the labels of fer2013.csv from row",
        ),
    ],
    ids=["a row less", "a row more", "sorted", "shifted"],
)
def test_votes_of_other_rows_train_nothing(
    start: Callable[..., Any],
    rows: Rows,
    tmp_path: Path,
    spoil: Callable[[Rows], Rows],
    sentence: str,
) -> None:
    code, records, err = start(spoil(rows), votes(rows), "majority")
    assert (code, records) == (2, [])
    assert sentence in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("ignored", ["label_smoothing: 0.1", "mixup: 0.2", "cutmix: 1.0"])
def test_multi_target_refuses_what_its_loss_would_ignore(
    start: Callable[..., Any], rows: Rows, tmp_path: Path, ignored: str
) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"name: own\nepochs: 1\noptimizer: {{name: adam, lr: 0.01}}\n{ignored}\n")
    code, records, err = start(rows, votes(rows), "multi-target", str(recipe))
    assert (code, records) == (2, [])
    assert f"the loss of multi-target votes knows no {ignored.partition(':')[0]}" in err


@pytest.mark.parametrize("mode", ["majority", "soft-majority", "probability", "multi-target"])
def test_every_mode_validates_and_tests_by_majority(
    start: Callable[..., Any], rows: Rows, mode: str
) -> None:
    code, (record,), err = start(rows, votes(rows), mode)
    assert code == 0, err
    undecided = {
        usage: sum(r[2] == usage and i % 3 == 0 and r[0] != "4" for i, r in enumerate(rows))
        for usage in ("Training", "PublicTest", "PrivateTest")
    }  # of FER2013's own sad ones all ten votes are for sad
    sizes = record["dataset"]["split_sizes"]
    assert sizes["val"] == 28 - undecided["PublicTest"]
    assert sizes["test"] == 28 - undecided["PrivateTest"] == record["metrics"]["test"]["n"]
    soft = mode in ("probability", "multi-target")
    assert sizes["train"] == 280 - (0 if soft else undecided["Training"])


def test_persons_on_both_sides_of_ckplus_are_said_and_not_comparable(
    fer: Fer, tmp_path: Path
) -> None:
    names = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    sides = {"train": range(1, 9), "test": range(7, 11)}
    source = put(
        tmp_path / "ck",
        {
            f"{part}/{name}/S{person:03}_{label:03}_{part == 'test':08}.png": encoded(
                face(person * 50 + label)
            )
            for part, persons in sides.items()
            for person in persons
            for label, name in enumerate(names)
        },
    )
    words = ["train", "--model", "clip_vit_b_32", "--recipe", "finetune-5", "--epochs", "1"]
    words += ["--pretraining", "none", "--option", "tiny=true", "--data", source, "--json"]
    words += ["--precision", "fp32", "--weights", "none", "--results", tmp_path / "results"]
    code, out, err = fer(*words)
    assert code == 0, err
    (document,) = json.loads(out)
    record = RunRecord.model_validate(document)
    line = "2 persons of the test split stand in train or val too"
    assert line in err
    assert not record.comparable
    assert any("persons" in why for why in record.not_comparable_because)


@table(
    "command",
    [
        "score --template DATA",
        "verify default --data DATA --results SHIPPED",
        "export default --out OUT --faces 4 --data DATA --results OWN",
        "latency default --backend torch-fp32 --threads 1 --batch 1 --seconds 0.001 --data DATA "
        "--results OWN",
    ],
)
def test_every_command_takes_what_numbers_mean(fer: Fer, tmp_path: Path, command: str) -> None:
    """Numbers from 1 on say nothing by themselves."""
    files = {
        f"{part}/{number}/{i}.png": encoded(face(100 * number + i))
        for part in ("train", "test")
        for number in range(1, 8)
        for i in range(2)
    }
    save_models(tmp_path / "own", SECOND_RUN)
    places = {
        "DATA": put(tmp_path / "numbered", files),
        "OUT": tmp_path / "model.onnx",
        "OWN": tmp_path / "own",
        "SHIPPED": SHIPPED,
    }
    words = [places.get(word, word) for word in command.split()]
    code, _, refusal = fer(*words)
    assert (code, "--classes" in refusal) == (2, True)
    code, _, err = fer(*words, "--classes", "rafdb")
    assert code == (1 if "verify" in command else 0), err  # other data than the record's
