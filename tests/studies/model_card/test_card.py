"""The model card: what it says comes from the record, and the committed one is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from model_fixtures import save_models
from record_fixtures import make_predictions, make_recipe, make_record
from streamlit.testing.v1 import AppTest

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import calibrate
from fer_bench.results.record import Member, Metrics, RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import EnsembleSpec, ExternalSpec
from fer_bench.studies.model_card.card import model_card
from fer_bench.templates import block, code, prose
from fer_bench.types import Provenance
from scripts.write_model_card import CARD, card_text

ROOT = Path(__file__).parents[3]
HOSTILE = (
    "x\n\n# Hi\n```\n<script>alert(1)</script> ``` | [click](javascript:alert(1)) www.evil.com"
)
PREDICTIONS = make_predictions()


def stored(record: RunRecord, folder: Path) -> StoredRun:
    return StoredRun(
        dataset="fer2013", name=record.name, folder=folder, record=record, problem=None
    )


def card_of(record: RunRecord, folder: Path, predictions: pd.DataFrame | None = PREDICTIONS) -> str:
    """The card, with plain spaces."""
    card = model_card(stored(record, folder), predictions, "default").text
    return card.replace("\N{NO-BREAK SPACE}", " ")


def with_test(record: RunRecord, **changes: object) -> RunRecord:
    test = record.metrics["test"].model_copy(update=changes)
    return record.model_copy(update={"metrics": record.metrics | {"test": test}})


def row(metrics: Metrics) -> str:
    """Images, accuracy and interval as a row of the results has them."""
    low, high = (100 * bound for bound in metrics.accuracy_ci95)
    return f"| {metrics.n} | {metrics.accuracy * 100:.1f} % | {low:.1f} – {high:.1f} % |"


# --- the shipped one ---------------------------------------------------------------------------


def test_the_committed_card_is_that_of_the_default_run() -> None:
    assert CARD.read_text(encoding="utf-8") == card_text(), (
        "MODEL_CARD.md is out of date: run `python -m scripts.write_model_card`"
    )


def test_its_python_is_that_of_the_readme_which_links_to_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    python = card_text().split("```python\n")[1].split("```")[0]
    assert python in readme
    assert "(MODEL_CARD.md)" in readme


# --- another record's --------------------------------------------------------------------------


def test_a_card_carries_its_records_numbers(tmp_path: Path) -> None:
    record = make_record(seed=3, recipe=make_recipe(name="mine", epochs=7), gpu="Test GPU")
    card = card_of(record, tmp_path)
    for name, key in (("Test", "test"), ("Clean test, with TTA", "test_clean_tta")):
        assert f"| {name} {row(record.metrics[key])}" in card
    happy = record.metrics["test"].per_class["happy"]
    assert f"| happy | {happy.precision * 100:.1f} % | {happy.recall * 100:.1f} % |" in card
    assert "11.2 million parameters, 3.6 billion FLOPs per image" in card
    assert "one face, 224×224 pixels, RGB" in card
    assert "7 epochs in 7 minutes on Test GPU, fp32; epoch 7 is kept" in card
    assert "chosen on val (PublicTest) alone; test (PrivateTest) was read once" in card
    assert "--recipe results/fer2013/resnet18-full-mine-s3/record.json" in card
    assert "700 to train on (Training), 70 to choose by (PublicTest), 140 to test on" in card


def test_the_failures_follow_the_numbers(tmp_path: Path) -> None:
    record = make_record()
    good = record.metrics["test"].per_class["happy"]
    per_class = {
        emotion: good.model_copy(update={"f1": f1, "recall": recall, "support": 20})
        for emotion, f1, recall in (
            ("angry", 0.8, 0.7), ("fear", 0.3, 0.2), ("sad", 0.4, 0.5), ("happy", 0.35, 0.49)
        )
    }  # fmt: skip
    confusion = np.diag([20] * 7)
    confusion[2, 4], confusion[5, 0] = 12, 3
    card = card_of(with_test(record, per_class=per_class, confusion=confusion.tolist()), tmp_path)
    assert "Weakest at fear (F1 30.0 %, 20 images), happy (F1 35.0 %" in card
    assert "It misses more than half of the images of fear and happy." in card
    pairs = card.split("## Most confused")[1].split("##")[0].strip().splitlines()[2:]
    assert pairs == ["| fear | sad | 12 | 37.5 % |", "| surprise | angry | 3 | 13.0 % |"]


def test_what_is_perfect_or_even_is_no_weakness(tmp_path: Path) -> None:
    record = make_record()
    right = {
        e: m.model_copy(update={"f1": 1.0}) for e, m in record.metrics["test"].per_class.items()
    }
    card = card_of(with_test(record, per_class=right), tmp_path)
    assert "Weakest" not in card
    assert "uneven" not in card  # 100 training images of each emotion


@pytest.mark.parametrize(
    ("seconds", "words"), [(20.4, "20 seconds"), (89, "89 seconds"), (3376, "56 minutes")]
)
def test_short_trainings_are_told_in_seconds(tmp_path: Path, seconds: float, words: str) -> None:
    record = make_record()
    training = record.training.model_copy(update={"seconds": seconds})
    card = card_of(record.model_copy(update={"training": training}), tmp_path)
    assert f"5 epochs in {words} on Test CPU" in card


def test_duplicates_are_counted(tmp_path: Path) -> None:
    record = make_record()
    n = 140 - record.dataset.clean_test_size
    assert f"{n} of the 140 test images stand, pixel for pixel," in card_of(record, tmp_path)
    clean = record.dataset.model_copy(update={"clean_test_size": 140})
    card = card_of(record.model_copy(update={"dataset": clean}), tmp_path)
    assert "pixel for pixel" not in card


def test_calibration_is_measured_on_the_predictions(tmp_path: Path) -> None:
    record = make_record()
    found = calibrate(PREDICTIONS, record.dataset.emotions, "val")
    record = record.model_copy(
        update={"temperature": found.temperature, "calibrated_ece": {"test": 0.999}}
    )
    before, after = record.metrics["test"].ece, found.ece["test"]
    card = card_of(record, tmp_path)
    assert f"its logits are divided by the temperature {found.temperature:.3f}, fitted on" in card
    assert f"that takes ECE from {before:.3f} to {after:.3f}." in card
    assert f"| {record.metrics['val'].ece:.3f} | {found.ece['val']:.3f} |" in card


@pytest.mark.parametrize(("temperature", "words"), [(0.8, "not sure enough"), (1.2, "too sure")])
def test_the_temperature_says_which_way_it_was_off(
    tmp_path: Path, temperature: float, words: str
) -> None:
    record = make_record().model_copy(update={"temperature": temperature})
    assert f"The network is {words} of itself" in card_of(record, tmp_path)


def test_missing_predictions_leave_what_the_record_says(tmp_path: Path) -> None:
    record = make_record().model_copy(update={"temperature": 0.8})
    card = card_of(record, tmp_path, None)
    assert "What ECE that leaves is unknown" in card
    record = record.model_copy(update={"calibrated_ece": {"val": 0.011, "test": 0.022}})
    assert " to 0.022." in card_of(record, tmp_path, None)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    card = card_of(make_record(), tmp_path)
    assert "**Weights**: not here, only the record; train it again" in card
    assert "No temperature was fitted" in card
    (tmp_path / "model.safetensors").write_bytes(bytes(1_234_567))
    assert "**Weights**: `model.safetensors`, 1.2 MB" in card_of(make_record(), tmp_path)
    with pytest.raises(FerBenchError, match="a model card is for a finished run"):
        card_of(make_record(status="failed"), tmp_path)


def test_numbers_out_of_rankings_and_other_data_are_marked(tmp_path: Path) -> None:
    record = make_record(
        dataset="rafdb", limit=20, not_comparable_because=["limit"], emotions=("happy", "sad")
    )
    card = card_of(record, tmp_path, None)
    assert "**These numbers stand in no ranking: limit.**" in card
    assert "The data set's own terms apply" in card
    assert "FER2013" not in card and "PrivateTest" not in card


def test_ferplus_is_told_as_fer2013s_faces_under_other_labels(tmp_path: Path) -> None:
    card = card_of(make_record(dataset="ferplus"), tmp_path)
    assert "FER2013's faces (Goodfellow et al. 2013" in card
    assert "(Barsoum et al. 2016" in card
    assert "140 to test on (PrivateTest)" in card
    assert "65 ± 5 %" not in card


def test_a_taught_run_is_made_again_where_its_teachers_are(tmp_path: Path) -> None:
    record = make_record()
    spec = record.spec.model_copy(update={"teachers": ("a",)})
    card = card_of(record.model_copy(update={"spec": spec}), tmp_path)
    assert "**Teachers**, whose answers it learned too: `a`" in card
    assert "folder of your own that holds its teachers" in card


def saved(root: Path, name: str, pretraining: str, *teachers: str, dataset: str = "fer2013") -> str:
    """A stored run whose weights came from there, as records said it before they named runs."""
    record = make_record(name=name, pretraining=pretraining, dataset=dataset)
    weights = "none" if pretraining == "none" else "local file"
    source = Provenance(architecture="ResNet-18", weights=weights)
    spec = record.spec.model_copy(update={"teachers": teachers})
    model = record.model.model_copy(update={"provenance": source})
    record = record.model_copy(update={"spec": spec, "model": model})
    folder = ResultsStore(root).save(record)
    return card_of(record, folder)


def test_a_run_that_goes_on_from_another_says_so_in_one_sentence(tmp_path: Path) -> None:
    saved(tmp_path, "first", "none")
    saved(tmp_path, "teacher", "none")
    card = saved(tmp_path, "second", "results/fer2013/first", "teacher")
    assert "went on from run `first` (itself `pretraining: none`) and was taught by" in card
    assert "run `teacher`, with no data beyond the training split\n" in card
    assert "**Starting weights**: those of `run first (pretraining: none)`\n" in card
    assert "**Teachers**" not in card
    card = saved(tmp_path, "third", "results/fer2013/second")
    assert "from run `second` (itself `pretraining: run first (pretraining: none)`), with" in card


@pytest.mark.parametrize(
    ("dataset", "pretraining", "said"),
    [
        ("fer2013", "imagenet", "(itself `pretraining: local file`) and was taught by run `gone`"),
        ("rafdb", "none", "(itself `pretraining: none`, trained on `rafdb`) and was taught by"),
    ],
)
def test_what_came_in_by_another_run_is_not_denied(
    tmp_path: Path, dataset: str, pretraining: str, said: str
) -> None:
    saved(tmp_path, "first", pretraining, dataset=dataset)
    card = saved(tmp_path, "second", f"results/{dataset}/first", "gone")
    assert f"training went on from run `first` {said}" in card
    assert "no data beyond" not in card


def test_a_start_that_is_not_here_is_told_as_the_record_has_it(tmp_path: Path) -> None:
    record = make_record(pretraining="results/fer2013/first")
    source = Provenance(architecture="ResNet-18", weights="run first (pretraining: none)")
    model = record.model.model_copy(update={"provenance": source})
    card = card_of(record.model_copy(update={"model": model}), tmp_path / "fer2013" / "second")
    assert "- **Start**: training went on from `run first (pretraining: none)`\n" in card


def test_weights_that_are_no_run_are_named_with_their_licence(tmp_path: Path) -> None:
    card = saved(tmp_path, "one", "weights/w.pth")
    assert "**Starting weights**: local file, licence: not recorded" in card
    assert "- **Licence**: of its weights from elsewhere: not recorded; the" in card
    assert "**Start**" not in card
    second = saved(tmp_path, "two", "results/fer2013/one")
    assert "- **Licence**: of its weights from elsewhere: not recorded; the" in second


def test_a_run_that_began_with_published_weights_has_their_licence(tmp_path: Path) -> None:
    record = make_record(pretraining="imagenet")
    for weights, licence, expected in (
        ("DEFAULT", "BSD-3-Clause (torchvision)", ("other", "BSD-3-Clause (torchvision)")),
        ("run a (pretraining: none)", "", ("mit", None)),
    ):
        source = Provenance(architecture="ResNet-18", weights=weights, licence=licence)
        model = record.model.model_copy(update={"provenance": source})
        run = stored(record.model_copy(update={"model": model}), tmp_path)
        data = model_card(run, PREDICTIONS, "default").data
        assert (data.get("license"), data.get("license_name")) == expected


def test_an_ensemble_names_its_members(tmp_path: Path) -> None:
    shares = {"a": 0.75, "b": 0.25}
    record = make_record()
    members = tuple(
        Member(run=run, weight=weight, temperature=1.0, pretraining="none")
        for run, weight in shares.items()
    )
    training = record.training.model_copy(update={"epochs_run": 0, "best_epoch": 0})
    spec = EnsembleSpec(ensemble=tuple(shares))
    record = record.model_copy(update={"spec": spec, "members": members, "training": training})
    for run in shares:
        (tmp_path / run).mkdir()
        (tmp_path / run / "model.safetensors").write_bytes(bytes(2_000_000))
    card = card_of(record, tmp_path / record.name)
    assert "**Members**, and their shares: `a` (75.0 %) and `b` (25.0 %)" in card
    assert "- **Starting weights**: those of its members\n" in card
    assert "**Training**: none of its own" in card
    assert "`model.safetensors`, 2.0 MB + 2.0 MB" in card
    assert "`--results` for a folder of your own that holds its members:" in card
    assert "python -m fer_bench ensemble a b" in card


def test_an_ensemble_has_the_licences_of_networks_from_elsewhere(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    theirs = ExternalSpec(external="theirs", licence="CC BY-NC 4.0")
    records = [make_record(), make_record().model_copy(update={"name": "b", "spec": theirs})]
    folders = [store.save(record) for record in records]
    members = tuple(
        Member(run=folder.name, weight=0.5, temperature=1.0, pretraining="none")
        for folder in folders
    )
    both = make_record().model_copy(update={"members": members})
    for record, licence, named, says in (
        (both, "other", "CC BY-NC 4.0", "of its weights from elsewhere: CC BY-NC 4.0"),
        (records[0], "mit", None, "MIT, like the code"),
    ):
        card = model_card(stored(record, folders[0].parent / record.name), PREDICTIONS, "default")
        assert (card.data.get("license"), card.data.get("license_name")) == (licence, named)
        assert f"- **Licence**: {says}; the training data" in card.text


# --- foreign text ------------------------------------------------------------------------------


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    record = make_record(name=HOSTILE, dataset=HOSTILE, model=HOSTILE, pretraining=HOSTILE)
    source = Provenance(architecture=HOSTILE, paper=HOSTILE, weights=HOSTILE, licence=HOSTILE)
    model = record.model.model_copy(update={"provenance": source})
    environment = record.environment.model_copy(update={"cpu": HOSTILE, "git_commit": "`<b>`"})
    record = record.model_copy(
        update={"model": model, "environment": environment, "not_comparable_because": [HOSTILE]}
    )
    card = model_card(stored(record, tmp_path), PREDICTIONS, HOSTILE).text
    html = MarkdownIt("commonmark").enable("table").render(card)
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html
    assert re.findall('href="([^"]+)"', html) == []
    assert re.findall("<h1>", html) == ["<h1>"]


def test_foreign_prose_reads_well_in_the_source_too() -> None:
    assert prose("ResNet-D (2.0), it's so") == "ResNet-D (2.0), it's so"
    assert prose("www.evil.com\n# *a* |") == r"www\.evil\.com \# \*a\* \|"
    assert code("a `b` c") == "`` a `b` c ``"
    assert block("a\n```\nb", "bash") == "````bash\na\n```\nb\n````"


# --- on the pages ------------------------------------------------------------------------------


def test_a_page_shows_the_cards_of_the_chosen_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path))
    save_models(tmp_path)

    def page() -> None:
        from fer_bench.ui import models

        models.about_models(models.usable_runs())

    app = AppTest.from_function(page, default_timeout=60).run()
    assert [button.label for button in app.button] == ["About these models"]
    assert not app.markdown
    app.button[0].click().run()
    assert [tab.label for tab in app.tabs] == [
        "Compact ResNet\\, fine\\-tuned\\, 5 epochs",
        "Keras CNN\\, fine\\-tuned\\, 5 epochs",
    ]
    first, second = (element.value for element in app.markdown)
    assert first.strip().startswith("# Model card: `compact_resnet-full-finetune-5-s0`\n")
    assert "\n## Off limits\n" in first
    assert "predict default photos/" in first
    assert "predict fer2013/keras_cnn-full-finetune-5-s0 photos/" in second
