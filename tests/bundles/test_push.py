"""Runs pushed to a stand-in of the Hugging Face hub: what arrives, what is refused, and back."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from command_fixtures import Fer
from hub_fixtures import TOKEN, StandInHub, hub  # noqa: F401
from huggingface_hub import ModelCard
from model_fixtures import DEFAULT_RUN, SECOND_RUN, save_models
from PIL import Image
from record_fixtures import make_record
from streamlit.testing.v1 import AppTest

from fer_bench.backends.onnx import read_metadata
from fer_bench.results.record import Member
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import EnsembleSpec
from fer_bench.studies.model_card.card import model_card

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "assets/samples/astronaut.jpg"
RUN_NAME = SECOND_RUN.partition("/")[2]


@pytest.fixture
def push(tmp_path: Path, hub: StandInHub, fer: Fer, monkeypatch: pytest.MonkeyPatch) -> Fer:  # noqa: F811
    """Runs `push RUN hf:org/name WORDS`; the run is small."""
    save_models(tmp_path / "results")
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)

    def call(
        *words: object, run: str = SECOND_RUN, to: str = "hf:org/name"
    ) -> tuple[int, str, str]:
        return fer("push", run, to, "--results", tmp_path / "results", *words)

    return call


def front_matter(readme: bytes) -> dict[str, object]:
    """The YAML at a README's head."""
    values: dict[str, object] = yaml.safe_load(readme.decode().split("---\n")[1])
    return values


def everything(folder: Path) -> bytes:
    """All files below a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# The model


def test_a_run_arrives_whole_and_comes_back(
    push: Fer,
    hub: StandInHub,  # noqa: F811
    fer: Fer,
    tmp_path: Path,
) -> None:
    code, out, err = push("--json")
    assert code == 0, err
    said = json.loads(out)
    repository = hub.repositories["org/name"]
    assert said["url"] == f"{hub.url}/org/name"
    assert said["commit"] == repository.head
    folder = tmp_path / "results" / SECOND_RUN
    for name in ("record.json", "model.safetensors", "model.json"):
        assert repository.files[name] == (folder / name).read_bytes()
    (tmp_path / "model.onnx").write_bytes(repository.files["model.onnx"])
    assert read_metadata(tmp_path / "model.onnx").run == RUN_NAME
    words = (PHOTO, "--detector", "whole", "--backend", "torch-fp32", "--json")
    code, back, err_back = fer("predict", "hub:org/name", *words)
    assert code == 0, err_back
    assert back == fer("predict", SECOND_RUN, *words, "--results", tmp_path / "results")[1]
    shown = out + err + back + err_back
    assert TOKEN not in shown
    assert TOKEN.encode() not in everything(tmp_path)
    assert not any(TOKEN.encode() in content for content in repository.files.values())


def test_the_card_carries_the_records_results(tmp_path: Path) -> None:
    save_models(tmp_path, SECOND_RUN)
    store = ResultsStore(tmp_path)
    run = store.find(SECOND_RUN)
    record = run.require_record()
    readme = str(model_card(run, None, "hub:org/name"))
    card = ModelCard(readme).data
    assert (card.library_name, card.pipeline_tag) == ("fer-bench", "image-classification")
    assert card.model_name == RUN_NAME
    values = {(one.dataset_config, one.metric_type): one.metric_value for one in card.eval_results}
    assert len(values) == 3 * 5
    for key in ("test", "test_clean", "val"):
        metrics = record.metrics[key]
        assert values[key, "accuracy"] == pytest.approx(metrics.accuracy, abs=1e-6)
        assert values[key, "f1"] == pytest.approx(metrics.macro_f1, abs=1e-6)
    assert "python -m fer_bench predict hub:org/name photos/" in readme


def test_a_dry_run_sends_and_writes_nothing(
    push: Fer,
    hub: StandInHub,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    code, out, err = push("--dry-run", "--out", tmp_path / "folder")
    assert code == 0, err
    assert "nothing was uploaded" in err
    assert "README.md" in out
    assert hub.calls == []
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("org/name", "expected a repository of the hub, hub:ORG/NAME or hf:ORG/NAME"),
        ("hf:org/name@v1", "a push goes to the main branch, got org/name@v1"),
    ],
)
def test_a_destination_that_is_none_asks_nobody(
    to: str,
    message: str,
    push: Fer,
    hub: StandInHub,  # noqa: F811
) -> None:
    code, _, err = push(to=to)
    assert code == 2
    assert message in err
    assert hub.calls == []


def test_without_a_token_nothing_is_exported(
    push: Fer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    code, _, err = push()
    assert code == 2
    assert "a token of the hub with the right to write" in err
    assert not list(tmp_path.rglob("exports.json"))


def test_an_ensemble_is_pushed_by_its_members(push: Fer, tmp_path: Path) -> None:
    runs = (DEFAULT_RUN.partition("/")[2], RUN_NAME)
    members = tuple(Member(run=r, weight=0.5, temperature=1.0, pretraining="none") for r in runs)
    record = make_record().model_copy(
        update={"spec": EnsembleSpec(ensemble=runs), "members": members, "name": "both"}
    )
    ResultsStore(tmp_path / "results").save(record)
    code, _, err = push(run="both")
    assert code == 2
    assert "run both is an ensemble" in err


# Spaces


def test_the_static_space_is_the_web_page(push: Fer, hub: StandInHub) -> None:  # noqa: F811
    code, _, err = push("--space", "static", "--cdn", "--private")
    assert code == 0, err
    space = hub.repositories["org/name"]
    assert (space.kind, space.sdk, space.private) == ("space", "static", True)
    settings = front_matter(space.files["README.md"])
    assert (settings["sdk"], settings["app_file"]) == ("static", "index.html")
    assert {"index.html", "sw.js", "model.onnx", "cascade.json"} <= set(space.files)


@pytest.mark.parametrize("space", [("static", "--cdn"), ("streamlit",)])
def test_the_card_of_a_space_names_the_run_as_the_space_holds_none(
    push: Fer, tmp_path: Path, space: tuple[str, ...]
) -> None:
    code, _, err = push("--space", *space, "--out", tmp_path / "space")
    assert code == 0, err
    card = (tmp_path / "space" / "README.md").read_text()
    assert f"python -m fer_bench predict {SECOND_RUN} photos/" in card
    assert "hub:" not in card


def test_the_streamlit_space_names_the_faces_of_a_photo(
    push: Fer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "space"
    code, _, err = push("--space", "streamlit", "--out", folder)
    assert code == 0, err
    settings = front_matter((folder / "README.md").read_bytes())
    assert (settings["sdk"], settings["app_port"]) == ("docker", 8501)
    assert "streamlit" in (folder / "requirements.txt").read_text()
    docker = (folder / "Dockerfile").read_text()
    assert "--server.port=8501" in docker
    assert all((folder / name).is_file() for name in ("app.py", "run.py", "model.onnx"))
    local = tomllib.loads((folder / ".streamlit" / "config.toml").read_text())
    assert local["server"] == {
        "showEmailPrompt": False
    }  # a desktop's first start would wait for it
    assert local["browser"] == {"gatherUsageStats": False}
    monkeypatch.syspath_prepend(str(folder))
    for module in [m for m in sys.modules if m.split(".")[0] in ("run", "faces", "pictures")]:
        monkeypatch.delitem(sys.modules, module)
    app = AppTest.from_file(str(folder / "app.py"), default_timeout=60).run()
    assert not app.exception
    app.file_uploader[0].upload(PHOTO.name, PHOTO.read_bytes(), "image/jpeg").run()
    assert not app.exception
    assert [heading.value.partition(":")[0] for heading in app.subheader] == ["Face 1"]
    assert len(app.get("camera_input")) == 1  # which a photo does not take away
    strip = io.BytesIO()
    Image.new("RGB", (5000, 1)).save(strip, "PNG")
    app.file_uploader[0].upload("strip.png", strip.getvalue(), "image/png").run()
    assert not app.exception
    assert "No face was found" in app.info[0].value
    app.file_uploader[0].upload("broken.jpg", b"no picture", "image/jpeg").run()
    assert not app.exception
    assert "broken.jpg cannot be read as a picture" in app.error[0].value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "gradio"), "unknown Space 'gradio'"),
        (("--space", "streamlit", "--cdn"), "--runtime and --cdn are for --space static"),
        (("--cdn",), "--runtime and --cdn are for --space static"),
    ],
)
def test_spaces_that_are_none_are_refused(
    words: tuple[str, ...],
    message: str,
    push: Fer,
    hub: StandInHub,  # noqa: F811
) -> None:
    code, _, err = push(*words)
    assert code == 2
    assert message in err
    assert hub.calls == []
