"""Several results folders read together: own runs first, new ones written to the first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from page_fixtures import open_page, texts
from record_fixtures import make_record

from fer_bench.errors import FerBenchError
from fer_bench.results.store import ResultsStore, open_results
from fer_bench.results.summary import mark_own, summary_table
from fer_bench.urls import split_addresses

SHARED, MINE = "resnet18-full-finetune-5-s0", "vgg16-full-finetune-5-s0"


@pytest.fixture
def both(tmp_path: Path) -> ResultsStore:
    """`mine`, with a run of its own and one that the shared folder has too, before `shared`."""
    shared, mine = tmp_path / "shared", tmp_path / "mine"
    ResultsStore(shared).save(make_record())
    ResultsStore(shared).save(make_record(seed=1, accuracy=0.6))
    ResultsStore(shared).mark_default(ResultsStore(shared).find(SHARED))
    ResultsStore(mine).save(make_record(model="vgg16"))
    ResultsStore(mine).save(make_record(seed=1, accuracy=0.9))
    return open_results(f"{mine}{os.pathsep}{shared}")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("results", ["results"]),
        ("mine:results", ["mine", "results"]),
        ("mine:s3://bucket/lab:results", ["mine", "s3://bucket/lab", "results"]),
        ("s3://bucket/lab", ["s3://bucket/lab"]),
        ("webdav://host:8080/lab:mine", ["webdav://host:8080/lab", "mine"]),
        ("sftp://me:secret@host/lab:mine", ["sftp://me:secret@host/lab", "mine"]),
        ("memory://lab:memory://other", ["memory://lab", "memory://other"]),
        ("mine::results:", ["mine", "results"]),
    ],
)
def test_places_stand_apart_though_urls_have_colons(text: str, places: list[str]) -> None:
    assert split_addresses(text) == places


def test_runs_of_both_folders_are_read_own_ones_first_and_once(both: ResultsStore) -> None:
    assert [(run.name, run.own) for run in both.runs()] == [
        ("resnet18-full-finetune-5-s1", True),
        (MINE, True),
        (SHARED, False),
    ]
    assert both.find("resnet18-full-finetune-5-s1").folder.is_relative_to(both.root)
    assert list(mark_own(summary_table(both.runs()))["title"].str.endswith(" (yours)")) == [
        True, True, False,
    ]  # fmt: skip


def test_one_folder_marks_nothing(both: ResultsStore) -> None:
    assert not any(run.own for run in ResultsStore(both.root).runs())


def test_new_runs_go_to_the_first_folder(both: ResultsStore) -> None:
    folder = both.save(make_record(model="vit_b_16"))
    assert folder.is_relative_to(both.roots[0])


def test_the_default_may_be_of_another_folder(both: ResultsStore) -> None:
    assert both.find("default").name == SHARED
    both.mark_default(both.find(MINE))
    assert both.find("default").name == MINE
    assert (both.root / "default.txt").read_text() == f"fer2013/{MINE}\n"


def test_an_ensemble_needs_its_members_in_the_first_folder(both: ResultsStore) -> None:
    from fer_bench.benchmark import specify_ensemble

    with pytest.raises(FerBenchError, match=f"{SHARED} is in .*: copy that run's folder below"):
        specify_ensemble(both, [MINE, SHARED])


def test_a_missing_folder_counts_as_empty(both: ResultsStore, tmp_path: Path) -> None:
    store = open_results(f"{tmp_path / 'new'}{os.pathsep}{both.roots[1]}")
    assert [run.own for run in store.runs()] == [False, False]


def test_pages_show_both_and_say_which_are_yours(
    both: ResultsStore, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_RESULTS", both.address)
    app = open_page("run", run=f"fer2013/{MINE}")
    options = app.selectbox(key="run-picker").options
    assert [option.endswith(" (yours)") for option in options] == [True, True, False]
    assert "3 runs" in texts(app)
