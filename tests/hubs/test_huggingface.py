"""The Hugging Face hub, by a stand-in of it: its runs are opened like any other, and written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from command_fixtures import Fer
from hub_fixtures import TOKEN, StandInHub, files_of, hub  # noqa: F401
from model_fixtures import DEFAULT_RUN, SECOND_RUN, save_models

import fer_bench
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.hubs.address import Repository
from fer_bench.hubs.huggingface import fetch_files, upload_files
from fer_bench.results.store import ResultsStore

PHOTO = Path(__file__).parents[2] / "assets/samples/astronaut.jpg"


@pytest.fixture(autouse=True)
def _new_process() -> None:
    """The hub is asked once in a process."""
    fetch_files.cache_clear()


@pytest.fixture
def folder(hub: StandInHub, tmp_path: Path) -> Path:  # noqa: F811
    """A run's folder, which `org/name` on the hub holds too."""
    save_models(tmp_path / "results")
    path = tmp_path / "results" / DEFAULT_RUN
    hub.add("org/name", files_of(path))
    return path


def outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing answers where the hub was."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    fetch_files.cache_clear()


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "RUN", PHOTO, "--backend", "torch-fp32", "--detector", "whole", "--json"),
        ("evaluate", "RUN", "--data", "synthetic", "--limit", "20", "--json"),
        ("summary", "RUN", "--json"),
    ],
)
def test_commands_take_it_as_they_take_its_folder(
    words: tuple[object, ...], folder: Path, fer: Fer
) -> None:
    answers = []
    for run in (folder, "hub:org/name"):
        code, out, err = fer(*(run if word == "RUN" else word for word in words))
        assert code == 0, err
        answers.append(json.loads(out))
    for answer in answers:
        _forget_times(answer)
    assert answers[0] == answers[1]


def _forget_times(answer: object) -> None:
    """Takes out of a document what no two measurements have in common."""
    if isinstance(answer, dict):
        for key in [k for k in answer if k.endswith(("_at", "seconds", "recorded", "file"))]:
            del answer[key]
        for value in answer.values():
            _forget_times(value)
    elif isinstance(answer, list):
        for value in answer:
            _forget_times(value)


def test_load_opens_it(folder: Path) -> None:
    of_hub = fer_bench.load("hub:org/name", detector="whole", backend="torch-fp32")
    of_disk = fer_bench.load(str(folder), detector="whole", backend="torch-fp32")
    (one,), (other,) = (p.predict(PHOTO).faces for p in (of_hub, of_disk))
    assert one.probabilities.tolist() == other.probabilities.tolist()
    assert of_hub.classifier.name == of_disk.classifier.name


def test_it_has_the_name_of_its_record(folder: Path) -> None:
    run = ResultsStore(Path("nowhere")).find("hub:org/name")
    assert f"{run.dataset}/{run.name}" == DEFAULT_RUN
    assert run.has_weights


def test_a_revision_is_another_state(folder: Path, hub: StandInHub) -> None:  # noqa: F811
    first = hub.repositories["org/name"].head
    hub.repositories["org/name"].commit(files_of(folder.parents[1] / SECOND_RUN))
    find = ResultsStore(Path("nowhere")).find
    assert find("hub:org/name").name == SECOND_RUN.partition("/")[2]
    assert find(f"hub:org/name@{first}").name == DEFAULT_RUN.partition("/")[2]


def test_the_hub_is_asked_once_in_a_process(folder: Path, hub: StandInHub) -> None:  # noqa: F811
    find = ResultsStore(Path("nowhere")).find
    find("hub:org/name")
    asked = len(hub.calls)
    assert find("hub:org/name").folder == find("hub:org/name").folder
    assert len(hub.calls) == asked


def test_without_a_network_the_cache_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = ResultsStore(Path("nowhere")).find
    before = find("hub:org/name").folder
    outage(monkeypatch)
    assert find("hub:org/name").folder == before
    with pytest.raises(FerBenchError, match="cannot be reached, and not all of it is in the cache"):
        find("hub:org/other")


def test_nothing_but_a_runs_files_is_fetched(folder: Path, hub: StandInHub) -> None:  # noqa: F811
    files = files_of(folder) | {"evil.py": b"1/0", "model.onnx": b"x", "deep/record.json": b"{}"}
    hub.add("org/more", files)
    run = ResultsStore(Path("nowhere")).find("hub:org/more")
    assert sorted(path.name for path in run.folder.iterdir()) == sorted(files_of(folder))


@pytest.mark.parametrize(
    ("status", "headers", "code", "message"),
    [
        (401, {}, 2, "there is no org/name on the hub, or it is private (401): check the name"),
        (403, {}, 2, "the token has no right to read org/name on the hub (403)"),
        (404, {"X-Error-Code": "RepoNotFound"}, 2, "there is no org/name on the hub, or it is"),
        (403, {"X-Error-Code": "GatedRepo"}, 2, "org/name on the hub is gated: ask for access"),
        (404, {"X-Error-Code": "RevisionNotFound"}, 2, "org/name on the hub has no revision main"),
        (429, {"Retry-After": "7"}, 1, "asks for fewer requests (429): try again in 7 seconds"),
        (503, {}, 1, "cannot read org/name on the hub: it answered with an error (503)"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    status: int,
    headers: dict[str, str],
    code: int,
    message: str,
    folder: Path,
    hub: StandInHub,  # noqa: F811
    fer: Fer,
) -> None:
    hub.refuse("/api/models", status, headers, f"not with {TOKEN}")
    ended, out, err = fer("predict", "hub:org/name", PHOTO)
    assert (ended, out) == (code, "")
    (line,) = err.splitlines()
    assert message in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    "name", ["hub:", "hub:name", "hub:a/b/c", "hub:../..", "hub:a/b@", "hub:a/b c", "hub:a/b@-x"]
)
def test_a_name_that_is_none_asks_nobody(name: str, hub: StandInHub, fer: Fer) -> None:  # noqa: F811
    code, _, err = fer("predict", name, PHOTO)
    assert code == 2
    assert "expected a repository of the hub" in err
    assert hub.calls == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": b"{}"}, "hub:org/else holds no run of FER Bench: expected record.json"),
        ({"record.json": b"{"}, "run hub/org/else is unreadable"),
    ],
)
def test_what_is_no_run_is_said(
    files: dict[str, bytes],
    message: str,
    hub: StandInHub,  # noqa: F811
    fer: Fer,
) -> None:
    hub.add("org/else", files)
    code, _, err = fer("predict", "hub:org/else", PHOTO)
    assert code == 2
    assert message in err


# Writing

TARGET = Repository(id="org/name")
FILES = {"README.md": b"---\nlicense: mit\n---\n", "model.json": b"{}", "model.onnx": bytes(2000)}


def test_files_arrive_in_one_commit(hub: StandInHub) -> None:  # noqa: F811
    upload = upload_files(TARGET, FILES)
    repository = hub.repositories["org/name"]
    assert upload.url == f"{hub.url}/org/name"
    assert upload.commit == repository.head
    assert len(repository.commits) == 2  # the hub makes the first
    assert {name: repository.files[name] for name in FILES} == FILES
    assert not repository.private


def test_another_push_leaves_nothing_of_the_one_before(hub: StandInHub) -> None:  # noqa: F811
    hub.add("org/name", {"model.json": b"old", "seen.npy": b"x", "NOTES.md": b"mine"})
    upload_files(TARGET, FILES, replaced=("model.json", "seen.npy", "record.json"))
    files = hub.repositories["org/name"].files
    assert sorted(files) == ["NOTES.md", "README.md", "model.json", "model.onnx"]
    assert files["model.json"] == b"{}"


def test_what_is_not_ours_stays_unless_forced(hub: StandInHub) -> None:  # noqa: F811
    there = hub.add("org/name", {"README.md": b"x", "pytorch_model.bin": b"y"})
    with pytest.raises(FerBenchError, match=r"holds other things .* \('pytorch_model.bin'"):
        upload_files(TARGET, FILES)
    assert len(there.commits) == 1
    upload_files(TARGET, FILES, force=True)
    assert there.files["pytorch_model.bin"] == b"y"


def test_what_is_public_does_not_become_private(hub: StandInHub) -> None:  # noqa: F811
    upload_files(Repository(id="org/new"), FILES, private=True)
    assert hub.repositories["org/new"].private
    upload_files(TARGET, FILES)
    with pytest.raises(FerBenchError, match="org/name is public already, got --private"):
        upload_files(TARGET, FILES, private=True)


@pytest.mark.parametrize(
    ("path", "status", "headers", "code", "message"),
    [
        ("/repos/create", 401, {}, 2, "the hub does not accept the token (401): log in with"),
        ("/repos/create", 403, {}, 2, "the token has no right to write to org/name"),
        ("/preupload/", 403, {}, 2, "the token has no right to write to org/name"),
        ("/commit/", 404, {"X-Error-Code": "RepoNotFound"}, 2, "there is no org/name on the hub"),
        ("/commit/", 409, {}, 1, "somebody else changed it meanwhile (409): try again"),
        ("/commit/", 412, {}, 1, "somebody else changed it meanwhile (412): try again"),
        ("/commit/", 400, {}, 2, "the hub refuses to write to org/name on the hub (400): too big"),
        ("/api/", 429, {"Retry-After": "3"}, 1, "asks for fewer requests (429): try again in 3"),
        ("/objects/batch", 500, {}, 1, "it answered with an error (500): try later"),
        ("/validate-yaml", 400, {}, 1, "cannot write to org/name on the hub: Invalid metadata"),
    ],
)
def test_what_it_refuses_to_take_is_one_sentence(
    path: str,
    status: int,
    headers: dict[str, str],
    code: int,
    message: str,
    hub: StandInHub,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's tries
    hub.refuse(path, status, headers, f"too big, {TOKEN}")
    with pytest.raises(FerBenchError) as refused:
        upload_files(TARGET, FILES)
    assert message in str(refused.value)
    assert refused.value.exit_code == code
    assert TOKEN not in str(refused.value)


def test_without_a_network_nothing_is_written(
    hub: StandInHub,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outage(monkeypatch)
    with pytest.raises(RunFailed, match=r"cannot write to org/name on the hub: .* be reached"):
        upload_files(TARGET, FILES)
    assert hub.calls == []


@pytest.mark.parametrize("command", ["latency", "summary", "evaluate", "verify", "export"])
def test_every_command_says_what_the_hub_refuses(
    command: str,
    hub: StandInHub,  # noqa: F811
    tmp_path: Path,
    fer: Fer,
) -> None:
    words = ["--out", tmp_path / "m.onnx"] if command == "export" else []
    data = ["--data", "synthetic"] if command in ("evaluate", "export") else []
    code, _, err = fer(command, "hub:org/gone", *words, *data)
    assert code == 2
    assert "there is no org/gone on the hub, or it is private (404)" in err
