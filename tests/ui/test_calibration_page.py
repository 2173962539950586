"""The Calibration page: errors before and after the temperature, thresholds, promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_fixtures import BEST, open_page, texts, tiles
from record_fixtures import make_predictions, make_record

from fer_bench.emotions import FER2013
from fer_bench.evaluation import calibration, selective
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.formatting import percent
from fer_bench.results.store import ResultsStore

SECOND = "fer2013/resnet18-full-finetune-5-s1"


def calibrated(key: str) -> selective.Scores:
    return calibration.calibrated_scores(make_predictions(), make_record(), key)


def test_both_errors_stand_before_and_after_the_temperature(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    plain = calibration.calibration_errors(
        *scores(of_set(make_predictions(), "test"), FER2013), FER2013
    )
    scaled = calibration.calibration_errors(*calibrated("test"), FER2013)
    assert tiles(app)["ECE"] == f"{scaled.ece:.3f}"
    assert tiles(app)["Classwise ECE"] == f"{scaled.classwise_ece:.3f}"
    assert [tile.delta for tile in app.metric[:2]] == [
        f"as trained {plain.ece:.3f}",
        f"as trained {plain.classwise_ece:.3f}",
    ]
    assert "fitted just now" in texts(app)


def test_a_stored_temperature_is_named(mixed: Path) -> None:
    record = make_record().model_copy(update={"temperature": 1.25})
    ResultsStore(mixed).save(record)
    said = texts(open_page("calibration", BEST))
    assert "Temperature 1.250, fitted on val and stored in the record." in said
    assert "as trained, this run is surer than it is right on val" in said


def test_the_toggle_shows_the_probabilities_as_trained(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    plain = calibration.classwise_errors(
        *scores(of_set(make_predictions(), "test"), FER2013), FER2013
    )
    scaled = calibration.classwise_errors(*calibrated("test"), FER2013)
    assert app.dataframe[0].value["ece"].tolist() == pytest.approx(scaled["ece"].tolist())
    assert app.dataframe[0].value["images"].tolist() == [20] * 7
    app.segmented_control(key="probabilities").set_value("As trained").run()
    assert not app.exception
    assert app.dataframe[0].value["ece"].tolist() == pytest.approx(plain["ece"].tolist())


def test_the_reliability_of_one_emotion_is_shown(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    app.selectbox(key="reliability-of").set_value("fear").run()
    assert not app.exception
    assert "Probability of fear" in app.get("plotly_chart")[0].proto.spec


def test_the_slider_answers_what_is_sure_enough(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    app.slider(key="threshold").set_value(0.75).run()
    found = selective.answered_above(*calibrated("test"), 0.75)
    assert tiles(app)["Accuracy of the answered"] == percent(found.accuracy.value).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    answered = app.metric[3]
    assert answered.label == "Answered"
    assert answered.delta == f"{found.share.hits:,} of 140 images"
    by_emotion = selective.answered_by_emotion(*calibrated("test"), FER2013, 0.75)
    assert app.dataframe[2].value["answers"].tolist() == by_emotion["answers"].tolist()
    assert "the largest probability after the temperature" in texts(app)


def test_another_run_is_drawn_beside_it(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    assert app.dataframe[1].value["title"].tolist() == ["ResNet18, fine-tuned, 5 epochs"]
    app.multiselect[0].set_value([SECOND]).run()
    assert not app.exception
    areas = app.dataframe[1].value
    titles = ["ResNet18, fine-tuned, 5 epochs", "ResNet18, fine-tuned, 5 epochs, seed 1"]
    assert areas["title"].tolist() == titles
    assert areas["aurc"][0] == pytest.approx(
        selective.area_under_risk_coverage(*calibrated("test"))
    )


def test_a_promise_is_chosen_on_val_and_reported_on_test(mixed: Path) -> None:
    app = open_page("calibration", BEST)
    app.slider(key="wanted").set_value(0.8).run()
    found = selective.operating_point(calibrated("val"), calibrated("test"), 0.8)
    shown = tiles(app)
    assert shown[
        "Accuracy of the answered on val"
    ] == f"{found.chosen_on.accuracy.value:.1%}".replace("%", " %")
    assert shown[
        "Accuracy of the answered on test"
    ] == f"{found.held_on.accuracy.value:.1%}".replace("%", " %")
    assert "It was chosen there alone; test shows what it is worth." in texts(app)


def test_a_run_without_predictions_of_these_images_is_left_out_by_name(mixed: Path) -> None:
    (mixed / SECOND / "predictions.parquet").unlink()
    app = open_page("calibration", BEST)
    app.multiselect[0].set_value([SECOND]).run()
    name = "ResNet18, fine-tuned, 5 epochs, seed 1"
    assert f"{name} has no predictions of these images." in texts(app)
    assert app.dataframe[1].value["title"].tolist() == ["ResNet18, fine-tuned, 5 epochs"]


def test_a_promise_that_no_threshold_keeps_is_said_to_be_too_much(mixed: Path) -> None:
    worst = make_record(model="worst", accuracy=0.02)
    ResultsStore(mixed).save(worst, predictions=make_predictions(accuracy=0.02))
    app = open_page("calibration", "fer2013/worst-full-finetune-5-s0")
    assert "No threshold reaches 90.0 % on val: ask for less." in texts(app)
    assert "Answered on val" not in tiles(app)
