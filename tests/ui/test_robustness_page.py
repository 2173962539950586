"""The Robustness page with reports, without any, and with damaged ones; its figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from model_fixtures import DEFAULT_RUN, SECOND_RUN, save_models
from page_fixtures import BEST, open_page, plain, texts, tiles
from robustness_fixtures import make_measured, make_robustness, make_tested_on, make_transfer
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Multiselect

from fer_bench import plots
from fer_bench.plots.style import MODEL_COLOURS
from fer_bench.results.reports.robustness import ROBUSTNESS, add_robustness
from fer_bench.results.reports.transfer import add_transfer
from fer_bench.results.store import ResultsStore
from fer_bench.studies.robustness.corruptions import CORRUPTIONS
from fer_bench.studies.robustness.tables import curves, severity_table, summary

SECOND = "fer2013/resnet18-full-finetune-5-s1"
TITLES = {BEST: "ResNet18, fine-tuned, 5 epochs", SECOND: "ResNet18, fine-tuned, 5 epochs, seed 1"}
OTHERS = "Other data sets"
ALL = tuple(CORRUPTIONS)


@pytest.fixture
def measured(mixed: Path) -> Path:
    """Two runs on the whole test split, one of them also on twenty images of it and on CK+."""
    store = ResultsStore(mixed)
    best, second = store.find(BEST), store.find(SECOND)
    add_robustness(best.folder, make_robustness(best.require_record(), clean=0.7, step=0.02))
    add_robustness(second.folder, make_robustness(second.require_record(), clean=0.72, step=0.05))
    few = make_tested_on(n=20, limit=20)
    add_robustness(best.folder, make_robustness(best.require_record(), tested_on=few))
    add_transfer(best.folder, make_transfer(best.require_record()))
    return mixed


def chosen_runs(app: AppTest) -> Multiselect:
    """The box of the runs side by side."""
    return app.multiselect(key="several-Runs")


def others(app: AppTest) -> AppTest:
    app.query_params["view"] = OTHERS
    return app.run()


# --- the page ----------------------------------------------------------------------------------


def test_with_nothing_measured_the_page_says_what_to_do_and_shows_the_corruptions(
    mixed: Path,
) -> None:
    app = open_page("robustness")
    assert "**No run measured on corrupted faces yet**" in texts(app)
    assert app.code[0].value == (
        f"python -m fer_bench robustness {BEST} --data fer2013.zip --results {mixed}"
    )
    assert "What the corruptions look like" in texts(app)
    captions = [image.proto.imgs[0].caption for image in app.get("image")]
    assert len(captions) == 1 + len(ALL)
    assert "**jpeg**  \nquality 17" in captions
    app.segmented_control(key="severity").set_value(5).run()
    captions = [image.proto.imgs[0].caption for image in app.get("image")]
    assert "**jpeg**  \nquality 7" in captions
    app = others(app)
    assert "**No run tried on another data set yet**" in texts(app)
    assert not app.exception


def test_without_any_run_the_page_says_the_same(results: Path) -> None:
    assert "**No run measured on corrupted faces yet**" in texts(open_page("robustness"))


def test_runs_that_could_be_measured_are_listed_with_their_commands(measured: Path) -> None:
    save_models(measured)
    app = open_page("robustness")
    assert "2 runs with weights not measured yet" in [one.label for one in app.expander]
    commands = app.code[0].value.splitlines()
    assert commands == [
        f"python -m fer_bench robustness {run} --data fer2013.zip --results {measured}"
        for run in (DEFAULT_RUN, SECOND_RUN)
    ]


def test_runs_of_one_setting_stand_side_by_side(measured: Path) -> None:
    app = open_page("robustness")
    assert app.selectbox(key="setting").options == [
        "fer2013 · official · test · 140 images",
        "fer2013 · official · test · 20 images",
    ]
    assert "11 corruptions · seed 0" in texts(app)
    assert chosen_runs(app).value == [BEST, SECOND]
    assert len(app.get("plotly_chart")) == 3
    table = app.dataframe[0].value.set_index("title")
    assert table.index.tolist() == [
        TITLES[BEST],
        TITLES[SECOND],
    ]  # the sturdier, though less accurate when clean
    assert table.loc[TITLES[SECOND], "clean_accuracy"] == pytest.approx(72)
    assert table.loc[TITLES[BEST], "mean_corruption_accuracy"] == pytest.approx(
        100 * (0.7 - 0.02 * 3 * 12 / 11)
    )


def test_back_shows_the_runs_of_the_address_again(measured: Path) -> None:
    app = open_page("robustness")
    chosen_runs(app).set_value([SECOND]).run()
    assert app.query_params["run"] == SECOND
    app.query_params.clear()  # as Back does
    app.run()
    assert chosen_runs(app).value == [BEST, SECOND]


def test_a_single_run_has_its_figures_in_tiles(measured: Path) -> None:
    app = open_page("robustness", SECOND)
    assert chosen_runs(app).value == [SECOND]
    mean = 0.72 - 0.05 * 3 * 12 / 11
    assert tiles(app) == {
        "Under corruptions": f"{mean:.1%}".replace("%", " %"),
        "Clean": "72.0 %",
        "Drop": f"{1 - mean / 0.72:.1%}".replace("%", " %"),
    }


def test_the_address_holds_ids_and_every_list_their_names(measured: Path) -> None:
    app = open_page("robustness")
    names = [TITLES[BEST], TITLES[SECOND]]
    assert chosen_runs(app).options == names
    assert app.selectbox(key="heat-map-run").options == names
    chosen_runs(app).set_value([SECOND]).run()
    assert app.query_params["run"] == SECOND


def test_the_other_setting_has_its_own_runs(measured: Path) -> None:
    app = open_page("robustness")
    app.selectbox(key="setting").set_value(app.selectbox(key="setting").options[1]).run()
    assert not app.exception
    assert chosen_runs(app).options == [TITLES[BEST]]
    assert app.dataframe[0].value["n"].tolist() == [20]


def test_runs_that_the_other_setting_lacks_give_way_to_its_own(measured: Path) -> None:
    app = open_page("robustness")
    chosen_runs(app).set_value([SECOND]).run()
    app.selectbox(key="setting").select_index(1).run()
    assert chosen_runs(app).value == [BEST]
    assert not app.warning
    app.selectbox(key="setting").select_index(0).run()
    assert chosen_runs(app).value == [BEST]
    chosen_runs(app).set_value([]).run()
    assert "Choose a run to see it under each corruption." in texts(app)


def test_every_corruption_has_its_curve(measured: Path) -> None:
    app = open_page("robustness")
    assert app.selectbox(key="corruption").options == ["mean of all", *CORRUPTIONS]
    app.selectbox(key="corruption").set_value("jpeg").run()
    assert not app.exception


def test_without_a_run_the_page_asks_for_one(measured: Path) -> None:
    app = open_page("robustness")
    chosen_runs(app).set_value([]).run()
    assert "Choose a run to see it under each corruption." in texts(app)
    assert not app.exception


def test_the_matrix_shows_own_and_other_data(measured: Path) -> None:
    app = others(open_page("robustness"))
    table = app.dataframe[0].value
    assert table["tested_on"].tolist() == ["fer2013 · test", "ckplus · test"]
    assert table["own_data"].tolist() == [True, False]
    assert table["accuracy"][1] == pytest.approx(50)
    assert table["n_left_out"].tolist() == [0, 10]
    assert len(app.get("plotly_chart")) == 1


def test_a_damaged_file_is_one_sentence_and_the_others_show(measured: Path) -> None:
    (measured / SECOND / ROBUSTNESS).write_text("{")
    app = open_page("robustness")
    assert "robustness.json is damaged" in plain(app.warning[0].value)
    assert chosen_runs(app).options == [TITLES[BEST]]


def test_a_new_report_appears_without_a_restart(measured: Path) -> None:
    app = open_page("robustness")
    store = ResultsStore(measured)
    run = store.find("fer2013/vgg16-frozen-frozen-20-s0")
    add_robustness(run.folder, make_robustness(run.require_record(), clean=0.4, step=0.01))
    app.run()
    assert "VGG16, frozen" in chosen_runs(app).options


def test_a_face_of_the_users_data_can_be_spoilt(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", "synthetic")
    app = open_page("robustness")
    (face,) = [one for one in app.segmented_control if one.label == "Face"]
    face.set_value("From my data").run()
    assert not app.exception
    assert app.selectbox(key="own-emotion").options[0] == "angry"
    assert len(app.get("image")) == 1 + len(ALL)


def test_data_that_cannot_be_read_are_a_sentence(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_DATA", "nowhere.zip")
    app = open_page("robustness")
    (face,) = [one for one in app.segmented_control if one.label == "Face"]
    face.set_value("From my data").run()
    assert "'nowhere.zip' does not exist" in plain(app.error[0].value)
    assert not app.exception


# --- the figures -------------------------------------------------------------------------------


def test_bars_are_the_means_and_marks_the_clean_accuracy() -> None:
    table = summary([make_measured("a", clean=0.6), make_measured("b", clean=0.7)])
    bars, clean = plots.robustness_bars(table).data
    assert list(bars.y) == ["fer2013/a", "fer2013/b"]  # the best on top
    assert list(clean.x) == [0.6, 0.7]
    assert bars.x[1] == pytest.approx(0.7 - 0.05 * 3 * 12 / 11)
    assert bars.error_x.array.tolist() == pytest.approx([0.01, 0.01])
    assert set(bars.marker.color) == {MODEL_COLOURS["resnet18"]}


def test_curves_of_one_model_differ_in_colours_and_dashes() -> None:
    figure = plots.severity_curves(curves([make_measured("a"), make_measured("b")], "jpeg"))
    assert [line.line.dash for line in figure.data] == ["solid", "dash"]
    assert len({line.line.color for line in figure.data}) == 2
    assert [line.name for line in figure.data] == ["fer2013/a", "fer2013/b"]
    assert list(figure.layout.xaxis.ticktext) == ["clean", "1", "2", "3", "4", "5"]
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4, 5]


def test_each_cell_of_the_heat_map_has_its_share() -> None:
    figure = plots.severity_heatmap(severity_table(make_measured("a").report), clean=0.65)
    assert figure.data[0].z.shape == (len(ALL), 6)
    assert figure.data[0].zmax == 0.65
    assert figure.layout.annotations[0].text == "60%"
    assert list(figure.layout.yaxis.ticktext) == list(CORRUPTIONS)


def transfers() -> pd.DataFrame:
    rows = [
        ("fer2013/a", "fer2013", "fer2013 · test", 0.7, True),
        ("fer2013/a", "fer2013", "ckplus · test", 0.8, False),
        ("ckplus/b", "ckplus", "ckplus · test", 0.9, True),
    ]
    columns = ["run", "trained_on", "tested_on", "accuracy", "own_data"]
    return pd.DataFrame(rows, columns=columns)


def test_the_matrix_marks_own_data_and_leaves_the_rest_empty() -> None:
    figure = plots.transfer_matrix(transfers())
    words = [annotation.text for annotation in figure.layout.annotations]
    assert words == [
        "70.0\N{NO-BREAK SPACE}%<br>own",
        "80.0\N{NO-BREAK SPACE}%",
        "–",
        "90.0\N{NO-BREAK SPACE}%<br>own",
    ]
    assert list(figure.layout.xaxis.ticktext) == ["fer2013<br>test", "ckplus<br>test"]
    assert list(figure.layout.yaxis.ticktext) == ["fer2013/a<br>fer2013", "ckplus/b<br>ckplus"]


def test_a_matrix_of_own_data_alone_is_marked_too() -> None:
    figure = plots.transfer_matrix(transfers().query("own_data"))
    words = [annotation.text for annotation in figure.layout.annotations]
    assert words == ["70.0\N{NO-BREAK SPACE}%<br>own", "–", "–", "90.0\N{NO-BREAK SPACE}%<br>own"]


def test_labels_cannot_carry_markup() -> None:
    hostile = "<b>x</b>"
    drawn = [
        plots.robustness_bars(summary([make_measured(hostile)])),
        plots.severity_curves(curves([make_measured(hostile)], "jpeg")),
        plots.transfer_matrix(
            transfers().assign(
                tested_on=hostile, run=["fer2013/a", "ckplus/b", f"fer2013/{hostile}"]
            )
        ),
    ]
    for figure in drawn[1:]:
        assert hostile not in str(figure.to_dict())
    assert hostile not in str(drawn[0].layout.yaxis.ticktext)
