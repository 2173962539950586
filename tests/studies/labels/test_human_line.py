"""The human line: exact figures of a few faces, its file, its command, its place on the pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_fixtures import Fer
from data_fixtures import VOTES_HEADER, csv_rows, write_csv
from page_fixtures import BEST, open_page, texts
from record_fixtures import make_predictions, make_record

from fer_bench.data.vote_counts import CHOICES
from fer_bench.emotions import FER2013, FERPLUS
from fer_bench.errors import FerBenchError
from fer_bench.report import collect
from fer_bench.report.figure_files import paper_figures
from fer_bench.results.reports.human_line import (
    HumanLine,
    Share,
    VotersOnEmotion,
    add_human_line,
    human_line,
    read_human_lines,
)
from fer_bench.results.store import ResultsStore
from fer_bench.studies.labels.human_line import measure_people, measure_run, people_table


def ballots(label: str, **votes: int) -> dict[str, object]:
    return {**dict.fromkeys(CHOICES, 0), **votes, "label": label}


#: Ten voters each: all agree; nine against one; five against five; unknown by most.
VOTES = pd.DataFrame(
    [
        ballots("happy", happy=10),
        ballots("angry", sad=9, angry=1),
        ballots("fear", sad=5, fear=5),
        ballots("sad", unknown=8, sad=2),
    ],
    index=["all", "most", "split", "unknown"],
)


class Faces:
    """What `measure_people` asks of a data set."""

    fingerprint, protocol, emotions = "f" * 64, "official", FER2013


@pytest.fixture
def line() -> HumanLine:
    return measure_people(Faces(), VOTES)  # type: ignore[arg-type]


def test_one_voter_is_held_against_the_majority_of_the_others(line: HumanLine) -> None:
    # Of `all` 10 of 10; of `most` 9 of 10, as the single one meets nine for sad; of `split` each
    # voter meets five of nine for the other side; of `unknown` the others have no emotion.
    assert line.votes == 10 + 10 + 10
    assert line.one_voter.value == pytest.approx((10 + 9 + 0) / 30)
    assert line.label_agreement.value == pytest.approx((1 + 0.1 + 0.5 + 0.2) / 4)
    assert line.best_expected_agreement == pytest.approx((1 + 0.9 + 0.5 + 0.2) / 4)
    assert line.label_agreement.low < line.label_agreement.value < line.label_agreement.high


def test_every_emotion_has_its_own_line(line: HumanLine) -> None:
    table = people_table(line).set_index("emotion")
    assert table.index.tolist() == list(FER2013)
    assert table.loc["happy"].tolist() == [1, 1.0, 1.0]
    assert table.loc["angry", "label_agreement"] == pytest.approx(0.1)
    assert table.loc["sad", "one_voter"] == pytest.approx(9 / 15)
    assert table.loc["disgust", ["label_agreement", "one_voter"]].isna().all()


def test_a_run_stands_beside_the_votes() -> None:
    columns = {f"p_{e}": [0.0, 0.0, 0.0] for e in FER2013}
    table = pd.DataFrame(
        {"id": ["all", "most", "split"], "split": "test", "clean": True, **columns}
    )
    table["label"] = 0
    table.loc[0, "p_happy"] = 1.0
    table.loc[1, ["p_sad", "p_angry"]] = [0.5, 0.5]
    table.loc[2, ["p_sad", "p_fear"]] = [0.5, 0.5]
    found = measure_run("x/y", table, FER2013, VOTES)
    assert found is not None
    # The second and third answers are the first of equals in FER2013's order: angry and fear.
    assert found.expected_agreement == pytest.approx((1 + 0.1 + 0.5) / 3)
    assert found.majority_agreement == pytest.approx((10 + 0 + 5) / 30)
    assert found.soft_accuracy == pytest.approx((1 + 0.5 + 0.5) / 3)
    kl = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert found.kl_divergence == pytest.approx(kl / 3)
    assert found.per_emotion["fear"].kl_divergence == pytest.approx(0)
    assert measure_run("x/y", table.assign(id="other"), FER2013, VOTES) is None

    alone = measure_run("x/y", table, FER2013, VOTES, has_probabilities=False)
    assert alone is not None and alone.expected_agreement == found.expected_agreement
    assert alone.kl_divergence is alone.per_emotion["fear"].kl_divergence is None


def test_one_vote_a_face_is_no_line() -> None:
    alone = pd.DataFrame([ballots("happy", happy=1), ballots("sad", fear=1)], index=["all", "most"])
    with pytest.raises(FerBenchError, match="no voter can be held against them: expected FER"):
        measure_people(Faces(), alone)  # type: ignore[arg-type]
    table = make_predictions(n_val=0, n_test=2).assign(id=["all", "most"])
    assert measure_run("x/y", table, FER2013, alone) is None


def test_lines_are_stored_by_the_data_they_are_about(tmp_path: Path, line: HumanLine) -> None:
    other = line.model_copy(update={"fingerprint": "e" * 64, "protocol": "kaggle", "faces": 9})
    for one in (line, other, line.model_copy(update={"faces": 5})):
        add_human_line(tmp_path / "fer2013", one)
    assert [(one.protocol, one.faces) for one in read_human_lines([tmp_path], "fer2013")] == [
        ("kaggle", 9),
        ("official", 5),
    ]
    record = make_record()
    assert human_line([tmp_path], record) is None
    same = record.dataset.model_copy(update={"fingerprint": "e" * 64})
    assert human_line([tmp_path], record.model_copy(update={"dataset": same})) == other


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "fer2013").mkdir()
    (tmp_path / "fer2013" / "human_line.json").write_text('{"lines": 3}')
    with pytest.raises(FerBenchError, match="is damaged"):
        read_human_lines([tmp_path], "fer2013")


@pytest.fixture
def voted(tmp_path: Path) -> Path:
    """fer2013.csv, whose voters name the label nine times of ten, else the next emotion."""
    rows = csv_rows(held=2)
    source = write_csv(tmp_path / "fer2013.csv", rows)
    votes = []
    for number, (label, _, usage) in enumerate(rows):
        counts = [0] * len(CHOICES)
        counts[FERPLUS.index(FER2013[int(label)])] = 9
        counts[FERPLUS.index(FER2013[(int(label) + 1) % 7])] = 1
        votes.append([usage, f"fer{number:07d}.png", *map(str, counts)])
    write_csv(tmp_path / "fer2013new.csv", votes, VOTES_HEADER)
    return source


def test_the_command_measures_stores_and_shows(fer: Fer, voted: Path, tmp_path: Path) -> None:
    where = ("--results", tmp_path / "results")
    assert fer("human-line", *where)[0] == 2  # nothing stored yet
    code, out, _ = fer("human-line", "--data", voted, "--save", "--json", *where)
    (measured,) = json.loads(out)["lines"]
    assert code == 0
    assert measured["faces"] == 14
    assert measured["label_agreement"]["value"] == pytest.approx(0.9)
    assert measured["one_voter"]["value"] == pytest.approx(0.9)
    assert json.loads(fer("human-line", "--json", *where)[1])["lines"] == [measured]
    _, out, _ = fer("human-line", *where)
    assert "own label on 90.0" in out.replace("\N{NO-BREAK SPACE}", " ")


def test_data_without_votes_are_refused(fer: Fer, tmp_path: Path) -> None:
    code, _, err = fer("human-line", "--data", "synthetic", "--results", tmp_path)
    assert code == 2 and "no FER+ votes next to it" in err
    assert fer("human-line", "--save", "--results", tmp_path)[0] == 2


def stored_line(root: Path) -> HumanLine:
    share = Share(value=0.558, low=0.546, high=0.57)
    line = HumanLine(
        fingerprint="ab" * 32,  # that of made-up records
        protocol="official",
        faces=140,
        votes=1000,
        label_agreement=share,
        one_voter=Share(value=0.768, low=0.76, high=0.776),
        best_expected_agreement=0.738,
        per_emotion={
            e: VotersOnEmotion(faces=20, label_agreement=0.5, one_voter=0.6) for e in FER2013
        },
    )
    found = measure_run(
        BEST,
        make_predictions(),
        FER2013,
        pd.DataFrame([ballots("happy", happy=10)], index=["test/00070.png"]),
    )
    assert found is not None
    line.models.append(found)
    add_human_line(root / "fer2013", line)
    return line


def test_the_labels_page_shows_it_without_data(mixed: Path) -> None:
    stored_line(mixed)
    app = open_page("labels", BEST)
    app.query_params["view"] = "The human line"
    app.run()
    assert not app.exception
    assert "one voter names what most of the others do on 76.8 %" in texts(app)
    assert app.dataframe[0].value["run"].tolist() == [BEST]
    facts = json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["meta"]
    assert facts["Title"].startswith("The human line; fer2013 · official · 7 emotions · data abab")
    assert facts["n"] == "140 test faces"


def test_its_figure_in_a_report_is_of_its_faces_and_of_no_run(mixed: Path) -> None:
    stored_line(mixed)
    store = ResultsStore(mixed)
    found = paper_figures(store, collect(store), "")
    (people,) = [one for one in found if one.name.endswith("-people")]
    assert people.facts["Title"].startswith("The human line; fer2013 · official · 7 emotions")
    assert people.facts["n"] == "140 test faces"
    assert people.facts["Protocol"] == "official"
    assert not {"Run", "Run command"} & set(people.facts)


def test_the_leaderboard_shows_line_and_published_marks_apart_from_the_ranking(mixed: Path) -> None:
    before = open_page("leaderboard").dataframe[0].value["run"].tolist()
    stored_line(mixed)
    app = open_page("leaderboard")
    assert app.dataframe[0].value["run"].tolist() == before
    assert "own label on 55.8 %" in texts(app)
    app = open_page("leaderboard", view="Published numbers")
    assert "13 on these test images" in texts(app)
    published = next(one.value for one in app.dataframe if "source" in one.value)
    assert "ResEmoteNet" in published["model"].tolist()


def test_labels_say_how_to_get_a_line(mixed: Path) -> None:
    app = open_page("labels", BEST)
    app.query_params["view"] = "The human line"
    app.run()
    assert "python -m fer_bench human-line --data DATA --save" in texts(app)


def test_the_shipped_lines_hold_the_known_figures() -> None:
    lines = {one.protocol: one for one in read_human_lines([Path("results")], "fer2013")}
    official = lines["official"]
    assert round(official.one_voter.value, 3) == 0.768
    assert round(official.label_agreement.value, 3) == 0.558
    shipped = {run.id for run in ResultsStore(Path("results")).runs()}
    assert {one.run for one in official.models} <= shipped
