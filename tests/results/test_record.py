"""A record stands alone: it survives JSON, refuses what cannot be true, and reproduces its run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError
from record_fixtures import make_history, make_metrics, make_predictions, make_recipe, make_record
from table_fixtures import table

from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import FerBenchError
from fer_bench.results.parse import HISTORY_COLUMNS, PREDICTION_COLUMNS, parse_record
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.summary import COLUMNS, summary_table
from fer_bench.specs.recipe import load_recipe, recipe_names
from fer_bench.specs.run import RunSpec
from fer_bench.types import Mode


def stored(
    record: RunRecord | None, *, name: str = "a-run", problem: str | None = None
) -> StoredRun:
    return StoredRun(
        dataset="fer2013", name=name, folder=Path(name), record=record, problem=problem
    )


def changed(record: RunRecord, path: str, value: object) -> bytes:
    """The record's JSON with one value, named by dots, changed or added."""
    document = json.loads(record.model_dump_json())
    *parents, last = path.split(".")
    place = document
    for key in parents:
        place = place[key]
    place[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize("status", ["done", "failed", "running"])
def test_a_record_survives_json(status: str) -> None:
    record = make_record(status=status)
    assert parse_record(record.model_dump_json().encode()) == record


def test_the_fixtures_are_what_the_library_writes() -> None:
    predictions = make_predictions()
    assert list(make_history().columns) == list(HISTORY_COLUMNS)
    columns = [*PREDICTION_COLUMNS, *(f"p_{e}" for e in FER2013)]
    assert list(predictions.columns) == columns
    assert make_record().metrics == make_metrics(predictions, FER2013)
    assert make_record() == make_record()


def test_selecting_on_the_test_split_is_refused() -> None:
    with pytest.raises(ValidationError, match="choose the checkpoint on `val`"):
        RunSpec(model="resnet18", recipe=make_recipe(), selection_split="test")


@table(
    ("path", "value", "problem"),
    [
        ("schema_version", 2, "written by a newer FER Bench (schema 2, this one reads 1): "),
        ("colour", "red", "record.json has the unknown key 'colour'"),
        ("metrics.test.hits", 3, "record.json has the unknown key 'metrics.test.hits'"),
        ("spec.recipe.epoch", 3, "record.json has the unknown key 'spec.recipe.epoch'"),
        ("spec.selection_split", "test", "record.json: spec: the selection split and the test "),
        ("metrics", {}, "record.json: the document: a finished run needs its metrics, model and "),
        ("status", "finished", "record.json: status: Input should be 'running', 'done', 'failed'"),
        ("metrics.test.accuracy", None, "record.json: metrics.test.accuracy: Input should be a "),
        ("metrics.test.accuracy", 70.3, "record.json: metrics.test.accuracy: Input should be less"),
        ("metrics.test.ece", -0.1, "record.json: metrics.test.ece: Input should be greater"),
        ("started_at", "2026-11-30T10:00:00", "record.json: started_at: Input should have timezon"),
        ("dataset.split_sizes", {}, "record.json: dataset.split_sizes: expected train, val, test"),
        (
            "dataset.class_counts",
            {"train": {}, "val": {}},
            "record.json: dataset.class_counts: expected train, val, test, got no test",
        ),
        (
            "metrics.test.confusion",
            [[1, 2], [3]],
            "record.json: the document: expected per_class and confusion of metrics.test to be of",
        ),
        (
            "dataset.emotions",
            ["happy", "sad"],
            "record.json: the document: expected per_class and confusion of metrics.val to be of "
            "the emotions happy, sad",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_one_sentence(path: str, value: object, problem: str) -> None:
    found = parse_record(changed(make_record(), path, value))
    assert isinstance(found, str)
    assert found.startswith(problem)
    assert "\n" not in found


def test_a_newer_record_is_named_as_such_whatever_else_it_holds() -> None:
    document = json.loads(changed(make_record(), "schema_version", 7))
    document["new_part"] = {"anything": 1}
    found = parse_record(json.dumps(document).encode())
    assert "newer FER Bench (schema 7, this one reads 1)" in found


@table("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name": "x"'])
def test_what_is_no_record_is_one_sentence(text: bytes) -> None:
    found = parse_record(text)
    assert isinstance(found, str)
    assert found.startswith("record.json")


def test_a_failed_run_needs_its_error() -> None:
    found = parse_record(changed(make_record(status="failed"), "error", None))
    assert found == "record.json: the document: a failed run needs its error"


def test_summary_of_a_finished_run() -> None:
    record = make_record(seed=3, not_comparable_because=["synthetic data", "limit"])
    record = record.model_copy(update={"calibrated_ece": {"test": 0.02}})
    table = summary_table([stored(record)])
    assert list(table.columns) == list(COLUMNS)
    row = table.iloc[0]
    test = record.metrics["test"]
    assert row[["run", "dataset", "protocol", "model", "mode", "recipe"]].tolist() == [
        "a-run", "fer2013", "official", "resnet18", "full", "finetune-5",
    ]  # fmt: skip
    assert (row["test_accuracy"], row["ci_low"], row["ci_high"]) == (
        test.accuracy,
        *test.accuracy_ci95,
    )
    assert row["test_macro_f1"] == test.macro_f1
    assert (row["roc_auc"], row["ece"]) == (test.roc_auc, test.ece)
    assert row["calibrated_ece"] == 0.02
    assert row["val_accuracy"] == record.metrics["val"].accuracy
    assert row["test_accuracy_tta"] == record.metrics["test_tta"].accuracy
    assert row["test_clean_accuracy"] == record.metrics["test_clean"].accuracy
    assert (row["seed"], row["emotions"], row["input_size"], row["epochs"]) == (3, 7, 224, 5)
    assert (row["parameters"], row["flops"]) == (11_180_103, 3_640_000_000)
    assert (row["device"], row["hardware"], row["train_seconds"]) == ("cpu", "Test CPU (AVX2)", 300)
    assert not row["comparable"]
    assert row["why_not_comparable"] == "synthetic data; limit"
    assert row["finished_at"] == pd.Timestamp("2025-01-02 03:14:05", tz="UTC")


def test_summary_of_a_failed_run_has_no_numbers() -> None:
    row = summary_table([stored(make_record(status="failed"))]).iloc[0]
    assert row["status"] == "failed"
    assert row[["test_accuracy", "parameters", "epochs", "device", "hardware"]].isna().all()


def test_summary_names_the_gpu_that_trained() -> None:
    row = summary_table([stored(make_record(gpu="Test GPU"))]).iloc[0]
    assert (row["device"], row["hardware"]) == ("cuda", "Test GPU")


def test_summary_has_the_same_columns_and_types_with_and_without_runs() -> None:
    unreadable = stored(None, problem="record.json is not valid JSON")
    empty = summary_table([unreadable])
    full = summary_table([stored(make_record()), unreadable, stored(make_record(status="failed"))])
    assert (len(empty), len(full)) == (0, 2)
    numbers = full.select_dtypes(["number", "bool", "datetimetz"]).dtypes
    assert len(numbers) == 23
    assert empty.dtypes[numbers.index].to_dict() == numbers.to_dict()


def test_reproduce_command_says_everything_the_spec_says() -> None:
    record = make_record(
        model="timm:convnext_tiny",
        mode="lora",
        recipe=make_recipe(name="mine", epochs=3),
        protocol="kaggle",
        emotions=EXPRESSIO,
        pretraining="none",
        model_options={"input_size": 48, "tiny": True},
        seed=2,
        limit=100,
    )
    assert reproduce_command(record) == (
        "python -m fer_bench train --model timm:convnext_tiny --mode lora "
        f"--recipe results/fer2013/{record.name}/record.json "
        "--data fer2013.zip --protocol kaggle --pretraining none --seed 2 "
        "--emotions angry,happy,sad,surprise --option input_size=48 --option tiny=true "
        "--limit 100 --precision fp32"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "scratch-s0"),
        ({"tiny": True, "input_size": 48}, "scratch-tiny-48px-s0"),
        ({"width": 1.5, "depth": 2}, "scratch-width1.5-depth2-s0"),
        ({"lora_rank": 4, "tiny": False}, "scratch-lora-rank4-s0"),
    ],
)
def test_a_runs_name_tells_its_models_options(options: dict[str, int | float], words: str) -> None:
    record = make_record(model="resnet18", pretraining="none", model_options=options)
    assert record.name == f"resnet18-full-finetune-5-{words}"


@pytest.mark.parametrize(
    ("mode", "precision", "extractor", "expected"),
    [
        ("full", "auto", None, ["--precision", "fp32"]),
        ("full", "fp32", None, []),
        ("frozen", "auto", "openvino-fp32", ["--extractor", "openvino-fp32"]),
        ("zero-shot", "auto", None, []),
    ],
)
def test_reproduce_command_pins_what_a_stopwatch_chose(
    mode: Mode, precision: str, extractor: str | None, expected: list[str]
) -> None:
    recipe = make_recipe().model_copy(update={"precision": precision})
    record = make_record(mode=mode, recipe=recipe)
    training = record.training.model_copy(update={"extractor": extractor})
    words = shlex.split(reproduce_command(record.model_copy(update={"training": training})))
    options = ("--precision", "--extractor")
    found = [word for i, word in enumerate(words) if word in options or words[i - 1] in options]
    assert found == expected


def test_reproduce_command_names_what_was_chosen_beside_the_recipe() -> None:
    record = make_record()
    chosen = {"val_share": 0.25, "image_size": 64, "tta_views": 5}
    recipe = load_recipe("finetune-5").model_copy(update={"tta": "five-crop"})
    spec = record.spec.model_copy(update={**chosen, "recipe": recipe})
    command = reproduce_command(record.model_copy(update={"spec": spec}))
    assert " --recipe finetune-5 " in command
    assert " --val-share 0.25 --image-size 64 --tta-views 5" in command


def test_reproduce_command_names_votes() -> None:
    record = make_record()
    spec = record.spec.model_copy(update={"votes": "multi-target"})
    words = shlex.split(reproduce_command(record.model_copy(update={"spec": spec})))
    assert words[words.index("--votes") + 1] == "multi-target"


def test_reproduce_command_rounds_the_weights_as_the_run_did() -> None:
    record = make_record()
    assert "--weights" not in reproduce_command(record)
    halved = record.model.model_copy(update={"weights_dtype": "float16"})
    command = reproduce_command(record.model_copy(update={"model": halved}))
    assert command.endswith(" --weights float16")


@table("name", recipe_names())
def test_reproduce_command_says_epochs_only_where_they_deviate(name: str) -> None:
    recipe = load_recipe(name)
    assert "--epochs" not in reproduce_command(make_record(recipe=recipe))
    longer = recipe.model_copy(update={"epochs": recipe.epochs + 1})
    command = reproduce_command(make_record(recipe=longer))
    assert f" --recipe {name} --epochs {recipe.epochs + 1} " in command


def test_a_recipe_is_the_shipped_one_whatever_it_says_of_other_models() -> None:
    shipped = load_recipe("strong")
    other = shipped.model_copy(update={"learning_rates": {"vgg16": 0.3}})
    own = shipped.model_copy(update={"learning_rates": {"resnet18": 0.3}})
    assert " --recipe strong " in reproduce_command(make_record(model="resnet18", recipe=other))
    assert "record.json" in reproduce_command(make_record(model="resnet18", recipe=own))


def test_a_recipe_of_ones_own_comes_from_the_record_itself(tmp_path: Path) -> None:
    shipped = load_recipe("strong")
    changed = shipped.model_copy(update={"label_smoothing": 0.2})
    record = make_record(recipe=changed)
    place = f"results/fer2013/{record.name}/record.json"
    assert f" --recipe {place} --data " in reproduce_command(record)

    folder = ResultsStore(tmp_path / "results").save(record)
    assert load_recipe(str(folder / "record.json")) == changed
    (folder / "record.json").write_text("{}")
    with pytest.raises(FerBenchError, match="expected a run's record"):
        load_recipe(str(folder / "record.json"))
