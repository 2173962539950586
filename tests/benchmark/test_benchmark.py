"""From specifications to records: plans, runs, failures, resuming, evaluation."""

import json
from pathlib import Path

import pytest
from data_fixtures import VOTES_HEADER, class_files, csv_rows, encoded, face, put, write_csv
from finished_fixtures import SYNTHETIC, run, tiny_spec
from PIL import Image

from fer_bench.benchmark import Runner, Source, evaluate_run, plan, run_sweep, specify
from fer_bench.config import load_yaml, validate
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.evaluation.calibration import fit_temperature
from fer_bench.evaluation.confusion import scores
from fer_bench.results.reproduce import reproduce_command
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import RECORD, WEIGHTS, StoredRun
from fer_bench.specs.recipe import load_recipe
from fer_bench.specs.run import RunSpec
from fer_bench.specs.sweep import Sweep

SPECS = Path(__file__).parents[2] / "benchmarks" / "specs"


def test_the_shipped_benchmark_is_the_protocol_people_copy():
    specs = plan(load_yaml(Sweep, SPECS / "five-models.yaml"))
    assert len(specs) == 12
    assert [(s.model, s.mode, s.recipe.epochs) for s in specs if s.recipe.name == "tuned-30"] == [
        ("resnet18", "full", 30),
        ("clip_vit_b_32", "full", 30),
    ]
    clip = specs[-1]
    assert clip.recipe.optimizer_for(clip.model).lr == 1e-3
    assert {s.recipe.epochs for s in specs if s.mode == "frozen"} == {20}
    assert {s.pretraining for s in specs} == {"imagenet"}


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_benchmark_has_distinct_runs(path):
    names = [s.name for s in plan(load_yaml(Sweep, path))]
    assert len(set(names)) == len(names)


def test_only_and_limit_narrow_a_benchmark():
    sweep = load_yaml(Sweep, SPECS / "demo.yaml")
    names = [s.name for s in plan(sweep, only="vgg16", limit=20)]
    assert names == [
        "vgg16-full-demo-scratch-tiny-limit20-s0",
        "vgg16-full-demo-scratch-tiny-limit20-s1",
        "vgg16-full-demo-scratch-tiny-limit20-s2",
        "vgg16-frozen-frozen-20-scratch-tiny-limit20-s0",
    ]
    with pytest.raises(FerBenchError, match="demo: no run matches 'alexnet'"):
        plan(sweep, only="alexnet")


def test_a_run_listed_twice_is_refused():
    entry = {"models": "resnet18", "modes": "full", "recipes": "finetune-5"}
    sweep = validate(Sweep, {"name": "s", "runs": [entry, entry]}, "s.yaml")
    with pytest.raises(FerBenchError, match="is listed twice: remove one"):
        plan(sweep)


def test_a_recipe_brings_its_classes_along():
    spec = specify(model="expressio", mode="full", recipe="expressio", pretraining="none")
    assert spec.emotions == load_recipe("expressio").emotions
    assert spec.name == "expressio-full-expressio-scratch-4-classes-s0"


def test_selecting_on_the_test_split_is_refused():
    values = tiny_spec().model_dump() | {"selection_split": "test"}
    with pytest.raises(FerBenchError, match="the selection split and the test split are both"):
        validate(RunSpec, values, "spec")


@pytest.mark.parametrize("mode", ["full", "frozen", "lora"])
@pytest.mark.parametrize("model", ["resnet18", "clip_vit_b_32"])
def test_a_run_becomes_a_complete_record(tmp_path, model, mode):
    store = ResultsStore(tmp_path)
    record = run(store, tiny_spec(model, mode))
    stored = store.find(record.name)

    assert stored.require_record() == record
    assert (record.status, record.training.epochs_run) == ("done", 1)
    expected = {"val", "test", "test_clean"}
    assert set(record.metrics) == expected | {f"{key}_tta" for key in expected}
    assert record.metrics["test"].n == record.dataset.split_sizes["test"] == 28
    assert record.dataset.fingerprint == SYNTHETIC.load(record.spec).fingerprint
    assert record.not_comparable_because == ["synthetic data"]
    assert len(store.history(stored)) == 1
    assert len(store.predictions(stored)) == 56
    assert stored.has_weights
    assert not store.work_folder("synthetic", record.name).exists()


def test_evaluating_the_stored_weights_gives_the_records_numbers_again(store, finished):
    record = finished.require_record()
    for tta, key in ((False, "test"), (True, "test_tta")):
        report = evaluate_run(store, record.name, SYNTHETIC, tta=tta)
        assert report.metrics == record.metrics[key]


def test_weights_kept_as_float16_are_the_ones_that_were_measured(tmp_path, finished):
    half = ResultsStore(tmp_path)
    record = run(half, tiny_spec(), weights="float16")
    sizes = [(one.folder / WEIGHTS).stat().st_size for one in (half.find(record.name), finished)]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    assert record.model.weights_dtype == "float16"
    report = evaluate_run(half, record.name, SYNTHETIC)
    assert report.metrics == record.metrics["test"]


def test_the_temperature_is_fitted_on_validation_data(store, finished):
    record = finished.require_record()
    predictions = store.predictions(finished)
    val = predictions[predictions["split"] == "val"]
    expected = fit_temperature(*scores(val, record.dataset.emotions))
    assert record.temperature == expected


def test_evaluating_a_few_images_still_leaves_those_out_of_clean_that_stand_in_train(tmp_path):
    files = class_files(["train/happy", "train/sad", "val/happy", "val/sad"], 4)
    copies = {name.replace("train", "test"): data for name, data in files.items() if "tra" in name}
    new = {
        f"test/{e}/new{i}.png": encoded(face(90 + i)) for e in ("happy", "sad") for i in range(4)
    }
    data = put(tmp_path / "faces", files | new | copies)
    store, source = ResultsStore(tmp_path / "results"), Source(data=str(data))
    spec = tiny_spec()
    run(store, spec, source)
    whole = evaluate_run(store, spec.name, source)
    few = evaluate_run(store, spec.name, source, limit=14)
    assert (whole.metrics.n, whole.clean.n) == (16, 8)
    assert (few.metrics.n, few.clean.n) == (14, 7)


def test_a_run_on_ferplus_labels_is_measured_on_other_data_by_their_own(tmp_path):
    store = ResultsStore(tmp_path / "results")
    rows = csv_rows()
    data = write_csv(tmp_path / "fer2013.csv", rows)
    votes = [
        [usage, f"fer{i}.png", *(10 * (i % 8 == c) for c in range(10))]
        for i, (*_, usage) in enumerate(rows)
    ]
    write_csv(tmp_path / "fer2013new.csv", votes, VOTES_HEADER)
    spec, source = tiny_spec(votes="majority"), Source(data=str(data))
    record = run(store, spec, source)
    assert record.dataset.name == "ferplus"
    again = evaluate_run(store, spec.name, source)
    assert again.metrics == record.metrics["test"]
    elsewhere = evaluate_run(store, spec.name, SYNTHETIC)
    assert (elsewhere.metrics.n, elsewhere.metrics.n_left_out) == (28, 0)


def test_a_failed_run_is_a_record_and_the_sweep_goes_on(tmp_path):
    store = ResultsStore(tmp_path)
    bad = tiny_spec(pretraining="imagenet")  # a tiny network has no published weights
    good = tiny_spec()
    heard = []

    def on_run(spec: RunSpec, state: str, words: str) -> None:
        heard.append(words)

    records = run_sweep([bad, good], SYNTHETIC, Runner(store=store), on_run)
    assert [r.status for r in records] == ["failed", "done"]
    assert "tiny" in records[0].error
    assert heard[0] == "started"
    assert heard[1].startswith(f"run {bad.name} failed: ")
    assert heard[2:] == ["started", "done"]

    heard.clear()
    run_sweep([good], SYNTHETIC, Runner(store=store), on_run)
    assert heard == ["skipped"]


def test_a_sweep_refuses_misspelt_options_before_its_first_training(tmp_path):
    misspelt = tiny_spec(model_options={"tinny": True})
    with pytest.raises(FerBenchError, match="unknown key 'tinny'; did you mean 'tiny'"):
        run_sweep([tiny_spec(), misspelt], SYNTHETIC, Runner(store=ResultsStore(tmp_path)), print)
    assert list(tmp_path.iterdir()) == []


def test_a_pinned_precision_is_taken_without_a_measurement(tmp_path):
    spec = tiny_spec("resnet18", epochs=1)
    assert spec.recipe.precision == "auto"
    record = run(ResultsStore(tmp_path), spec, precision="bf16")
    assert record.training.precision == "bf16"
    assert record.training.precision_reason == "set by the recipe or by --precision"
    assert record.spec == spec
    assert "--precision bf16" in reproduce_command(record)


def test_a_precision_that_the_recipe_contradicts_is_refused(tmp_path):
    spec = tiny_spec("resnet18", epochs=1)
    fixed = spec.recipe.model_copy(update={"precision": "fp32"})
    spec = spec.model_copy(update={"recipe": fixed})
    with pytest.raises(FerBenchError, match="says precision fp32, got --precision bf16"):
        run(ResultsStore(tmp_path), spec, precision="bf16")


def end_in_an_epoch(stage, done, total, figures):
    if stage == "epochs":
        raise KeyboardInterrupt


def test_an_interrupted_run_says_so_and_resumes_to_the_same_metrics(tmp_path):
    spec = tiny_spec("resnet18", epochs=2, limit=40)
    # `auto` is measured for each store by itself, and need not come out alike on a busy machine.
    exact = spec.recipe.model_copy(update={"precision": "fp32"})
    spec = spec.model_copy(update={"recipe": exact})

    whole = run(ResultsStore(tmp_path / "whole"), spec)
    store = ResultsStore(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        run(store, spec, progress=end_in_an_epoch)
    stored = store.find(spec.name).require_record()
    assert (stored.status, stored.finished_at is not None) == ("interrupted", True)
    assert "`--resume`" in stored.error
    assert store.history(store.find(spec.name))["epoch"].tolist() == [1]  # to be followed
    resumed = run(store, spec)
    assert store.history(store.find(spec.name))["epoch"].tolist() == [1, 2]
    assert resumed.metrics == whole.metrics
    assert store.find(spec.name).require_record().status == "done"


def test_without_resume_a_run_starts_over(tmp_path):
    spec = tiny_spec(epochs=2)
    store = ResultsStore(tmp_path)

    with pytest.raises(KeyboardInterrupt):
        run(store, spec, progress=end_in_an_epoch)
    (checkpoint,) = store.work_folder("synthetic", spec.name).glob("*/checkpoint.pt")
    checkpoint.write_bytes(b"damaged")
    with pytest.raises(RunFailed, match="is damaged"):
        run(store, spec, resume=True)
    assert run(store, spec, resume=False).status == "done"


def test_the_record_holds_no_path_of_this_machine(finished):
    text = (finished.folder / RECORD).read_text()
    assert str(finished.folder.parents[1]) not in text
    assert str(Path.home()) not in text
    assert json.loads(text)["spec"]["recipe"]["name"] == "finetune-5"


def test_a_subset_is_marked_as_not_comparable(tmp_path):
    record = run(ResultsStore(tmp_path), tiny_spec(limit=8))
    assert "limit: at most 8 images per split" in record.not_comparable_because
    assert record.name.endswith("-limit8-s0")
    assert record.dataset.split_sizes == {"train": 8, "val": 8, "test": 8}


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path):
    store = ResultsStore(tmp_path)
    spec = tiny_spec(epochs=2, limit=40)

    with pytest.raises(KeyboardInterrupt):
        run(store, spec, progress=end_in_an_epoch)
    changed = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"batch_size": 16})})
    assert changed.name == spec.name
    assert run(store, changed).metrics == run(ResultsStore(tmp_path / "b"), changed).metrics


def test_a_finished_run_of_other_settings_is_not_passed_off_as_this_one(store):
    spec = tiny_spec()
    changed = spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"batch_size": 16})})
    with pytest.raises(FerBenchError, match=r"is finished in .* but with other settings"):
        run_sweep([changed], SYNTHETIC, Runner(store=store), lambda *_: None)
    with pytest.raises(FerBenchError, match=r"is finished in .* but on other data"):
        run_sweep([spec], Source(data="synthetic:1"), Runner(store=store), lambda *_: None)


def contents(run: StoredRun) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.folder.iterdir()}


@pytest.mark.parametrize("end", [KeyboardInterrupt, RunFailed])
def test_a_finished_run_stays_until_its_successor_is_done(store, finished, end):
    def stop(stage, done, total, figures):
        if stage == "evaluating":
            raise end("stopped")

    with pytest.raises(end):
        run(store, tiny_spec(), resume=False, progress=stop)
    assert contents(store.find(finished.name)) == contents(finished)


def test_a_failure_does_not_hide_that_another_process_finished_the_run(tmp_path, finished):
    store, done = ResultsStore(tmp_path), finished.require_record()

    def overtaken(stage, done_images, total, figures):
        if stage == "evaluating":
            store.save(done)
            raise RunFailed("its scratch is gone")

    with pytest.raises(RunFailed, match="its scratch is gone"):
        run(store, tiny_spec(), progress=overtaken)
    assert store.find(finished.id).require_record() == done


def test_a_successor_without_weights_leaves_none_and_evaluate_says_how_to_train_again(store):
    record = run(store, tiny_spec(), weights=None)
    assert not store.find(record.name).has_weights
    with pytest.raises(FerBenchError, match="only its record: train it again with `python -m fer_"):
        evaluate_run(store, record.name, SYNTHETIC)


def test_data_with_a_test_part_only_can_be_evaluated_on(tmp_path, store, finished):
    dataset = SYNTHETIC.load(finished.require_record().spec)
    for number in dataset.indices("test")[:7]:
        emotion = dataset.emotions[dataset.labels[number]]
        folder = tmp_path / "faces" / "test" / emotion
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[number]).save(folder / f"{number}.png")
    faces = Source(data=str(tmp_path / "faces"))
    assert evaluate_run(store, finished.name, faces).metrics.n == 7
    with pytest.raises(FerBenchError, match="the val split of faces is empty"):
        evaluate_run(store, finished.name, faces, split="val")
