"""FER+'s votes beside a run's answers: who sides with whom, and accuracy by agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_fixtures import VOTES_HEADER, csv_rows, kaggle_files, write_csv, zipped

from fer_bench.data.vote_counts import CHOICES, VoteCounts, find_vote_counts
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.intervals import Rate
from fer_bench.studies.labels.annotators import (
    accuracy_by_agreement,
    sides,
    votes_table,
    with_votes,
)


def counts(**votes: int) -> list[int]:
    """Votes by choice; `no_face` for the last one."""
    return [votes.get(choice.replace(" ", "_"), 0) for choice in CHOICES]


def voted(**faces: list[int]) -> pd.DataFrame:
    """A table of votes by id."""
    return votes_table(VoteCounts(ids=np.array(list(faces)), counts=np.array([*faces.values()])))


VOTES = voted(
    clear=counts(happy=9, neutral=1),
    split=counts(sad=5, fear=5),
    weak=counts(fear=4, sad=3, happy=3),
    none=counts(),
    unknown=counts(unknown=6, happy=4),
    contempt=counts(contempt=8, sad=2),
)


def test_the_votes_name_a_favourite_and_how_many_agree() -> None:
    assert VOTES.index.tolist() == ["clear", "split", "weak", "unknown", "contempt"]
    assert VOTES["favourite"].tolist() == ["happy", "", "fear", "unknown", "contempt"]
    assert VOTES["agreement"].tolist() == [0.9, 0.5, 0.4, 0.6, 0.8]
    assert VOTES["voters"].tolist() == [10] * 5
    assert VOTES.loc["weak", list(CHOICES)].tolist() == counts(fear=4, sad=3, happy=3)


def test_the_votes_stand_beside_label_and_answer() -> None:
    table = pd.DataFrame(
        {
            "id": ["weak", "elsewhere", "clear", "split", "contempt"],
            "label": ["sad", "sad", "happy", "sad", "mirth"],
            "answer": ["fear", "fear", "sad", "fear", "sad"],
        }
    )
    found = with_votes(table, VOTES)
    assert found["id"].tolist() == ["weak", "clear", "split", "contempt"]
    assert found["votes_for_label"].tolist() == [3, 9, 5, 0]
    assert found["votes_for_answer"].tolist() == [4, 0, 5, 2]
    assert found["sides_with"].tolist() == ["model", "label", "neither", "neither"]
    assert sides(found) == {
        "label": Rate(hits=1, n=4),
        "model": Rate(hits=1, n=4),
        "neither": Rate(hits=2, n=4),
    }
    assert with_votes(table[1:2], VOTES).empty


def test_accuracy_is_measured_by_how_many_agree() -> None:
    emotions = ("happy", "sad", "fear")
    predictions = pd.DataFrame(
        {
            "id": ["clear", "split", "weak", "unknown", "contempt", "elsewhere"],
            "label": [0, 1, 1, 0, 1, 0],
            "p_happy": [0.8, 0.1, 0.1, 0.1, 0.1, 0.8],
            "p_sad": [0.1, 0.8, 0.1, 0.8, 0.8, 0.1],
            "p_fear": [0.1, 0.1, 0.8, 0.1, 0.1, 0.1],
        }
    )
    table = accuracy_by_agreement(predictions, emotions, VOTES)
    assert table[["low", "high", "images"]].values.tolist() == [
        [0, 0.4, 1], [0.4, 0.5, 1], [0.5, 0.6, 1], [0.7, 0.8, 1], [0.8, 0.9, 1],
    ]  # fmt: skip
    assert table["accuracy"].tolist() == [0, 1, 0, 1, 1]
    assert table["label_favoured"].tolist() == [0, 0, 0, 0, 1]
    assert table["answer_favoured"].tolist() == [1, 0, 0, 0, 1]
    assert table.loc[0, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(
        Rate(hits=0, n=1).ci95
    )
    assert accuracy_by_agreement(predictions[-1:], emotions, VOTES).empty


def test_a_bin_holds_all_images_of_its_agreement() -> None:
    faces = {f"f{i}": counts(happy=10 if i < 3 else 5, sad=0 if i < 3 else 4) for i in range(5)}
    predictions = pd.DataFrame(
        {"id": list(faces), "label": 0, "p_happy": [0.9, 0.9, 0.1, 0.9, 0.1]}
    ).assign(p_sad=lambda t: 1 - t["p_happy"])
    table = accuracy_by_agreement(predictions, ("happy", "sad"), voted(**faces))
    assert table[["low", "high", "images"]].values.tolist() == [[0.5, 0.6, 2], [0.9, 1.0, 3]]
    assert table["accuracy"].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert table.loc[1, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx(
        Rate(hits=2, n=3).ci95
    )


# --- the votes of a source ---------------------------------------------------------------------


@pytest.fixture
def csv_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """fer2013.csv of 112 rows with votes beside it; row 1 has no image."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    rows = csv_rows()
    votes = [
        [usage, "" if i == 1 else f"fer{i:07}.png", *map(str, counts(happy=i % 10, sad=10))]
        for i, (_, _, usage) in enumerate(rows)
    ]
    write_csv(tmp_path / "fer2013new.csv", votes, VOTES_HEADER)
    return write_csv(tmp_path / "fer2013.csv", rows)


def test_votes_beside_the_csv_are_found(csv_source: Path) -> None:
    found = find_vote_counts(csv_source)
    assert len(found.ids) == len(found.counts) == 112
    expected = [counts(happy=i % 10, sad=10) if i != 1 else counts() for i in range(112)]
    assert found.counts.tolist() == expected
    assert find_vote_counts(csv_source.parent).counts.tolist() == expected


def test_kaggles_files_need_a_table_of_their_rows(csv_source: Path) -> None:
    folder = csv_source.parent
    faces = zipped(folder / "faces.zip", kaggle_files())
    with pytest.raises(FerBenchError, match=r"give a row,file table or the original fer2013\.csv"):
        find_vote_counts(faces)
    by_pixels = find_vote_counts(faces, rows_file=csv_source)
    sorted_votes = sorted(by_pixels.counts.tolist())
    assert sorted_votes == sorted(find_vote_counts(csv_source).counts.tolist())
    assert by_pixels.ids[0].endswith(".jpg")


def test_data_without_votes_have_none(csv_source: Path, tmp_path: Path) -> None:
    assert find_vote_counts("synthetic") is None
    (tmp_path / "fer2013new.csv").unlink()
    assert find_vote_counts(csv_source) is None


def test_votes_of_other_data_are_refused(csv_source: Path, tmp_path: Path) -> None:
    rows = (tmp_path / "fer2013new.csv").read_text().splitlines()
    (tmp_path / "fer2013new.csv").write_text("\n".join(rows[:50]))
    with pytest.raises(FerBenchError, match=r"fer2013new\.csv does not belong to fer2013\.csv"):
        find_vote_counts(csv_source)
