"""The page Compare and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparison_fixtures import compare_stored, save_run, save_seeds
from page_fixtures import HOSTILE, open_page, plain, texts
from record_fixtures import make_history, make_metrics, make_predictions, make_record
from streamlit.testing.v1 import AppTest

from fer_bench import plots
from fer_bench.data.load import load_dataset
from fer_bench.emotions import EXPRESSIO
from fer_bench.formatting import percent
from fer_bench.plots.style import MODEL_COLOURS
from fer_bench.results.store import ResultsStore
from fer_bench.studies.comparison import tables

FIRST, SECOND = "fer2013/resnet18-full-finetune-5-s0", "fer2013/resnet18-full-finetune-5-s1"
WORSE = "fer2013/vgg16-full-finetune-5-s2"
LIMITED = "fer2013/keras-cnn-full-finetune-5-limit20-s0"


@pytest.fixture
def stored(results: Path) -> Path:
    """Two seeds of one experiment, a worse run, and one on a part of the data."""
    save_seeds(results, "resnet18", 0.65, [0])
    save_seeds(results, "resnet18", 0.6, [1])
    save_seeds(results, "vgg16", 0.4, [2])
    limited = make_record(model="keras-cnn", limit=20, not_comparable_because=["limit"])
    save_run(results, limited)
    return results


def open_runs(*names: str) -> AppTest:
    """The page at the address `?runs=...`."""
    return open_page("compare", runs=",".join(names))


def frame(app: AppTest, column: str) -> pd.DataFrame:
    """The page's table that has this column."""
    (found,) = [table.value for table in app.dataframe if column in table.value]
    return found


# --- the page ----------------------------------------------------------------------------------


def test_one_run_is_not_enough(results: Path) -> None:
    save_seeds(results, "resnet18", 0.65, [0])
    assert "**Two finished runs are needed**" in texts(open_page("compare"))


def test_the_page_opens_on_the_two_best_comparable_runs(stored: Path) -> None:
    app = open_page("compare")
    assert app.multiselect[0].value == [FIRST, SECOND]
    assert app.multiselect[0].options[:2] == [
        "ResNet18, fine-tuned, 5 epochs",
        "ResNet18, fine-tuned, 5 epochs, seed 1",
    ]
    assert len(app.multiselect[0].options) == len({FIRST, SECOND, WORSE, LIMITED})
    assert "runs" not in app.query_params  # a step more that Back had to take
    assert "cannot tell the 2 seeds of ResNet18" in texts(app)
    assert len(app.get("plotly_chart")) == 5


def test_the_address_names_the_runs(stored: Path) -> None:
    app = open_runs(WORSE, FIRST, "fer2013/gone")
    assert app.multiselect[0].value == [WORSE, FIRST]
    assert "Nothing to compare of fer2013/gone: no finished run here." in texts(app)
    titles = ["ResNet18, fine-tuned, 5 epochs", "VGG16, fine-tuned, 5 epochs, seed 2"]
    assert frame(app, "title")["title"].tolist() == titles


def test_pairs_are_those_of_the_library(stored: Path) -> None:
    names = (FIRST, SECOND, WORSE)
    app = open_runs(*names)
    expected = tables.pair_table(
        compare_stored([ResultsStore(stored).find(name) for name in names])
    )
    shown = frame(app, "p_holm")
    assert shown["letters"].tolist() == expected["letters"].tolist()
    assert shown["p_holm"].tolist() == expected["p_holm"].tolist()
    assert shown["accuracy_difference"].tolist() == (expected["accuracy_difference"] * 100).tolist()
    seeds = frame(app, "accuracy_sd")
    assert seeds["seeds"].tolist() == [2, 1]


def test_images_choose_what_is_compared(stored: Path) -> None:
    app = open_runs(FIRST, WORSE)
    (images,) = [group for group in app.segmented_control if group.label == "Images"]
    images.set_value("val").run()
    assert "70 validation images" in texts(app)
    assert "Checkpoints were chosen on these images" in texts(app)


def test_disagreements_are_filtered_by_who_is_right(stored: Path) -> None:
    app = open_runs(FIRST, WORSE)
    every = frame(app, "answer_A")
    assert (every["answer_A"] != every["answer_B"]).all()
    (right,) = [group for group in app.segmented_control if group.label == "Right"]
    right.set_value("B").run()
    only = frame(app, "answer_A")
    assert only["id"].tolist() == every.loc[every["right"] == "B", "id"].tolist()
    assert (only["answer_B"] == only["true"]).all()
    assert "The images of fer2013 do not come with FER Bench." in texts(app)


def test_images_that_no_filter_fits_are_a_sentence(stored: Path) -> None:
    sure = make_predictions(accuracy=1.0)
    save_run(stored, make_record(model="vit-b-16", accuracy=1.0), sure)
    app = open_runs(FIRST, "fer2013/vit-b-16-full-finetune-5-s0")
    (right,) = [group for group in app.segmented_control if group.label == "Right"]
    right.set_value("B").run()
    assert "No image fits this filter." in texts(app)


def test_a_damaged_history_is_a_sentence_and_the_other_curves_show(stored: Path) -> None:
    (stored / WORSE / "history.csv").write_text("epoch\n1\n")
    app = open_runs(FIRST, WORSE)
    assert "history.csv is damaged" in plain(app.error[0].value)
    assert "Training" in [heading.value for heading in app.header]


def test_runs_that_trained_nothing_have_no_curves(stored: Path) -> None:
    for name in (FIRST, WORSE):
        (stored / name / "history.csv").unlink()
    app = open_runs(FIRST, WORSE)
    assert "Training" not in [heading.value for heading in app.header]
    assert len(app.get("plotly_chart")) == 3


def test_runs_of_other_images_are_left_out_by_name_and_the_rest_is_shown(stored: Path) -> None:
    few = make_record(model="expressio", emotions=EXPRESSIO)
    run = save_run(stored, few, make_predictions(emotions=EXPRESSIO))
    app = open_runs(FIRST, f"fer2013/{run.name}", WORSE)
    assert "measured on other images: Expressio" in texts(app)
    titles = ["ResNet18, fine-tuned, 5 epochs", "VGG16, fine-tuned, 5 epochs, seed 2"]
    assert frame(app, "title")["title"].tolist() == titles
    alone = open_runs(FIRST, f"fer2013/{run.name}")
    assert "Choose two runs or more" in texts(alone)
    assert not alone.dataframe


def test_fewer_than_two_runs_are_asked_for(stored: Path) -> None:
    app = open_runs(FIRST, WORSE)
    app.multiselect[0].set_value([FIRST]).run()
    assert "Choose two runs or more" in texts(app)
    assert app.query_params["runs"] == FIRST
    app.multiselect[0].set_value([FIRST, SECOND]).run()
    assert app.query_params["runs"] == f"{FIRST},{SECOND}"
    assert len(frame(app, "p_holm")) == 1


def test_back_shows_the_runs_of_the_address_again(stored: Path) -> None:
    app = open_page("compare")
    app.multiselect[0].set_value([FIRST, WORSE]).run()
    assert app.query_params["runs"] == f"{FIRST},{WORSE}"
    app.query_params.clear()  # as Back does
    app.run()
    assert app.multiselect[0].value == [FIRST, SECOND]
    app.query_params["runs"] = [FIRST, WORSE]  # as Forward does, or a link with a `runs=` each
    app.run()
    assert app.multiselect[0].value == [FIRST, WORSE]


def test_a_reason_not_to_rank_a_run_is_told_without_markup(results: Path) -> None:
    runs = save_seeds(results, "resnet18", 0.65, [0])
    runs.append(save_run(results, make_record(model="vgg16", not_comparable_because=[HOSTILE])))
    app = open_page("compare")
    said = [caption.value for caption in app.caption]
    (remark,) = [text for text in said if "not comparable" in plain(text)]
    assert "<script>" not in remark and HOSTILE in plain(remark)


def test_drawn_faces_appear_with_both_answers(results: Path) -> None:
    dataset = load_dataset("synthetic")
    test = dataset.indices("test")
    truth = dataset.labels[test]
    filler = make_predictions(n_test=0)
    for model, wrong in (("resnet18", 1), ("vgg16", 3)):
        answers = truth.copy()
        answers[:wrong] = (answers[:wrong] + 1) % 7
        probabilities = np.full((len(test), 7), 0.05)
        probabilities[np.arange(len(test)), answers] = 0.7
        predictions = pd.DataFrame(
            {"id": dataset.ids[test], "split": "test", "label": truth, "clean": True}
        ).assign(**{f"p_{e}": probabilities[:, i] for i, e in enumerate(dataset.emotions)})
        record = make_record(model=model, dataset="synthetic")
        data = record.dataset.model_copy(
            update={"fingerprint": dataset.fingerprint, "source": dataset.source}
        )
        metrics = make_metrics(pd.concat([filler, predictions]), dataset.emotions)
        save_run(
            results, record.model_copy(update={"dataset": data, "metrics": metrics}), predictions
        )
    app = open_page("compare")
    pictures = app.get("image")
    assert len(pictures) == 2
    first = truth[1]
    emotions = dataset.emotions
    assert plain(pictures[0].proto.imgs[0].caption) == (
        f"**{emotions[first]}**  \nA: {emotions[first]} 70.0 %  \n"
        f"B: {emotions[(first + 1) % 7]} 70.0 %"
    )


# --- figures -----------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Sequence[pd.DataFrame]:
    """Pairs, classes and agreement of three runs, two of them of one model."""
    runs = save_seeds(tmp_path, "vgg16", 0.9, [0]) + save_seeds(tmp_path, "resnet18", 0.4, [0, 1])
    found = compare_stored(runs)
    matrix = tables.agreement_matrix(found).rename(index=found.letters, columns=found.letters)
    return tables.pair_table(found), tables.class_table(found), matrix


def test_the_forest_shows_differences_and_their_intervals(three: Sequence[pd.DataFrame]) -> None:
    pairs = three[0]
    figure = plots.difference_forest(pairs)
    accuracy, f1 = figure.data
    np.testing.assert_allclose(accuracy.x, pairs["accuracy_difference"] * 100)
    np.testing.assert_allclose(
        np.add(f1.x, f1.error_x.array), pairs["macro_f1_high"] * 100, atol=1e-12
    )
    np.testing.assert_allclose(
        np.subtract(f1.x, f1.error_x.arrayminus), pairs["macro_f1_low"] * 100, atol=1e-12
    )
    assert list(accuracy.marker.symbol) == ["circle", "circle", "circle-open"]
    assert list(figure.layout.yaxis.ticktext) == ["A − B", "A − C", "B − C"]


def test_runs_of_one_model_differ_in_colour_and_pattern(three: Sequence[pd.DataFrame]) -> None:
    classes = three[1]
    first, second = plots.class_differences(classes, "recall").data
    assert (first.name, second.name) == ("A − B", "A − C")
    assert first.marker.color == MODEL_COLOURS["resnet18"] != second.marker.color
    assert (first.marker.pattern.shape, second.marker.pattern.shape) == ("", "/")
    expected = classes.loc[classes["letter"] == "C", "recall_difference"] * 100
    np.testing.assert_allclose(second.y, expected)


def test_the_heat_map_writes_each_share(three: Sequence[pd.DataFrame]) -> None:
    matrix = three[2]
    figure = plots.agreement_heat_map(matrix)
    np.testing.assert_array_equal(figure.data[0].z, matrix)
    written = [note.text for note in figure.layout.annotations]
    assert written[:2] == ["100.0\N{NO-BREAK SPACE}%", percent(matrix.iloc[0, 1])]


def test_validation_curves_stand_together_without_markup() -> None:
    histories = {"<b>a</b>": make_history(epochs=3), "b": make_history(epochs=12)}
    models = dict.fromkeys(histories, "vgg16")
    figure = plots.validation_curves(histories, models, "accuracy")
    first, second = figure.data
    assert first.name == "&lt;b&gt;a&lt;/b&gt;"
    assert list(first.y) == list(histories["<b>a</b>"]["val_accuracy"])
    assert (first.line.dash, second.line.dash) == ("solid", "dash")
    assert first.line.color == MODEL_COLOURS["vgg16"] != second.line.color
