"""The command line as its users meet it: exit codes, JSON on stdout, sentences on stderr."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from record_fixtures import make_record

from fer_bench.cli.commands.train import report
from fer_bench.cli.options import DEFAULT_RESULTS
from fer_bench.environment import dashboard_folder
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore, open_results

ROOT = Path(__file__).parents[2]


def test_help_names_every_command_and_imports_neither_torch_nor_pydantic():
    code = (
        "import sys; sys.argv = ['fer_bench', '--help']\n"
        "from fer_bench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'pydantic', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for command in ("list", "data", "run", "train", "evaluate", "compare", "results"):
        assert f" {command} " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("models", "resnet18"),
        ("datasets", "affectnet"),
        ("recipes", "strong"),
        ("emotions", "ferplus"),
    ],
)
def test_list_gives_names_and_summaries(fer, what, name):
    code, out, _ = fer("list", what, "--json")
    assert code == 0
    items = {item["name"]: item["summary"] for item in json.loads(out)}
    assert items[name]
    assert fer("list", what)[1].count("\n") == len(items)


def test_data_check_counts_per_split_and_class(fer):
    code, out, err = fer("data", "check", "synthetic", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["split_sizes"] == {"train": 224, "val": 28, "test": 28}
    assert found["counts"]["train"]["happy"] == 32
    assert "error" not in err


def test_data_audit_reports_exact_and_near_duplicates(fer):
    code, out, _ = fer("data", "audit", "synthetic", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["n"], found["n_distinct"]) == (280, 280)
    assert found["exact"]["n_groups"] == found["exact"]["n_held_out_in_train"] == 0


def test_the_held_out_share_the_images_size_and_the_views_are_options(fer, refused, tmp_path):
    common = ["--data", "synthetic", "--results", str(tmp_path), "--device", "cpu"]
    train = ["train", "--model", "clip_vit_b_32", "--recipe", "finetune-5", "--epochs", "1"]
    train += ["--pretraining", "none", "--option", "tiny=true", "--protocol", "kaggle"]
    chosen = ["--val-share", "0.25", "--image-size", "40", "--tta-views", "1"]
    code, out, err = fer(*train, *chosen, *common, "--json")
    assert code == 0, err
    (record,) = json.loads(out)
    sizes = record["dataset"]["split_sizes"]
    assert sizes["val"] / (sizes["train"] + sizes["val"]) == pytest.approx(0.25, abs=0.02)
    assert "test_tta" not in record["metrics"]
    assert record["name"].endswith("-1-views-scratch-tiny-kaggle-val0.25-data40px-s0")
    assert record["training"]["momentum"] == [0.9, 0.9]

    # The same images are held out when the run is evaluated; views can be chosen anew.
    evaluate = ["evaluate", record["name"], *common, "--split", "val", "--json"]
    code, out, err = fer(*evaluate, "--tta-views", "2")
    assert code == 0, err
    report = json.loads(out)
    assert (report["n"], report["tta"]) == (sizes["val"], "flip")
    assert fer(*evaluate, "--tta-views", "4")[0] == 2
    assert "val part of its own" in refused(*train[:-1], "official", *chosen, *common)


def test_train_evaluate_results_in_turn(fer, refused, tmp_path):
    common = ["--data", "synthetic", "--results", str(tmp_path), "--device", "cpu"]
    train = ["train", "--model", "clip_vit_b_32", "--mode", "full", "--recipe", "finetune-5"]
    train += ["--epochs", "1", "--pretraining", "none", "--option", "tiny=true", *common]

    code, out, _ = fer(*train, "--json")
    assert code == 0
    (record,) = json.loads(out)

    assert "already finished" in refused(*train)
    code, _, err = fer(*train, "--force")
    assert code == 0
    assert f"next: FER_BENCH_RESULTS={tmp_path}:" in err

    code, out, _ = fer("evaluate", record["name"], *common, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["accuracy"] == record["metrics"]["test"]["accuracy"]
    keys = "run split n n_left_out accuracy accuracy_ci95 accuracy_clean macro_f1 roc_auc ece"
    keys += " balanced_accuracy per_class confusion emotions tta"
    assert set(keys.split()) <= set(report)

    code, out, _ = fer("results", "--results", str(tmp_path), "--json")
    (row,) = json.loads(out)["runs"]
    assert (code, row["run"], row["comparable"]) == (0, record["name"], False)


def test_run_carries_out_a_benchmark_and_exits_1_if_a_run_failed(fer, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: two\ndata: synthetic\npretraining: none\nruns:\n"
        "- {models: clip_vit_b_32, modes: full, recipes: finetune-5, epochs: 1,"
        " model_options: {tiny: true}, limit: 10}\n"
        "- {models: keras_cnn, modes: full, recipes: finetune-5, epochs: 1,"
        " pretraining: ghost.pt, limit: 10}\n"
    )
    code, out, err = fer("run", str(spec), "--results", str(tmp_path / "r"), "--json")
    assert [r["status"] for r in json.loads(out)] == ["done", "failed"]
    assert code == 1
    assert "error: 1 of 2 runs failed: keras_cnn-full" in err
    assert "[1/2] clip_vit_b_32-full-finetune-5-1ep-scratch-tiny-limit10-s0: done" in err


def test_results_marks_the_default_run(fer, refused, tmp_path):
    ResultsStore(tmp_path).save(make_record())
    run = make_record().name
    code, _, _ = fer("results", "--results", str(tmp_path), "--default", run)
    assert code == 0
    assert ResultsStore(tmp_path).find("default").name == run
    near = refused("results", "--results", str(tmp_path), "--default", run[:-1])
    assert f"did you mean '{run}'" in near


@pytest.mark.parametrize(
    ("results", "hint"),
    [
        (DEFAULT_RESULTS, "next: streamlit run app.py"),
        ("my runs", "next: FER_BENCH_RESULTS='my runs:results' streamlit run app.py"),
        ("mine:results", "next: FER_BENCH_RESULTS=mine:results streamlit run app.py"),
    ],
)
def test_what_is_trained_elsewhere_is_shown_beside_the_shipped_runs(
    results, hint, monkeypatch, capsys
):
    monkeypatch.chdir(dashboard_folder())
    report([make_record()], False, open_results(results))
    assert capsys.readouterr().err.splitlines()[-1] == hint


def test_results_ranks_each_benchmark_by_itself(fer, tmp_path):
    store = ResultsStore(tmp_path)
    for name, accuracy, changes in (
        ("good", 0.9, {}),
        ("poor", 0.3, {}),
        ("easy", 0.95, {"emotions": ("happy", "sad")}),
        ("merged", 0.6, {"protocol": "kaggle", "not_comparable_because": ["limit"]}),
    ):
        store.save(make_record(name=name, accuracy=accuracy, **changes))
    code, out, _ = fer("results", "--results", str(tmp_path))
    assert code == 0
    groups = [block.splitlines() for block in out.split("\n\n")]
    assert [[line.split("/")[-1].split("  ")[0] for line in group] for group in groups[1:]] == [
        ["fer2013 · official · 7 emotions · data abababab", "good", "poor"],
        ["fer2013 · official · happy, sad · data abababab", "easy"],
        ["fer2013 · kaggle · 7 emotions · data abababab", "merged"],
    ]
    rows = json.loads(fer("results", "--results", str(tmp_path), "--json")[1])["runs"]
    assert [row["run"] for row in rows] == ["good", "poor", "easy", "merged"]
    assert rows[2]["benchmark"] == "fer2013 · official · happy, sad · data abababab"


def test_no_results_are_an_empty_list(fer, tmp_path):
    code, out, err = fer("results", "--results", str(tmp_path), "--json")
    assert (code, json.loads(out)) == (0, {"runs": [], "unreadable": {}})
    assert f"no runs in {tmp_path}" in err


def test_results_lists_unreadable_records_beside_the_others(fer, tmp_path):
    ResultsStore(tmp_path).save(make_record())
    broken = tmp_path / "fer2013" / "broken" / "record.json"
    broken.parent.mkdir()
    broken.write_text('{"name": ')
    code, out, _ = fer("results", "--results", str(tmp_path))
    assert code == 0
    assert "unreadable: fer2013/broken: " in out


PINNED = """
name: pinned
data: synthetic
pretraining: none
runs:
  - {models: clip_vit_b_32, modes: full, recipes: finetune-5, epochs: 1,
     model_options: {tiny: true}}
  - {models: clip_vit_b_32, modes: frozen, recipes: frozen-20, epochs: 1,
     model_options: {tiny: true}}
"""


def test_what_a_stopwatch_chooses_is_pinned_for_a_benchmark_and_by_each_records_command(
    fer, tmp_path, any_precision
):
    spec = tmp_path / "pinned.yaml"
    spec.write_text(PINNED)
    words = ["run", spec, "--precision", "bf16", "--extractor", "torch-bf16", "--json"]
    code, out, err = fer(*words, "--results", tmp_path / "a")
    assert code == 0, err
    for document in json.loads(out):
        record = RunRecord.model_validate(document)
        chosen = record.training.extractor or record.training.precision
        assert chosen in ("torch-bf16", "bf16")
        again = shlex.split(reproduce_command(record))[3:]
        assert again[-2:] in (["--precision", "bf16"], ["--extractor", "torch-bf16"])
        code, out, err = fer(*again, "--results", tmp_path / "b", "--json")
        assert code == 0, err
        (second,) = json.loads(out)
        assert second["metrics"] == document["metrics"]


def test_a_precision_that_a_recipe_contradicts_is_refused_before_any_run(refused, tmp_path):
    recipe = tmp_path / "fixed.yaml"
    recipe.write_text(
        "{name: fixed, epochs: 1, precision: fp32, optimizer: {name: adam, lr: 0.01}}"
    )
    spec = tmp_path / "pinned.yaml"
    spec.write_text(PINNED.replace("recipes: finetune-5", f"recipes: {recipe}"))
    said = refused("run", spec, "--precision", "bf16", "--results", tmp_path / "results")
    assert "says precision fp32, got --precision bf16" in said
    assert not (tmp_path / "results").exists()
