"""What a plan will take: passes, rates, bytes and money, by exact arithmetic on made-up records."""

import json
import math
from datetime import timedelta
from functools import cache

import pandas as pd
import pytest
from record_fixtures import make_history, make_record

from fer_bench.benchmark import Runner, Source, specify
from fer_bench.benchmark.estimate.dry_run import estimate
from fer_bench.benchmark.estimate.estimate import (
    PlanEstimate,
    RunEstimate,
    Work,
    estimate_plan,
    images_per_epoch,
    work_of,
)
from fer_bench.benchmark.estimate.rates import Evidence, Rates, evidence_of, find_rates, measure
from fer_bench.benchmark.estimate.size import (
    Sizes,
    disk_of,
    imagined_sizes,
    limited,
    network_of,
    sizes_of,
)
from fer_bench.cli.estimate_table import count, duration, size
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.flops import count_flops
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.training.state import FILE

SYNTHETIC = Source(data="synthetic")
FER2013 = Sizes(splits={"train": 28_709, "val": 3_589, "test": 3_589}, pixels=35_887 * 48 * 48)


def make_spec(model="keras_cnn", mode="full", recipe="finetune-5", **changes) -> RunSpec:
    return specify(model=model, mode=mode, recipe=recipe, pretraining="none", **changes)


@cache
def drawn(protocol="official"):
    return SYNTHETIC.load(make_spec(protocol=protocol))


def make_rates(**changes) -> Rates:
    values = {"training": 100.0, "evaluation": 200.0, "features": 400.0, "head": 50_000.0}
    return Rates(**(values | {"kind": "recorded", "source": "r"} | changes))


def make_evidence(spec, flops=10**9, device="cpu", hardware="H", **changes) -> Evidence:
    rates = make_rates(**changes)
    return Evidence(spec=spec, device=device, hardware=hardware, flops=flops, rates=rates)


# Passes


def test_an_epoch_is_of_full_batches_or_of_all_images_where_there_are_fewer():
    assert [images_per_epoch(n, 64) for n in (28_709, 128, 64, 63, 2)] == [28_672, 128, 64, 63, 2]


def test_a_full_run_trains_validates_and_is_evaluated_by_every_view_once():
    spec = make_spec(recipe="strong", epochs=40)  # flips: two views
    assert work_of(spec, FER2013) == Work(
        training=40 * 28_672, validation=40 * 3_589, evaluation=2 * 7_178
    )
    ten = spec.recipe.model_copy(update={"tta": "ten-crop"})
    work = work_of(spec.model_copy(update={"recipe": ten}), FER2013)
    assert work.evaluation == 11 * 7_178  # ten crops and the whole face


def test_a_frozen_run_computes_features_once_and_then_trains_the_head():
    spec = make_spec("resnet18", "frozen", "frozen-20")
    assert spec.recipe.augmentation.flip
    assert work_of(spec, FER2013) == Work(
        features=2 * 28_709 + 3_589, head=20 * (28_672 + 3_589), evaluation=2 * 7_178
    )


def test_a_zero_shot_run_is_only_evaluated():
    spec = make_spec("clip_vit_b_32", "full").model_copy(update={"mode": "zero-shot"})
    assert work_of(spec, FER2013) == Work(evaluation=2 * 7_178)


def test_the_passes_are_those_that_a_run_goes_through(tmp_path, monkeypatch):
    spec = make_spec("clip_vit_b_32", epochs=2, limit=20, model_options={"tiny": True})
    dataset, seen = SYNTHETIC.load(spec), {"training": 0, "forward": 0}

    def listen(stage, done, total, figures):
        if stage.startswith("epoch ") and done == total:
            seen["training"] += total * min(spec.recipe.batch_size, 20)
        if stage == "evaluating" and done == total:
            seen["forward"] += total

    Runner(store=ResultsStore(tmp_path), progress=listen).run(spec, dataset)
    work = work_of(spec, sizes_of(dataset))
    assert work.training == seen["training"] == 2 * 20
    assert work.evaluation == 2 * seen["forward"] == 2 * 40


def test_seconds_are_passes_by_rates():
    work = Work(training=1_000, validation=600, features=800, head=100_000, evaluation=400)
    assert work.seconds(make_rates()) == 1_000 / 100 + 600 / 300 + 800 / 400 + 2 + 400 / 200


# Sizes


def test_the_protocols_and_limits_give_their_own_sizes():
    spec = make_spec(limit=10)
    assert sizes_of(SYNTHETIC.load(spec)).splits == {"train": 10, "val": 10, "test": 10}
    whole = sizes_of(drawn())
    assert (whole.splits, whole.pixels) == ({"train": 224, "val": 28, "test": 28}, 280 * 48 * 48)
    kaggle = sizes_of(drawn("kaggle"))
    assert sum(kaggle.splits.values()) == 280
    assert limited(whole, 100).splits == {"train": 100, "val": 28, "test": 28}
    assert limited(whole, 100).pixels == whole.pixels


def test_other_numbers_of_images_keep_the_shares_of_the_data():
    many = sizes_of(drawn(), 2_800_000)
    assert many.splits == {"train": 2_240_000, "val": 280_000, "test": 280_000}
    assert many.pixels == 2_800_000 * 48 * 48


def test_images_that_one_does_not_have_are_as_large_as_the_network_wants_them():
    sizes = imagined_sizes(10_000_000, network_of(make_spec("vit_b_16")), classes=8)
    assert sizes.splits == {"train": 8_000_000, "val": 1_000_000, "test": 1_000_000}
    assert sizes.pixels == 10_000_000 * 224 * 224 * 3


@pytest.mark.parametrize("model", ["resnet18", "keras_cnn", "compact_resnet"])
def test_a_network_is_known_without_its_weights(model):
    built = build_model(ModelRequest(name=model, emotions=drawn().emotions))
    network = network_of(make_spec(model))
    assert network.parameters == network.trainable == sum(p.numel() for p in built.parameters())
    assert network.flops == count_flops(built)
    assert (network.side, network.features) == (built.input_spec.size, built.feature_size)


def test_bytes_are_those_of_the_files(tmp_path):
    spec = make_spec(recipe="strong", epochs=6, limit=16)
    checkpoints = []

    def look(stage, done, total, figures):
        if stage == "epochs":
            (file,) = store.work_folder("synthetic", spec.name).glob(f"*/{FILE}")
            checkpoints.append(file.stat().st_size)

    store, dataset = ResultsStore(tmp_path), SYNTHETIC.load(spec)
    Runner(store=store, weights="float16", progress=look).run(spec, dataset)
    folder = store.find(spec.name).folder
    disk = disk_of(spec, sizes_of(dataset), network_of(spec), "float16")
    assert disk.checkpoint == pytest.approx(max(checkpoints), rel=0.02)
    assert disk.weights == pytest.approx((folder / "model.safetensors").stat().st_size, rel=0.02)
    assert disk_of(spec, sizes_of(dataset), network_of(spec), None).weights == 0


def test_predictions_take_51_bytes_a_row_as_the_shipped_ones_do():
    spec, network = make_spec(), network_of(make_spec())
    assert disk_of(spec, FER2013, network, None).predictions == 7_178 * 51
    frozen = make_spec("resnet18", "frozen", "frozen-20")
    disk = disk_of(frozen, FER2013, network_of(frozen), "float32")
    assert disk.features == 4 * 512 * (2 * 28_709 + 3_589)


# Rates


def test_a_records_rates_are_its_own_times():
    record = make_record(gpu=None)  # five epochs of 60 s in ten minutes; 450 images/s
    evidence = evidence_of(record, make_history())
    assert evidence.rates == Rates(
        training=450.0,
        evaluation=(70 + 140) * 2 / 300,
        features=3 * 450.0,
        kind="recorded",
        source=f"{record.name}, on Test CPU (AVX2)",
    )
    assert (evidence.device, evidence.flops) == ("cpu", 3_640_000_000)


def test_the_rates_of_a_run_on_several_devices_are_those_of_one():
    record = make_record()
    training = record.training.model_copy(update={"processes": 4})
    rates = evidence_of(record.model_copy(update={"training": training}), make_history()).rates
    assert (rates.training, rates.evaluation) == (450.0 / 4, 420 / 300 / 4)


def test_a_resumed_runs_evaluation_is_taken_by_flops():
    record = make_record()
    early = record.model_copy(update={"finished_at": record.started_at + timedelta(seconds=100)})
    assert evidence_of(early, make_history()).rates.evaluation == 3 * 450.0


def test_a_frozen_records_rates_leave_the_head_out_of_the_features():
    record = make_record(mode="frozen")
    columns = {"seconds": [1.0] * 5, "images_per_second": [700.0] * 5}
    rates = evidence_of(record, pd.DataFrame(columns)).rates
    assert rates.features == (700 + 70) / (300 - 5)
    assert (rates.training, rates.head) == (rates.features / 3, 700.0)


@pytest.mark.parametrize("status", ["failed", "running"])
def test_unfinished_runs_say_nothing(status):
    assert evidence_of(make_record(status=status), make_history()) is None


def test_runs_of_the_same_kind_come_first_by_their_median():
    spec = make_spec("resnet18")
    same = [make_evidence(spec, training=t, source=f"run{t}") for t in (90.0, 300.0, 110.0)]
    others = [
        make_evidence(make_spec("vgg16"), training=1.0),
        make_evidence(make_spec("resnet18", model_options={"input_size": 48}), training=2.0),
        make_evidence(make_spec("resnet18", "frozen", "frozen-20"), training=3.0),
        make_evidence(spec, device="cuda", training=4.0),
    ]
    rates = find_rates(spec, 10**9, [*others, *same], "cpu", "H")
    assert (rates.training, rates.kind, rates.source) == (110.0, "recorded", "run90.0 and 2 more")
    assert find_rates(spec, 10**9, others, "cuda", "H").training == 4.0


def test_runs_on_the_same_hardware_come_before_those_of_the_same_kind():
    spec = make_spec("resnet18")
    elsewhere = make_evidence(spec, hardware="slow", training=30.0, source="elsewhere")
    here = make_evidence(make_spec("vgg16"), hardware="fast", training=100.0, source="here")
    assert find_rates(spec, 10**9, [elsewhere, here], "cpu", "fast").source == "here, by FLOPs"
    assert find_rates(spec, 10**9, [elsewhere, here], "cpu", "slow").source == "elsewhere"
    assert find_rates(spec, 10**9, [elsewhere, here], "cpu", "other").source == "elsewhere"
    assert find_rates(spec, None, [elsewhere, here], "cpu", "fast").source == "elsewhere"


def test_features_go_by_the_slowest_run_as_others_found_them_cached():
    spec = make_spec("resnet18", "frozen", "frozen-20")
    found = [make_evidence(spec, features=f) for f in (50_000.0, 120.0, 130.0)]
    assert find_rates(spec, None, found, "cpu", "H").features == 120.0


def test_without_such_runs_the_nearest_is_taken_by_its_flops():
    spec = make_spec("resnet18")
    evidence = [
        make_evidence(make_spec("vgg16"), flops=8 * 10**9, training=1.0, source="vgg"),
        make_evidence(make_spec("densenet121"), flops=10**9, training=60.0, source="dense"),
        make_evidence(make_spec("densenet121", "frozen", "frozen-20"), flops=2 * 10**9),
        make_evidence(make_spec("expressio"), flops=None),
    ]
    rates = find_rates(spec, 2 * 10**9, evidence, "cpu", "H")
    assert rates == Rates(
        training=30.0,
        evaluation=100.0,
        features=200.0,
        head=50_000.0,
        kind="estimated",
        source="dense, by FLOPs",
    )
    small = make_spec("resnet18", model_options={"input_size": 48})
    own = make_evidence(small, flops=10**8, training=500.0, source="own")
    assert find_rates(spec, 2 * 10**9, [*evidence, own], "cpu", "H").source == "own, by FLOPs"
    assert find_rates(spec, None, evidence, "cpu", "H") is None
    assert find_rates(spec, 2 * 10**9, evidence, "cuda", "H") is None


def test_a_teacher_costs_a_forward_pass_more_for_each_image_trained_on():
    taught = make_spec("resnet18").model_copy(update={"teachers": ("a", "b")})
    rates = find_rates(taught, 10**9, [make_evidence(make_spec("resnet18"))], "cpu", "H")
    assert (rates.training, rates.evaluation) == (100 * 3 / 5, 200.0)


def test_measured_rates_are_positive_and_marked():
    rates = measure(make_spec("clip_vit_b_32", model_options={"tiny": True}), 48, "cpu")
    assert rates.kind == "measured"
    assert min(rates.training, rates.evaluation) > 0
    assert rates.features == 3 * rates.training
    assert rates.head == math.inf


# Plans


def plan_of(*specs, finished=(), rates=make_rates, **changes) -> PlanEstimate:
    return estimate_plan(
        specs,
        sizes=lambda spec: FER2013,
        finished=lambda spec: spec.name in finished,
        rates=lambda spec: rates(),
        members=lambda name: None,
        **changes,
    )


def test_sums_leave_out_what_is_finished_and_what_is_unknown():
    one, two = make_spec(seed=0), make_spec(seed=1)
    seconds = work_of(one, FER2013).seconds(make_rates())
    plan = plan_of(one, two, finished={one.name})
    assert [run.finished for run in plan.runs] == [True, False]
    assert (plan.device_seconds, plan.wall_seconds) == (seconds, seconds)
    assert plan.stays == FER2013.pixels + plan.runs[1].disk.stays
    assert plan.price is None

    unknown = plan_of(one, two, rates=lambda: None)
    assert (unknown.unknown, unknown.device_seconds) == (2, 0)
    assert [run.kind for run in unknown.runs] == ["unknown", "unknown"]


def test_workers_take_runs_in_turn_and_are_paid_until_the_last_one_is_done():
    runs = tuple(RunEstimate(name=str(s), seconds=3600.0 * s) for s in (3, 1, 1, 4))
    plan = PlanEstimate(runs=runs, pixels=0, workers=2, price_per_hour=0.5)
    # 3 on the first; 1, 1 and then 4 on the second
    assert (plan.device_seconds, plan.wall_seconds) == (9 * 3600, 6 * 3600)
    assert plan.price == 6 * 2 * 0.5


def test_features_of_one_network_are_computed_once_in_a_plan():
    def frozen(seed, pretraining):
        spec = specify(model="resnet18", mode="frozen", recipe="frozen-20", seed=seed)
        return spec.model_copy(update={"pretraining": pretraining})

    trained = plan_of(frozen(0, "imagenet"), frozen(1, "imagenet"))
    assert [run.work.features > 0 for run in trained.runs] == [True, False]
    assert trained.runs[1].disk.features == 0
    random = plan_of(frozen(0, "none"), frozen(1, "none"))
    assert [run.work.features > 0 for run in random.runs] == [True, True]


def test_an_ensemble_costs_the_answers_of_its_members():
    one, two = make_spec(seed=0), make_spec(seed=1)
    both = EnsembleSpec(ensemble=(one.name, two.name))
    run = plan_of(one, two, both).runs[2]
    assert run.work == Work(evaluation=2 * 2 * 7_178)
    assert run.seconds == pytest.approx(2 * 2 * 7_178 / 200)
    assert plan_of(both).runs[0].seconds is None


def test_a_stored_member_of_an_ensemble_is_known(tmp_path):
    store = ResultsStore(tmp_path)
    records = [make_record(model=m, dataset="synthetic") for m in ("keras_cnn", "emotionlens")]
    for record in records:
        store.save(record, history=make_history())
    both = EnsembleSpec(ensemble=tuple(record.name for record in records))
    (run,) = estimate([both], store=store, source=None, images=1_000).runs
    rates = [evidence_of(record, make_history()).rates for record in records]
    assert run.seconds == pytest.approx(2 * 200 * sum(1 / r.evaluation for r in rates))


# The command


@pytest.fixture
def sweep(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: two\ndata: synthetic\npretraining: none\nruns:\n"
        "- {models: [keras_cnn, emotionlens], modes: full, recipes: finetune-5}\n"
    )
    return str(file)


def test_a_dry_run_prints_an_estimate_and_writes_nothing(fer, sweep, tmp_path, monkeypatch):
    results = tmp_path / "results"
    store = ResultsStore(results)
    history = make_history()
    record = make_record(model="keras_cnn", pretraining="none", flops=network_flops("keras_cnn"))
    store.save(record, history=history)
    before = sorted(results.rglob("*"))
    words = ["run", sweep, "--results", str(results), "--device", "cpu", "--dry-run"]
    code, out, _ = fer(*words, "--workers", "2", "--price-per-hour", "1.5", "--json")
    found = json.loads(out)
    assert code == 0
    assert sorted(results.rglob("*")) == before

    keras, lens = found["runs"]
    rates = evidence_of(record, history).rates
    work = Work(training=5 * 192, validation=5 * 28, evaluation=2 * 56)
    assert keras["seconds"] == pytest.approx(work.seconds(rates))
    assert (keras["kind"], keras["source"]) == ("recorded", f"{record.name}, on Test CPU (AVX2)")
    ratio = network_flops("keras_cnn") / network_flops("emotionlens")
    assert lens["seconds"] == pytest.approx(keras["seconds"] / ratio)
    assert (lens["kind"], lens["source"]) == (
        "estimated",
        f"{record.name}, on Test CPU (AVX2), by FLOPs",
    )
    total = found["total"]
    assert total["device_seconds"] == pytest.approx(keras["seconds"] + lens["seconds"])
    assert total["wall_seconds"] == max(keras["seconds"], lens["seconds"])
    assert total["price"] == pytest.approx(total["wall_seconds"] / 3600 * 2 * 1.5)
    assert total["pixel_bytes"] == 280 * 48 * 48

    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal cuts nothing
    code, out, err = fer(*words)
    assert (code, out) == (0, "")
    head, first, *_ = err.splitlines()
    assert head.split() == [
        *("images", "epochs", "trained", "forward", "images/s", "time", "disk", "rate", "run")
    ]
    assert first.startswith("   280 ") and first.rstrip().endswith(keras["name"])
    assert f"({1}) {record.name}, on Test CPU (AVX2)\n" in err


def network_flops(model: str) -> int:
    return network_of(make_spec(model)).flops


def test_without_evidence_it_says_to_measure(fer, sweep, tmp_path):
    words = ["run", sweep, "--results", str(tmp_path / "r"), "--device", "cpu", "--dry-run"]
    code, _, err = fer(*words)
    assert code == 0
    assert "tells how fast 2 of 2 runs go on this device" in err
    assert "say --measure" in err
    assert not (tmp_path / "r").exists()
    code, out, err = fer(*words, "--measure", "--only", "emotionlens", "--json")
    assert "measuring emotionlens (full) ..." in err
    (run,) = json.loads(out)["runs"]
    assert (code, run["kind"]) == (0, "measured")
    assert run["seconds"] > 0


def test_data_that_one_does_not_have_yet_are_a_number(fer, tmp_path, monkeypatch):
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("name: one\nruns: [{models: resnet18, modes: full, recipes: finetune-5}]\n")
    words = ["run", str(sweep), "--results", str(tmp_path / "r"), "--dry-run", "--json"]
    code, out, _ = fer(*words, "--images", "10000000")
    found = json.loads(out)
    assert code == 0
    assert found["runs"][0]["images"] == {"train": 8_000_000, "val": 1_000_000, "test": 1_000_000}
    assert found["total"]["pixel_bytes"] == 10_000_000 * 224 * 224 * 3
    _, _, err = fer(*words[:-1], "--images", "1000", "--price-per-hour", "2")
    left_out = "--dry-run, --images, --price-per-hour"
    assert f"next: the same command without {left_out} carries it out\n" in err
    code, _, err = fer(*words)
    assert code == 2
    assert "no data given" in err


def test_options_of_an_estimate_need_a_dry_run(fer, sweep):
    for words in (["--measure"], ["--images", "1000"], ["--price-per-hour", "2"]):
        code, _, err = fer("run", sweep, *words)
        assert code == 2
        assert f"error: {words[0]} is for estimates: add --dry-run, or leave it out\n" in err


def test_numbers_are_said_with_three_figures():
    assert [count(n) for n in (7.914, 430, 35_887, 1_146_880, 8e9)] == [
        "7.91", "430", "35.9k", "1.15M", "8G",
    ]  # fmt: skip
    assert [duration(s) for s in (48, 720, 12_240, 1_036_800)] == [
        "48 s", "12 min", "3.4 h", "12 days",
    ]  # fmt: skip
    sizes = [size(n) for n in (512, 82_700_000, 1_505_280_000_000)]
    assert sizes == ["512 B", "82.7 MB", "1.51 TB"]
