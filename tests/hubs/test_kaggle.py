"""FER2013 through Kaggle's client, by a stand-in of its one function."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from command_fixtures import Fer
from PIL import Image


class UnauthenticatedError(Exception):
    """As the client raises it."""


class KaggleApiHTTPError(OSError):
    """As the client raises it: an error of `requests`, which are OSErrors."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Client Error.\n\nPlease make sure")
        self.response = SimpleNamespace(status_code=status)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The client: `asked` are the handles so far; `error` is raised by the next call."""
    state = SimpleNamespace(asked=[], error=None, folder=tmp_path / "versions" / "1")
    for split, emotion in (("train", "happy"), ("test", "sad")):
        (state.folder / split / emotion).mkdir(parents=True)
        Image.new("L", (48, 48)).save(state.folder / split / emotion / "PublicTest_1.jpg")

    def dataset_download(handle: str) -> str:
        state.asked.append(handle)
        if state.error:
            raise state.error
        return str(state.folder)

    client, exceptions = ModuleType("kagglehub"), ModuleType("kagglehub.exceptions")
    client.dataset_download = dataset_download
    client.exceptions = exceptions
    exceptions.UnauthenticatedError = UnauthenticatedError
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)
    return state


def test_fer2013_comes_and_is_known_by_its_layout(kaggle: SimpleNamespace, fer: Fer) -> None:
    code, out, err = fer("fetch", "fer2013")
    assert (code, out) == (0, f"{kaggle.folder}\n")
    assert f"use it with --data {kaggle.folder}" in err
    assert kaggle.asked == ["msambare/fer2013"]


def test_another_data_set_can_be_named(kaggle: SimpleNamespace, fer: Fer) -> None:
    code, out, _ = fer("fetch", "fer2013", "--from", "me/faces", "--json")
    assert code == 0
    assert json.loads(out) == {"name": "fer2013", "file": str(kaggle.folder)}
    assert kaggle.asked == ["me/faces"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UnauthenticatedError("no"), 2, "to people with an account only: say `kagglehub.login()`"),
        (KaggleApiHTTPError(403), 2, "to people with an account only: say `kagglehub.login()`"),
        (KaggleApiHTTPError(404), 2, "Kaggle has no data set msambare/fer2013: check OWNER/NAME"),
        (KaggleApiHTTPError(429), 1, "Kaggle asks for fewer requests (429): try again later"),
        (ConnectionError("Name or service not known"), 1, "known): check the network, or download"),
    ],
)
def test_what_kaggle_refuses_is_one_sentence(
    error: Exception, code: int, message: str, kaggle: SimpleNamespace, fer: Fer
) -> None:
    kaggle.error = error
    ended, out, err = fer("fetch", "fer2013")
    assert (ended, out) == (code, "")
    (line,) = err.splitlines()
    assert message in line


def test_without_the_client_it_says_how_to_get_it(
    fer: Fer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    code, _, err = fer("fetch", "fer2013")
    assert code == 2
    assert "`pip install kagglehub`" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fer2031",), "unknown thing to fetch 'fer2031': did you mean 'fer2013'?"),
        (("yunet", "--from", "a/b"), "--from is for fer2013: leave it out"),
        (
            ("fer2013", "--from", "faces"),
            "expected a data set of Kaggle as OWNER/NAME, got 'faces'",
        ),
    ],
)
def test_bad_words_ask_nobody(
    words: tuple[str, ...], message: str, kaggle: SimpleNamespace, fer: Fer
) -> None:
    code, _, err = fer("fetch", *words)
    assert code == 2
    assert message in err
    assert kaggle.asked == []


def test_what_came_may_be_no_data_set(kaggle: SimpleNamespace, fer: Fer, tmp_path: Path) -> None:
    kaggle.folder = tmp_path / "empty"
    kaggle.folder.mkdir()
    code, out, err = fer("fetch", "fer2013")
    assert (code, out) == (2, "")
    assert "holds no images" in err
