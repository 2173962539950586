"""Results at a URL: every command reads and writes them there, by a folder that follows it."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
from command_fixtures import Fer
from record_fixtures import make_history, make_predictions, make_record
from s3_fixtures import lab, objects, s3
from streamlit.testing.v1 import AppTest

from fer_bench.errors import FerBenchError
from fer_bench.results.documents import write_document
from fer_bench.results.location import address_of, fetch, local_folder, mirror_of
from fer_bench.results.record import Document
from fer_bench.results.store import DEFAULT_FILE, ResultsStore
from fer_bench.results.stored_run import RECORD, WEIGHTS
from fer_bench.settings import cache_dir
from fer_bench.urls import shown

__all__ = ["lab", "s3"]  # fixtures

NETWORK = {"model.json": b"{}", WEIGHTS: b"\0" * 1000}
RUN = "fer2013/resnet18-full-finetune-5-s0"
FILES = {"history.csv", "predictions.parquet", RECORD}
SWEEP = """
name: small
data: synthetic
pretraining: none
runs:
- {models: clip_vit_b_32, modes: full, recipes: finetune-5, epochs: 1, seeds: [0, 1],
   limit: 28, model_options: {tiny: true}}
"""
App = str(Path(__file__).parents[2] / "app.py")


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """A place of its own in fsspec's memory."""
    return f"memory://{request.node.name}/lab"


def open_at(url: str, machine: Path) -> ResultsStore:
    """The results as one of several machines sees them, each with a cache folder of its own."""
    return ResultsStore(local_folder(url, machine))


def save_run(store: ResultsStore, **changes: object) -> None:
    record = make_record(**changes)  # type: ignore[arg-type]
    predictions = make_predictions(seed=record.spec.seed)
    store.save(record, history=make_history(), predictions=predictions, network=NETWORK)


def test_a_benchmark_at_an_object_store(fer: Fer, lab: str, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(SWEEP)
    code, out, err = fer("run", str(sweep), "--results", lab, "--json")
    first, second = json.loads(out)
    assert (code, first["status"], second["status"]) == (0, "done", "done")
    names = [f"synthetic/{record['name']}" for record in (first, second)]
    there = objects(lab)
    assert set(there) == {
        f"{name}/{file}" for name in names for file in FILES | {"model.json", WEIGHTS, "seen.npy"}
    }
    here = local_folder(lab, cache_dir() / "results")
    assert {name: (here / name).stat().st_size for name in there} == there

    code, _, err = fer("run", str(sweep), "--results", lab)
    assert (code, err.count(": skipped")) == (0, 2)
    assert f"records in {lab}\nnext: FER_BENCH_RESULTS={lab}:" in err
    code, out, _ = fer("results", "--results", lab, "--json")
    assert sorted(row["run"] for row in json.loads(out)["runs"]) == sorted(
        record["name"] for record in (first, second)
    )
    code, out, _ = fer("compare", first["name"], second["name"], "--results", lab, "--json")
    assert code == 0
    code, out, _ = fer("evaluate", first["name"], "--data", "synthetic", "--results", lab, "--json")
    assert code == 0


def test_another_machine_evaluates_with_weights_that_it_brings(
    fer: Fer,
    lab: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--model", "clip_vit_b_32", "--recipe", "finetune-5", "--epochs", "1"]
    words += ["--pretraining", "none", "--option", "tiny=true", "--data", "synthetic"]
    code, out, _ = fer("train", *words, "--results", lab, "--json")
    (record,) = json.loads(out)
    assert code == 0
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("FER_BENCH_RESULTS", lab)
    fer("results")
    assert not list((tmp_path / "elsewhere").rglob(WEIGHTS))
    code, out, _ = fer("evaluate", record["name"], "--data", "synthetic", "--json")
    assert json.loads(out)["accuracy"] == record["metrics"]["test"]["accuracy"]
    assert len(list((tmp_path / "elsewhere").rglob(WEIGHTS))) == 1


def test_what_one_machine_writes_the_others_see(url: str, tmp_path: Path) -> None:
    one, other = open_at(url, tmp_path / "one"), open_at(url, tmp_path / "other")
    save_run(one)
    assert other.runs() == []
    open_at(url, tmp_path / "other")
    (run,) = other.runs()
    assert run.require_record() == make_record()
    assert other.predictions(run).equals(one.predictions(one.find(RUN)))
    one.mark_default(one.find(RUN))
    write_document(one.find(RUN).folder / "robustness.json", Document())
    open_at(url, tmp_path / "other")
    assert other.find("default").name == run.name
    assert (run.folder / "robustness.json").read_bytes() == (
        one.find(RUN).folder / "robustness.json"
    ).read_bytes()


def test_weights_are_brought_when_they_are_opened(url: str, tmp_path: Path) -> None:
    save_run(open_at(url, tmp_path / "one"))
    (run,) = open_at(url, tmp_path / "other").runs()
    assert run.has_weights
    assert not (run.folder / WEIGHTS).exists()
    left_by_a_killed_process = run.folder / f".{'0' * 32}.tmp.safetensors"
    left_by_a_killed_process.write_bytes(b"half")
    fetch(run.weight_files)
    assert (run.folder / WEIGHTS).read_bytes() == NETWORK[WEIGHTS]
    assert not left_by_a_killed_process.exists()


def test_a_run_without_weights_leaves_none_of_an_earlier_one(url: str, tmp_path: Path) -> None:
    one, other = open_at(url, tmp_path / "one"), open_at(url, tmp_path / "other")
    save_run(one)
    fetch(open_at(url, tmp_path / "other").find(RUN).weight_files)
    one.save(make_record(), network={})
    assert f"{RUN}/{WEIGHTS}" not in objects(url)
    assert not one.find(RUN).has_weights
    open_at(url, tmp_path / "other")
    assert not other.find(RUN).has_weights
    assert not (other.find(RUN).folder / WEIGHTS).exists()


def test_new_weights_replace_those_that_were_brought(url: str, tmp_path: Path) -> None:
    one = open_at(url, tmp_path / "one")
    save_run(one)
    fetch(open_at(url, tmp_path / "other").find(RUN).weight_files)
    one.save(make_record(), network=NETWORK | {WEIGHTS: b"\1" * 1000})
    run = open_at(url, tmp_path / "other").find(RUN)
    fetch(run.weight_files)
    assert (run.folder / WEIGHTS).read_bytes() == b"\1" * 1000


def test_a_run_removed_at_the_url_is_removed_here(url: str, tmp_path: Path) -> None:
    save_run(open_at(url, tmp_path / "one"))
    save_run(open_at(url, tmp_path / "one"), seed=1)
    assert len(open_at(url, tmp_path / "other").runs()) == 2
    files, root = fsspec.url_to_fs(url)
    files.rm(f"{root}/{RUN}", recursive=True)
    assert [run.require_record().spec.seed for run in open_at(url, tmp_path / "other").runs()] == [
        1
    ]


def test_a_file_cut_off_here_is_brought_again(url: str, tmp_path: Path) -> None:
    save_run(open_at(url, tmp_path / "one"))
    record = open_at(url, tmp_path / "other").find(RUN).folder / RECORD
    record.write_bytes(record.read_bytes()[:100])
    assert open_at(url, tmp_path / "other").find(RUN).require_record() == make_record()


def test_a_record_is_put_after_its_files_and_not_without_them(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(url, tmp_path)
    save_run(store)
    before = objects(url), store.find(RUN).require_record()
    files, put = fsspec.url_to_fs(url)[0], []

    def full(here: str, there: str) -> None:
        put.append(there.rpartition("/")[2])
        if len(put) == 3:
            raise PermissionError("Access Denied")

    monkeypatch.setattr(files, "put_file", full)
    with pytest.raises(
        FerBenchError, match=r"cannot write to the results at memory://.*: Access D"
    ):
        save_run(store, accuracy=0.9)
    assert RECORD not in put
    assert (objects(url), store.find(RUN).require_record()) == before
    assert not list(tmp_path.rglob(f".{RECORD}.*"))


def test_only_runs_are_brought_and_nothing_leaves_the_folder(url: str, tmp_path: Path) -> None:
    files, root = fsspec.url_to_fs(url)
    hostile = ["../../evil", "a/../evil", "a/b/.hidden", "photos/2024/may/face.jpg", "notes.txt"]
    for name in (*hostile, f"{RUN}/latency.json"):
        files.store[f"{root}/{name}"] = files.store.get("x") or _memory_file(b"x")
    folder = local_folder(url, tmp_path / "cache")
    brought = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    assert [name for name in brought if not name.startswith(".")] == [f"{RUN}/latency.json"]
    assert not list(tmp_path.rglob("evil"))


def _memory_file(content: bytes) -> object:
    files = fsspec.filesystem("memory")
    files.pipe_file("/made", content)
    return files.store.pop("/made")


def test_a_claim_and_a_checkpoint_stay_on_the_machine(url: str, tmp_path: Path) -> None:
    store = open_at(url, tmp_path)
    work = store.work_folder("fer2013", "a-run")
    work.mkdir(parents=True)
    write_document(work / "notes.json", Document())
    assert (work / "notes.json").exists()
    assert objects(url) == {}


def test_a_url_is_listed_at_most_so_often(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, listed = fsspec.url_to_fs(url)[0], []
    find = files.find
    monkeypatch.setattr(files, "find", lambda *a, **k: listed.append(a) or find(*a, **k))
    for _ in range(3):
        local_folder(url, tmp_path, every=60)
    assert len(listed) == 1
    local_folder(url, tmp_path)
    assert len(listed) == 2


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("nope://lab", "cannot open the results at nope://lab: Protocol not known: nope"),
        ("gs://lab/x", "cannot open the results at gs://lab/x: Please install gcsfs"),
        ("ftp://me:secret@127.0.0.1:1/x", "cannot open the results at ftp://127.0.0.1:1/x: Conn"),
        ("s3://no-such-bucket/x", "at s3://no-such-bucket/x: The specified bucket does not exist"),
    ],
)
def test_a_url_that_cannot_be_read_is_one_sentence(
    fer: Fer,
    s3: None,
    place: str,
    sentence: str,
) -> None:
    code, out, err = fer("results", "--results", place)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert sentence in err
    assert "secret" not in err


def test_a_url_is_shown_without_its_password() -> None:
    assert shown("sftp://me:pass@host/lab") == "sftp://host/lab"
    assert shown("https://host/lab?key=secret") == "https://host/lab"


def test_a_folder_needs_no_mirror(tmp_path: Path) -> None:
    assert local_folder("results", tmp_path) == Path("results")
    assert local_folder(f"file://{tmp_path}/lab", tmp_path) == tmp_path / "lab"
    assert mirror_of(Path("results")) is None
    assert address_of(tmp_path) == str(tmp_path)


def test_the_dashboard_shows_results_at_a_url(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_run(open_at(url, tmp_path))
    monkeypatch.setenv("FER_BENCH_RESULTS", url)
    app = AppTest.from_file(App, default_timeout=60).run()
    assert not app.exception
    assert "1 run ·" in app.sidebar.caption[0].value
    monkeypatch.setenv("FER_BENCH_RESULTS", "nope://me:secret@lab")
    app = AppTest.from_file(App, default_timeout=60).run()
    assert not app.exception
    assert app.error[0].value.startswith("cannot open the results at nope")
    assert "secret" not in app.error[0].value


def test_the_default_run_is_named_at_the_url(url: str, tmp_path: Path) -> None:
    store = open_at(url, tmp_path)
    save_run(store)
    store.mark_default(store.find(RUN))
    assert objects(url)[DEFAULT_FILE] == len(RUN) + 1
