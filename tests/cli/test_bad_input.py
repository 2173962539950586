"""Bad input through the command line: one sentence, exit code 2, no output, nothing lost.

The sentences are in `test_bad_input.txt`; here stands the word of each that matters.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from data_fixtures import class_files, csv_row, csv_rows, face, kaggle_files, put, write_csv, zipped
from record_fixtures import make_record
from table_fixtures import table

from fer_bench.results import store as storing
from fer_bench.results.store import ResultsStore

RECIPE = "name: quick\nepochs: 1\nbatch_size: 8\nprecision: fp32\ntta: none\n"
ENTRY = (
    "name: s\ndata: synthetic\npretraining: none\nruns:\n"
    "- {models: clip_vit_b_32, modes: full, recipes: finetune-5, epochs: 1%s}\n"
)


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., list[object]]:
    """The words of a `train` that takes a blink, with more words behind them."""
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(RECIPE)

    def words(*more: object, data: object = "synthetic") -> list[object]:
        fixed = ["train", "--model", "clip_vit_b_32", "--recipe", recipe, "--data", data]
        fixed += ["--pretraining", "none", "--option", "tiny=true", "--limit", "8", "--json"]
        return [*fixed, "--results", tmp_path / "results", *more]

    return words


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:300])
    return path


@table(
    ("make", "word"),
    [
        (lambda at: put(at, {"x.zip": b"no zip"}) / "x.zip", "is not a zip"),
        (lambda at: cut(zipped(at / "x.zip", kaggle_files())), "is cut short"),
        (lambda at: put(at / "d", {"hapy/1.png": b""}), "'hapy' of d is no emotion"),
        (lambda at: put(at / "d", {"zz/1.png": b""}), "known: afraid"),
        (lambda at: put(at / "d", {"readme.txt": b"x"}), "no images"),
        (lambda at: put(at / "d", class_files(["happy"], 30)), "one class happy"),
        (
            lambda at: put(at / "d", class_files(["train/sad", "test/sad", "test/happy"], 20)),
            "no training image of happy",
        ),
        (lambda at: put(at / "d", class_files(["test/sad", "test/happy"], 20)), "train split"),
        (lambda at: write_csv(at / "f.csv", [["3", "1 2 3", "Training"]]), "2,304 pixels"),
        (lambda at: put(at, {"f.csv": b"\xff\xfe\x00"}) / "f.csv", "cannot be read as CSV"),
        (lambda at: put(at, {"f.csv.xz": b"\xfd7zXZ"}) / "f.csv.xz", "is packed in a way that"),
        (lambda at: at / "ghost", "does not exist"),
        (lambda at: "~nobody-of-that-name/fer2013.zip", "does not exist"),
    ],
)
def test_data_that_cannot_be_trained_on(refused, train, tmp_path, make, word):
    assert word in refused(*train(data=make(tmp_path)))
    assert not (tmp_path / "results").exists()


def test_an_empty_source_is_not_the_current_folder(refused):
    assert "the data source '' does not exist" in refused("data", "check", "")


def test_the_current_folder_has_a_name(fer, tmp_path, monkeypatch):
    monkeypatch.chdir(put(tmp_path / "faces", class_files(["happy", "sad"], 20)))
    assert json.loads(fer("data", "check", ".", "--json")[1])["source"] == "faces"


def test_damaged_samples_are_named_counted_and_left_out(fer, tmp_path):
    rows = [*csv_rows(), csv_row(face(1)[:, :-1], 3, "Training"), ["3", "a b", "Training"]]
    for source, left_out in (
        (
            put(tmp_path / "faces", kaggle_files() | {"train/sad/broken.jpg": b"\xff\xd8 no more"}),
            ["train/sad/broken.jpg"],
        ),
        (write_csv(tmp_path / "fer2013.csv", rows), ["row 112", "row 113"]),
    ):
        code, out, err = fer("data", "check", source, "--json")
        found = json.loads(out)
        assert code == 0
        assert found["split_sizes"] == {"train": 84, "val": 14, "test": 14}
        assert [sample["id"] for sample in found["left_out"]] == left_out
        assert fer("data", "check", source)[2].count("left out: ") == len(left_out), err


@pytest.mark.parametrize("place", ["with space", "Gesichter_ÄÖ_表情", "link"])
def test_odd_but_good_paths_work(fer, train, tmp_path, monkeypatch, place):
    source = put(tmp_path / "faces", class_files(["happy", "sad"], 20))
    if place == "link":
        (tmp_path / place).symlink_to(source, target_is_directory=True)
    else:
        source.rename(tmp_path / place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for spelling in (place, f"./{place}", tmp_path / place, f"~/{place}"):
        code, out, err = fer("data", "check", spelling, "--json")
        assert code == 0, err
        assert json.loads(out)["n_images"] == 40


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Faces (new)", "my-faces-new"),
        ("Gesichter_ÄÖ", "gesichter_ao"),
        ("_faces", "faces"),
        ("表情", "faces-c762ed"),
    ],
)
def test_a_folder_of_any_name_can_be_trained_on(fer, train, tmp_path, folder, name):
    source = put(tmp_path / folder, class_files(["happy", "sad"], 20))
    code, out, err = fer(*train(data=source))
    assert code == 0, err
    (record,) = json.loads(out)
    assert (record["dataset"]["name"], record["dataset"]["source"]) == (name, folder)
    assert (tmp_path / "results" / name / record["name"] / "record.json").is_file()


@table(
    ("text", "word"),
    [
        (RECIPE + "label_smothing: 0.1\n", "did you mean 'label_smoothing'"),
        ("nam: x\n", "did you mean 'name'"),
        (RECIPE + "schedule: {name: cosine, warmup_epochs: 1}\n", "warm-up"),
        (RECIPE + "schedule: {name: cosin}\n", "schedule.name"),
        (RECIPE + "optimizer: {lr: .inf}\n", "finite number"),
        (RECIPE + "augmentation: {scale: [2, 1]}\n", "low <= high"),
        (RECIPE + "head: [0]\n", "head.0"),
        (RECIPE + "modes: []\n", "modes"),
        (RECIPE + "emotions: [happy, sadd]\n", "unknown emotion 'sadd'"),
        (RECIPE + "input_size: 7\n", "input_size"),
        ("name: ../../evil\nepochs: 1\n", "match pattern"),
        ("", "valid dictionary"),
        ("a: b: c\n", "not valid YAML"),
        ("name: \0\n", "not valid YAML"),
        ("name: caf\udce9\n", "cannot read"),
    ],
)
def test_a_bad_recipe(refused, train, tmp_path, text, word):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert word in refused(*train("--recipe", recipe))


@table(
    ("words", "word"),
    [
        (["--option", "input_size=7"], "input_size"),
        (["--option", "tiny=: {"], "--option KEY=VALUE"),
        (["--option", "=3"], "--option KEY=VALUE"),
        (["--option", "tiny"], "--option KEY=VALUE"),
        (["--option", "input_size=64", "--option", "input_size=48"], "input_size is given twice"),
        (["--resume", "--force"], "--resume goes on and --force starts over: say one of them"),
        (["--emotions", ""], "unknown emotion set ''"),
        (["--emotions", "happy,contempt"], "no class contempt"),
        (["--emotions", "happy,sadd"], "unknown emotion 'sadd'"),
        (["--extractor", "openvin"], "unknown extractor"),
        (["--pretraining", "imagenett"], "unknown pretraining"),
        (["--pretraining", "/nowhere/x.pt"], "/nowhere/x.pt"),
        (["--mode", "zero-shot"], "text prompts"),
        (["--mode", "ful"], "did you mean 'full'"),
        (["--model", "resnt18"], "did you mean 'resnet18'"),
        (["--model", "resnet18", "--limit", "1"], "two training images"),
        (["--recipe", "demo", "--epochs", "2"], "with 2 epochs"),
        (["--recipe", "stron"], "did you mean 'strong'"),
        (["--votes", "majority"], "FER+ labels need the votes"),
        (["--device", "tpu"], "auto, cpu or cuda"),
        (["--weights", "float15"], "did you mean 'float16'"),
    ],
)
def test_a_bad_setting(refused, train, words, word):
    assert word in refused(*train(*words))


def test_a_misspelt_option_is_refused_before_anything_is_read_or_stored(refused, train, tmp_path):
    sentence = refused(*train("--option", "tny=true", data=tmp_path / "nowhere.zip"))
    assert "did you mean 'tiny'" in sentence
    assert not (tmp_path / "results").exists()


@table(
    ("words", "word"),
    [
        ("data check nowhere.zip", "'nowhere.zip' does not exist"),
        ("train --model resnet18", "say --data PATH"),
        ("evaluate nothing --data synthetic", "unknown run 'nothing'"),
        ("run nowhere.yaml", "cannot read nowhere.yaml"),
        ("results --sort acuracy", "did you mean 'accuracy'"),
        (f"data check {'x' * 300}", "File name too long: check its name"),
    ],
)
def test_a_bad_command(refused, tmp_path, monkeypatch, words, word):
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert word in refused(*words.split())


@pytest.mark.parametrize(
    "words", [["--limit", "0"], ["--seed", "-1"], ["--seed", 2**32], ["--epochs", "0"]]
)
def test_a_number_out_of_range(fer, train, words):
    code, out, err = fer(*train(*words))
    assert (code, out) == (2, "")
    assert f"Invalid value for '{words[0]}'" in err


@table(
    ("text", "word"),
    [
        (ENTRY % ", limit: 0", "runs.0.limit"),
        (ENTRY % ", seeds: -1", "runs.0.seeds.0"),
        (ENTRY % ", seeds: []", "runs.0.seeds"),
        (ENTRY % ", modles: x", "unknown key 'runs.0.modles'; did you mean"),
        (ENTRY.replace("models", "modles") % "", "unknown key 'runs.0.modles'; did you mean"),
        (ENTRY.replace("clip_vit_b_32", "resnt18") % "", "unknown model 'resnt18'"),
        (ENTRY.replace("finetune-5", "[]") % "", "runs.0.recipes"),
        (ENTRY.partition("- ")[0] + "  []\n", "runs: Tuple"),
        (ENTRY % ", model_options: {tinny: true}", "unknown key 'tinny'; did you mean 'tiny'"),
        (ENTRY % ", images: x", "unknown key 'runs.0.images'"),
        (ENTRY % ", emotions: x", "unknown emotion set 'x'"),
        ("emotions: [hapy, sad]\n" + ENTRY % "", "unknown emotion 'hapy'"),
        ("- 3\n", "valid dictionary"),
        ("runs: {\n", "not valid YAML"),
        ("\udcff\udcfe", "cannot read"),
    ],
)
def test_a_bad_benchmark(refused, tmp_path, text, word):
    spec = tmp_path / "spec.yaml"
    spec.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert word in refused("run", spec, "--results", tmp_path / "results", "--json")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("value", [",", ""])
@pytest.mark.parametrize(
    "words",
    [
        ["robustness", "default", "--data", "synthetic", "--corruptions"],
        ["latency", "default", "--threads"],
        ["latency", "default", "--backend"],
        ["report", "--columns"],
        ["run", "demo.yaml", "--track"],
    ],
    ids=lambda words: words[-1],
)
def test_a_list_without_a_word_is_not_the_default(refused, words, value):
    assert f"expected {words[-1]} as words with commas between, got {value!r}" in refused(
        *words, value
    )


def test_a_results_folder_that_is_a_file(refused, train, tmp_path):
    (tmp_path / "results").write_text("not a folder")
    assert "Not a directory" in refused(*train())
    assert "Not a directory" in refused("results", "--results", tmp_path / "results")
    assert (tmp_path / "results").read_text() == "not a folder"


def test_a_full_disk_leaves_the_earlier_run_as_it_was(refused, fer, train, tmp_path, monkeypatch):
    assert fer(*train())[0] == 0
    (before,) = (tmp_path / "results").rglob("record.json")
    text = before.read_bytes()

    def full(files):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storing, "write_results", full)
    assert "No space left on device; free some space" in refused(*train("--force"))
    assert before.read_bytes() == text


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda record: record | {"schema_version": 99}, "written by a newer FER Bench (schema 99"),
        (lambda record: record | {"schema_version": 99, "new": 1}, "written by a newer FER Bench"),
        (lambda record: record["spec"].update(emotions=["hapy", "sad"]), "unknown emotion 'hapy'"),
        (lambda record: record.pop("spec"), "record.json: spec: "),
        (lambda record: "{", "is not valid JSON"),
    ],
    ids=["newer", "newer with more", "unknown emotion", "no spec", "no JSON"],
)
def test_an_unreadable_record_is_named_and_the_rest_works(refused, fer, tmp_path, damage, sentence):
    store = ResultsStore(tmp_path)
    good, bad = (store.save(make_record(name=name)) / "record.json" for name in ("good", "bad"))
    record = json.loads(bad.read_text())
    changed = damage(record)
    bad.write_text(changed if changed == "{" else json.dumps(record | (changed or {})))

    code, out, _ = fer("results", "--results", tmp_path, "--json")
    found = json.loads(out)
    assert code == 0
    assert [row["run"] for row in found["runs"]] == ["good"]
    assert sentence in found["unreadable"]["fer2013/bad"]
    assert sentence in refused("evaluate", "bad", "--data", "synthetic", "--results", tmp_path)
    assert good.exists()


def test_with_json_a_line_on_stderr_tells_scripts_the_kind_of_error(fer, train, tmp_path):
    store = ResultsStore(tmp_path / "runs")
    (store.save(make_record(name="bad")) / "record.json").write_text("{")
    (tmp_path / "bad.yaml").write_text("nam: x")
    (tmp_path / "words.jpg").write_text("words")
    of_bad = ("--results", tmp_path / "runs", "--json")
    for words, code in (
        (train(data=put(tmp_path / "d", {"readme.txt": b"x"})), "bad_data"),
        (train(data=tmp_path / "ghost"), "missing_file"),
        (train("--recipe", tmp_path / "bad.yaml"), "bad_config"),
        (train("--recipe", "finetune-6"), "unknown_name"),
        (("evaluate", "bad", "--data", "synthetic", *of_bad), "bad_results"),
        (("predict", "default", tmp_path / "words.jpg", "--json"), "run_failed"),
        (("predict", "default", tmp_path / "no.jpg", "--json"), "missing_file"),
    ):
        ended, _, err = fer(*words)
        problem, sentence = err.splitlines()[-2:]
        assert json.loads(problem) == {"code": code, "detail": sentence.removeprefix("error: ")}
        assert ended == (1 if code == "run_failed" else 2)


def test_a_batch_larger_than_the_train_split_is_one_batch(fer, train, tmp_path):
    recipe = tmp_path / "large.yaml"
    recipe.write_text(RECIPE.replace("batch_size: 8", "batch_size: 500"))
    code, out, _ = fer(*train("--recipe", recipe))
    (record,) = json.loads(out)
    assert (code, record["status"]) == (0, "done")
